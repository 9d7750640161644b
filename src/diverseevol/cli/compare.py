"""`compare`: is the strategy better than random, and how sure is that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base.text import duration
from . import options as o
from .render import show_json, show_table

if TYPE_CHECKING:
    from ..evaluation.comparison import Comparison, Measure

FOLDER = "The comparison's folder; the same command again goes on."
NAMES = "Names with commas between (default: the config's); random is added."
SEEDS = "Whole numbers with commas between; one run a strategy and seed."


def compare(
    words: o.Words = None,
    pool: o.PoolOption = None,
    model: o.ModelOption = None,
    out: Annotated[str | None, typer.Option("--out", help=FOLDER)] = None,
    preset: o.PresetOption = None,
    strategies: Annotated[str | None, typer.Option("--strategies", help=NAMES)] = None,
    seeds: Annotated[str, typer.Option("--seeds", help=SEEDS)] = "0,1,2",
    one_time: Annotated[
        bool, typer.Option("--one-time", help="Also let the first strategy choose all at once.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Also tune on the whole pool, once a seed.")] = False,
    as_json: o.AsJson = False,
) -> None:
    """Run strategies and seeds from the same starts; say in words what beats random, and how sure that is."""
    if any(word.partition("=")[0].strip() in ("seed", "selection.strategy") for word in words or []):
        raise typer.BadParameter("seeds and strategies are named by --seeds and --strategies")
    try:
        numbers = tuple(int(part) for part in seeds.split(","))
    except ValueError:
        wanted = "give whole numbers with commas between, such as 0,1,2"
        raise typer.BadParameter(f"--seeds is {seeds!r}: {wanted}") from None
    config = o.config_from(words, preset, {"pool": pool, "model": model, "out": out})
    from ..base import dist
    from ..compare import Experiment, compare_strategies
    from .watch import open_watch, quiet_libraries

    named = (strategies or config.selection.strategy).split(",")
    names = tuple(name.strip() for name in named)
    experiment = Experiment(config, names, numbers, is_one_time=one_time, is_full=full)
    experiment.check()
    if experiment.unfinished():
        dist.start()
        quiet_libraries()
    comparison = compare_strategies(experiment, open_watch())
    if dist.is_main():
        stored = json.loads(experiment.comparison_file.read_text("utf-8"))
        if as_json:
            show_json(stored)
        else:
            _show(comparison, stored)
    dist.barrier()


def _show(comparison: Comparison, stored: dict[str, Any]) -> None:
    """Print a table a measure, one of what each arm's last round cost as if run alone, and the words."""
    for measure in comparison.measures:
        show_measure(comparison, measure)
    levels = [comparison.level(arm) for arm in comparison.arms]
    costs = (
        (
            level.arm,
            f"{level.n_samples:,}",
            f"{level.trained_tokens:,.0f}",
            duration(level.seconds),
            _tera(level.flops),
        )
        for level in levels
    )
    headings = ("arm", "samples", "response tokens", "time", "TFLOPs")
    title = "Cost of the last round's model, as if run alone (mean over seeds)"
    show_table(headings, costs, title=title, texts=("arm",))
    spent, folder = stored["spent"], stored["folder"]
    saved = f"runs that share a stage saved {duration(spent['seconds_saved_by_sharing'])}"
    page = f"diverseevol report {folder} --out compare.html"
    for line in (
        *stored["words"],
        f"Spent in all: {duration(spent['seconds'])}, {_tera(spent['flops'])} TFLOPs; {saved}.",
        f"Figures: {folder}/comparison.csv, comparison.json and runs/; a page: {page}",
    ):
        typer.echo(line)


def show_measure(comparison: Comparison, measure: Measure) -> None:
    """Budget by budget: each arm's mean and spread, and its difference to random at equal samples."""
    from ..evaluation.comparison import shown

    rows: list[tuple[str, ...] | None] = []
    n_before = None
    for level in sorted(comparison.levels, key=lambda level: level.n_samples):
        if n_before not in (None, level.n_samples):
            rows.append(None)
        n_before, spread = level.n_samples, level.deviation[measure.name]
        mean = f"{level.mean[measure.name]:.4f}" + ("" if spread is None else f" ± {spread:.4f}")
        found = comparison.find(level.arm, comparison.references[0], measure.name, "samples", level.n_samples)
        words = (shown(found), found.verdict) if found else ("", "")
        rows.append((f"{level.n_samples:,}", level.arm, mean, *words))
    best = "lower" if measure.is_lower_better else "higher"
    headings = ("samples", "arm", "mean ± spread", "to random [interval]", "in words")
    title = f"{measure.title} ({best} is better), {len(comparison.seeds)} seeds"
    show_table(headings, rows, title=title, texts=("arm", "in words"))


def _tera(flops: float | None) -> str:
    """FLOPs in units of 10^12; unknown where another program trained."""
    return "?" if flops is None else f"{flops / 1e12:,.2f}"
