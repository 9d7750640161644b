"""`compare`: is the strategy better than random, and how sure is that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as o

if TYPE_CHECKING:
    from rich.table import Table

    from ..evaluation.comparison import Comparison, Measure


def compare(
    words: o.Words = None,
    pool: o.PoolOption = None,
    model: o.ModelOption = None,
    out: Annotated[
        str | None, typer.Option("--out", help="The comparison's folder; the same command again goes on.")
    ] = None,
    preset: o.PresetOption = None,
    strategies: Annotated[
        str | None,
        typer.Option(
            "--strategies", help="Names with commas between (default: the config's); random is added."
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seeds", help="Whole numbers with commas between; one run a strategy and seed.")
    ] = "0,1,2",
    one_time: Annotated[
        bool, typer.Option("--one-time", help="Also let the first strategy choose all at once.")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Also tune on the whole pool, once a seed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: what comparison.json holds.")] = False,
) -> None:
    """Run strategies and seeds from the same starts; say in words what beats random, and how sure that is."""
    if any(word.partition("=")[0].strip() in ("seed", "selection.strategy") for word in words or []):
        raise typer.BadParameter("seeds and strategies are named by --seeds and --strategies")
    config = o.config_from(words, preset, {"pool": pool, "model": model, "out": out})
    from ..base import dist
    from ..compare import Experiment, compare_strategies
    from .watch import open_watch

    names = (
        tuple(name.strip() for name in strategies.split(",")) if strategies else (config.selection.strategy,)
    )
    experiment = Experiment(config, names, _seeds(seeds), is_one_time=one_time, is_full=full)
    experiment.check()
    if experiment.unfinished():
        from .run import quiet_libraries

        dist.start()
        quiet_libraries()
    comparison = compare_strategies(experiment, open_watch())
    if dist.is_main():
        stored = experiment.comparison_file.read_text("utf-8")
        typer.echo(json.dumps(json.loads(stored), ensure_ascii=False)) if as_json else _show(
            comparison, json.loads(stored)
        )
    dist.barrier()


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"--seeds is {text!r}: give whole numbers with commas between, such as 0,1,2"
        ) from None


def _show(comparison: Comparison, stored: dict[str, Any]) -> None:
    """Print a table a measure, one of what everything cost, and the words."""
    from ..base.text import duration
    from .tables import open_console

    console = open_console()
    for measure in comparison.measures:
        console.print(measure_table(comparison, measure))
    console.print(cost_table(comparison))
    for line in stored["words"]:
        typer.echo(line)
    spent = stored["spent"]
    typer.echo(
        f"Spent in all: {duration(spent['seconds'])}, {_tera(spent['flops'])} TFLOPs; runs that share a "
        "stage saved "
        f"{duration(spent['seconds_saved_by_sharing'])}."
    )
    typer.echo(
        f"Figures: {stored['folder']}/comparison.csv, comparison.json and runs/; a page: diverseevol report "
        f"{stored['folder']} --out compare.html"
    )


def measure_table(comparison: Comparison, measure: Measure) -> Table:
    """Budget by budget: each arm's mean and spread, and its difference to random at equal samples."""
    from ..evaluation.comparison_words import shown
    from .tables import new_table

    n_seeds = len(comparison.seeds)
    best = "lower" if measure.is_lower_better else "higher"
    headings = ("samples", "arm", "mean ± spread", "to random [interval]", "in words")
    table = new_table(
        headings, f"{measure.title} ({best} is better), {n_seeds} seeds", texts=("arm", "in words")
    )
    order = sorted(comparison.levels, key=lambda level: level.n_samples)
    for place, level in enumerate(order):
        spread = level.deviation[measure.name]
        mean = f"{level.mean[measure.name]:.4f}" + ("" if spread is None else f" ± {spread:.4f}")
        found = comparison.find(level.arm, comparison.references[0], measure.name, "samples", level.n_samples)
        table.add_row(
            f"{level.n_samples:,}",
            level.arm,
            mean,
            shown(found) if found else "",
            found.verdict if found else "",
        )
        if place + 1 < len(order) and order[place + 1].n_samples != level.n_samples:
            table.add_section()
    return table


def cost_table(comparison: Comparison) -> Table:
    """What each arm's last round cost, as if it had been run alone."""
    from ..base.text import duration
    from .tables import new_table

    headings = ("arm", "samples", "response tokens", "time", "TFLOPs")
    table = new_table(
        headings, "Cost of the last round's model, as if run alone (mean over seeds)", texts=("arm",)
    )
    for arm in comparison.arms:
        level = comparison.level(arm)
        table.add_row(
            arm,
            f"{level.n_samples:,}",
            f"{level.trained_tokens:,.0f}",
            duration(level.seconds),
            _tera(level.flops),
        )
    return table


def _tera(flops: float | None) -> str:
    """FLOPs in units of 10^12; unknown where another program trained."""
    return "?" if flops is None else f"{flops / 1e12:,.2f}"
