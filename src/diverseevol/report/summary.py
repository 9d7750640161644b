"""The page's first lines: what was chosen, what it gained, what it cost, in words with the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..base.text import duration
from .chart import Chart, Series, flops_shown, shown
from .cost import Costs
from .curves import RANDOM_SETS
from .differences import capital, main_differences, what_it_shows
from .runs import Subject, strategy_of
from .text import plain


@dataclass(frozen=True)
class Tile:
    """One number that stands for itself."""

    value: str
    label: str
    detail: str = ""


@dataclass(frozen=True)
class Summary:
    """Tiles, sentences, and what a comparison remarked."""

    tiles: tuple[Tile, ...]
    sentences: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def summarise(subject: Subject, quality: list[Chart], diversity: list[Chart], costs: Costs) -> Summary:
    """Say what the charts show of the run that is looked at closely, and what a comparison found."""
    run = subject.main
    n, n_pool = run.n_chosen[-1], len(run.pool)
    rounds = f"the rounds {run.rounds[0]} to {run.rounds[-1]}" if len(run.rounds) > 1 else "one round"
    tiles = [Tile(f"{n:,}", "Samples chosen", f"{n / max(1, n_pool):.1%} of {n_pool:,} rows")]
    held = f"; {len(run.unchoosable_rows):,} are held out" if len(run.unchoosable_rows) else ""
    first = f"{strategy_of(run)} chose {n:,} of {n_pool:,} rows ({n / max(1, n_pool):.1%}{held}) in {rounds}"
    if len(subject.runs) > 1:
        closely = f"Of these {run.name}, which is looked at closely, chose {n:,} of {n_pool:,} rows in {rounds}"
        first = f"{len(subject.runs)} runs: {', '.join(subject.arms)}. {closely}"
    sentences = [
        f"{plain(first, 600)}.",
        *_differences(subject, tiles),
        *_quality(quality, tiles, is_mean=len(subject.arms[run.arm]) > 1),
        *_diversity(diversity, tiles),
    ]
    if costs.ratio is not None and costs.measured is not None:
        planned = f"{costs.predicted / costs.full:.2f} predicted" if costs.predicted and costs.full else ""
        tiles.append(Tile(f"{costs.ratio:.2f}", "Of one full fine-tuning", planned))
        is_more = costs.ratio > 1
        whose = f" of {run.name}" if len(subject.runs) > 1 else ""
        sentences.append(
            f"The rounds{whose} cost {costs.ratio:.2f} of one full fine-tuning on the whole pool "
            f"({flops_shown(costs.measured)}, {duration(costs.seconds)})"
            + (": more than tuning on everything; what is saved are labels and later trainings." if is_more else ".")
        )
    else:
        tiles.append(Tile(duration(costs.seconds), "Wall-clock time"))
    return Summary(
        tuple(tiles), tuple(sentences), tuple(plain(str(line), 600) for line in (subject.comparison or {}).get("remarks", ()))
    )


def _differences(subject: Subject, tiles: list[Tile]) -> list[str]:
    """Whether a comparison shows the main arm to be better, a sentence a measure."""
    found: list[str] = []
    for title, each in main_differences(subject):
        pair, reference = each["paired"], plain(each["reference"], 40)
        if not found:
            tiles.append(Tile(f"{pair['mean']:+.3f}", f"{capital(title)} less {reference}'s", str(each["verdict"])))
        interval = "" if pair["low"] is None else f", interval {pair['low']:+.4f} to {pair['high']:+.4f}"
        found.append(
            f"{plain(each['arm'], 40)} against {reference} at {each['n_samples']:,} samples, {title}: {what_it_shows(each)} "
            f"({pair['mean']:+.4f} over {pair['n']} {'seeds' if pair['n'] > 1 else 'seed'}{interval})."
        )
    return found


def _quality(charts: list[Chart], tiles: list[Tile], is_mean: bool) -> list[str]:
    found: list[str] = []
    for chart in charts:
        main = next((each for each in chart.series if each.role == "main"), None)
        if main is None or not main.y:
            continue
        if not found:
            start = f"{shown(main.y[0])} after round 0" if len(main.y) > 1 else ""
            tiles.append(Tile(shown(main.y[-1]), f"{chart.title}, mean over seeds" if is_mean else chart.title, start))
        what = f"{chart.title} of {plain(main.name, 80)}," if is_mean else chart.title
        text = f"{what} went from {shown(main.y[0])} at {shown(main.x[0])} samples to {shown(main.y[-1])} at {shown(main.x[-1])}"
        text = text if len(main.y) > 1 else f"{what} is {shown(main.y[0])} at {shown(main.x[0])} samples"
        found.append(f"{text}{_others(chart, main)}.")
    return found


def _diversity(charts: list[Chart], tiles: list[Tile]) -> list[str]:
    found = []
    for chart in charts:
        main = next((each for each in chart.series if each.role == "main"), None)
        if main is None or not main.y or main.y[-1] is None:
            continue
        text = f"{chart.title}: {shown(main.y[-1])}"
        drawn = next((each for each in chart.series if each.name == RANDOM_SETS), None)
        detail = ""
        if drawn is not None and (middle := _at(drawn, main.x[-1])):
            at = list(drawn.x).index(main.x[-1])
            low, high = (drawn.low or [])[at], (drawn.high or [])[at]
            side = f"{abs(main.y[-1] / middle - 1):.0%} {'below' if main.y[-1] < middle else 'above'}"
            text += f", {side} random sets of the same size ({shown(middle)}; 5–95 %: {shown(low)} to {shown(high)})"
            detail = f"random sets {shown(middle)}"
        else:
            text += _others(chart, main)
        tiles.append(Tile(shown(main.y[-1]), chart.title, detail))
        found.append(f"{text}; {'lower covers better' if chart.key == 'covering-radius' else 'higher is more diverse'}.")
    return found


def _others(chart: Chart, main: Series) -> str:
    """Where the other lines are at the end of the main one."""
    values = [(each.name, _at(each, main.x[-1])) for each in chart.series if each is not main]
    texts = [f"{plain(name, 80)} is at {shown(value)}" for name, value in values if value is not None]
    return f"; there {', '.join(texts)}" if texts else ""


def _at(series: Series, x: Any) -> float | None:  # noqa: ANN401 - a place of an axis
    return series.y[list(series.x).index(x)] if x in series.x else None
