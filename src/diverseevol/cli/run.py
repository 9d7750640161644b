"""`run`: the loop; `demo`: the whole path on built-in data, offline."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as o
from .render import show_lines, show_table
from .status import round_line

if TYPE_CHECKING:
    from ..config import RunConfig
    from ..demo.show import DemoRow

LEGEND = (
    "Held-out loss, and (rare) its mean over the rarest third of the skills: lower is better. "
    "Skills: how many of the pool's are among the chosen. "
    "Radius: how far the worst-covered sample of the pool is from its nearest chosen one, in the "
    "untuned model's embedding. "
    "This is one seed: a difference of the size of a seed's luck proves nothing; try --seed 1, 2, …"
)
ONLY_DATA = "Make the pool, held-out rows, model and a config for other verbs, and stop."


def run(
    words: o.Words = None,
    pool: o.PoolOption = None,
    model: o.ModelOption = None,
    out: o.OutOption = None,
    preset: o.PresetOption = None,
    strategy: o.StrategyOption = None,
    show_samples: int = typer.Option(
        0, "--show-samples", min=0, help="Print so many samples with what is trained on, and stop."
    ),
) -> None:
    """Choose and tune, round by round; the same command again resumes."""
    options = {"pool": pool, "model": model, "out": out, "strategy": strategy}
    config = o.config_from(words, preset, options, needs_out=not show_samples)
    if show_samples:
        print_samples(config, show_samples)
        return
    from ..base import dist
    from .watch import open_watch, quiet_libraries

    watch = open_watch()
    dist.start()
    quiet_libraries()
    from ..loop.evolve import evolve

    last = None
    for last in evolve(config, watch):
        watch.note(round_line(last.metrics))
    if last is not None:
        if last.metrics.stopped:
            watch.note(f"Stopped by itself: {last.metrics.stopped}")
        watch.note(f"Done: {last.n_chosen} samples in {last.subset_path}")
        if last.model_dir.is_dir():
            watch.note(f"Model: {last.model_dir}")
        watch.note(f"What was chosen and why: diverseevol report {config.out} --out report.html")
    dist.barrier()


def print_samples(config: RunConfig, n_samples: int) -> None:
    """Print the first samples of the pool, before anything is spent.

    Trained text in colour (between ⟦ ⟧ without a terminal), masked text dim.
    """
    from rich.console import Console
    from rich.text import Text

    from ..base.files import read_jsonl
    from ..models.load import load_tokenizer
    from ..text.prepare import prepare
    from ..text.tokens import BORDER, describe
    from .watch import open_watch, quiet_libraries

    quiet_libraries()
    tokenizer = load_tokenizer(config.model, config.trust_remote_code)
    console, has_borders = Console(), False
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(config.pool, config.prompt, tokenizer, Path(folder), config.seed, open_watch())
        reasons = Counter(line["reason"] for line in read_jsonl(Path(folder) / "quarantine.jsonl"))
        show_lines(f"{n:,} left out: {reason}" for reason, n in reasons.most_common(5))
        show_lines(data.pool.records.notes)
        for row in range(min(n_samples, len(data.pool))):
            ids, mask = data.tokens.ids(row), data.tokens.mask(row)
            size = f"{len(ids)} tokens{' (cut)' if len(ids) == config.prompt.max_length else ''}"
            title = f"row {row} · id {data.pool.id(row)} · {size}, {int(mask.sum())} trained on"
            console.rule(title, style="dim")
            text = Text()
            for piece, is_trained in describe(ids, mask, tokenizer):
                has_borders |= BORDER in piece
                mark = piece if console.is_terminal or not is_trained else f"⟦{piece}⟧"
                text.append(mark, style="bold green" if is_trained else "dim")
            console.print(text, highlight=False, soft_wrap=True)
    legend = "green (or ⟦ ⟧): trained on · dim: read, never trained on"
    border = f" · {BORDER}: reads like a control token, but is these tokens of text" if has_borders else ""
    console.rule(legend + border, style="dim")


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where the pool, the runs and the subsets go.")] = Path(
        "runs/demo"
    ),
    only_data: Annotated[bool, typer.Option("--only-data", help=ONLY_DATA)] = False,
    words: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Settings.")] = None,
) -> None:
    """Run K-Center and random on a made pool with a tiny model.

    Offline, in minutes, every figure computed on the spot.
    """
    from ..base import dist
    from ..base.text import duration
    from ..config.verbs import DemoConfig
    from .watch import open_watch, quiet_libraries

    given, others = o.read_settings(DemoConfig, words)
    if others:
        raise typer.BadParameter(f"{others[0]!r} is no setting of the demo; --help lists them")
    started, watch = time.perf_counter(), open_watch()
    quiet_libraries()
    from ..demo.show import make_world, run_demo
    from ..report import write_report

    world = (out, given.rows, given.rounds, given.seed, watch)
    if only_data:
        config_file = make_world(*world)
        compared = f"diverseevol compare {config_file} --strategies k_center --one-time --seeds 0,1,2,3,4"
        typer.echo(f"Made {out}/pool.jsonl, heldout.jsonl, model/ and {config_file}")
        typer.echo(f"Next: {compared} --out {out.parent}/compare")
        return
    show_demo(run_demo(*world))
    page, runs = out / "report.html", [out / strategy for strategy in ("k_center", "random")]
    dist.on_main(lambda: write_report(runs, page, watch=watch))
    seconds = duration(time.perf_counter() - started)
    show_lines(
        [
            f"Subsets: {out}/k_center/rounds/{given.rounds:02d}/subset.jsonl and {out}/random/… · {seconds}",
            f"Next: diverseevol status {out}/k_center · diverseevol status {out}/k_center ID",
            f"Both runs on one page, to open in a browser: {page}",
        ]
    )


def show_demo(rows: list[DemoRow]) -> None:
    """The closing table: two lines a round, one a strategy."""
    half = len(rows) // 2
    lines: list[tuple[str, ...] | None] = []
    for pair in zip(rows[:half], rows[half:], strict=True):
        for row in pair:
            losses = (f"{row.heldout_loss:.3f}", f"{row.rare_loss:.3f}")
            skills, costs = (str(row.n_skills), f"{row.radius:.2f}"), f"{row.flops / 1e9:,.0f}"
            start = (str(row.round_index), str(row.n_chosen), row.strategy)
            lines.append((*start, *losses, *skills, f"{row.seconds:.1f}", costs))
        lines.append(None)
    headings = ("rnd", "samples", "strategy", "held-out", "rare", "skills", "radius", "s", "GFLOPs")
    title = f"K-Center and random, from the same {rows[0].n_chosen} samples"
    show_table(headings, lines, title=title, texts=("strategy",))
    show_lines([LEGEND], "dim")
