"""`demo`: the whole path on built-in data, offline."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .settings import read_settings

if TYPE_CHECKING:
    from rich.table import Table

    from ..demo.show import DemoRow


LEGEND = (
    "Held-out loss, and (rare) its mean over the rarest third of the skills: lower is better. "
    "Skills: how many of the pool's are among the chosen. "
    "Radius: how far the worst-covered sample of the pool is from its nearest chosen one, in the "
    "untuned model's embedding. "
    "This is one seed: a difference of the size of a seed's luck proves nothing; try --seed 1, 2, …"
)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where the pool, the runs and the subsets go.")] = Path(
        "runs/demo"
    ),
    only_data: Annotated[
        bool,
        typer.Option(
            "--only-data", help="Make the pool, held-out rows, model and a config for other verbs, and stop."
        ),
    ] = False,
    words: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Settings.")] = None,
) -> None:
    """Run K-Center and random on a made pool with a tiny model.

    Offline, in minutes, every figure computed on the spot.
    """
    from ..base.text import duration
    from ..config.verbs import DemoConfig
    from .run import quiet_libraries
    from .tables import open_console
    from .watch import open_watch

    given, others = read_settings(DemoConfig, words)
    if others:
        raise typer.BadParameter(f"{others[0]!r} is no setting of the demo; --help lists them")
    rows, rounds, seed = given.rows, given.rounds, given.seed
    started = time.perf_counter()
    watch = open_watch()
    quiet_libraries()
    from ..demo.show import make_world, run_demo

    if only_data:
        config_file = make_world(out, rows, rounds, seed, watch)
        typer.echo(f"Made {out}/pool.jsonl, heldout.jsonl, model/ and {config_file}")
        typer.echo(
            f"Next: diverseevol compare {config_file} --strategies k_center --one-time --seeds 0,1,2,3,4 "
            f"--out {out.parent}/compare"
        )
        return
    table = run_demo(out, rows, rounds, seed, watch)
    console = open_console()
    console.print(demo_table(table))
    console.print(LEGEND, style="dim", highlight=False)
    from ..base import dist
    from ..report import write_report

    page = out / "report.html"
    dist.on_main(
        lambda: write_report([out / strategy for strategy in ("k_center", "random")], page, watch=watch)
    )
    console.print(
        f"Subsets: {out}/k_center/rounds/{rounds:02d}/subset.jsonl and {out}/random/… · "
        f"{duration(time.perf_counter() - started)}"
    )
    console.print(
        f"Next: diverseevol status {out}/k_center · diverseevol status {out}/k_center ID", highlight=False
    )
    console.print(f"Both runs on one page, to open in a browser: {page}", highlight=False, soft_wrap=True)


def demo_table(rows: list[DemoRow]) -> Table:
    """The closing table: two lines a round, one a strategy."""
    from .tables import new_table

    headings = ("rnd", "samples", "strategy", "held-out", "rare", "skills", "radius", "s", "GFLOPs")
    table = new_table(
        headings, f"K-Center and random, from the same {rows[0].n_chosen} samples", texts=("strategy",)
    )
    half = len(rows) // 2
    for pair in zip(rows[:half], rows[half:], strict=True):
        for row in pair:
            table.add_row(
                str(row.round_index),
                str(row.n_chosen),
                row.strategy,
                f"{row.heldout_loss:.3f}",
                f"{row.rare_loss:.3f}",
                str(row.n_skills),
                f"{row.radius:.2f}",
                f"{row.seconds:.1f}",
                f"{row.flops / 1e9:,.0f}",
            )
        table.add_section()
    return table
