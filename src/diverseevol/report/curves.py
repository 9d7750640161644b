"""Figures by round: held-out loss and verdicts, covering radius and Vendi score, with bands and the lines to hold them against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..errors import DiverseEvolError
from ..evaluation.verdict import FileScore
from ..evaluation.verdict_table import score_verdicts
from .chart import Chart, Series
from .runs import RunData, Subject, role_in

SAMPLES = "samples chosen"
RANDOM_SETS = "random sets, mean and 5–95 %"
LOSSES = {
    "loss": ("heldout-loss", "Held-out loss", "Loss in nats a token on rows that no round was trained on; lower is better."),
    "balanced_loss": (
        "balanced-loss",
        "Held-out loss, balanced",
        "The mean over groups, rare ones counting as much as common ones; lower is better.",
    ),
}
Read = Callable[[RunData, int], float | None]
"""A figure of a run's round, by its place among the finished ones."""


def quality_charts(subject: Subject) -> list[Chart]:
    """Held-out loss of every run, mean and spread over seeds, and the Relative Score of every benchmark that was judged."""
    charts = []
    for figure, (key, title, meaning) in LOSSES.items():
        series = tuple(_by_arm(subject, partial(_heldout, figure)))
        if series:
            note = " ".join(filter(None, [meaning, _bands(subject), _other_rows(subject)]))
            charts.append(Chart(key, title, SAMPLES, "nats a token", series, note=note))
    return [*charts, *_verdict_charts(subject)]


def _heldout(figure: str, run: RunData, at: int) -> float | None:
    value = (run.metrics[at].get("heldout") or {}).get(figure)
    return None if value is None else float(value)


def diversity_charts(subject: Subject) -> list[Chart]:
    """Covering radius and Vendi score by round, beside random sets of the same sizes, as `diverseevol diversity` measured them."""
    measured = [run for runs in subject.arms.values() for run in runs if run.diversity is not None]
    if not measured:
        return []
    first = measured[0].diversity or {}
    same = {id(run) for run in measured if (run.diversity or {}).get("embeddings") == first.get("embeddings")}
    note = f"In the vectors of {first.get('embeddings', '?')}, the same for all rounds."
    return [
        _diversity_chart(
            subject,
            same,
            first,
            "covering_radius",
            "Covering radius",
            "distance",
            f"How far the worst-covered pool row is from its nearest pick; lower is better covered. {note}",
        ),
        _diversity_chart(
            subject,
            same,
            first,
            "vendi_1",
            "Vendi score",
            "effective number",
            f"An effective number of different directions among the picks; higher is more diverse. {note}",
        ),
    ]


def _diversity_chart(
    subject: Subject, same: set[int], first: dict[str, Any], name: str, title: str, unit: str, note: str
) -> Chart:
    def read(run: RunData, at: int) -> float | None:
        sets = (run.diversity or {}).get("sets", []) if id(run) in same else []
        value = next((each["measures"][name]["value"] for each in sets if each["n_chosen"] == run.n_chosen[at]), None)
        return None if value is None else float(value)

    series = list(_by_arm(subject, read))
    sets = [each for each in first.get("sets", []) if "random_mean" in each["measures"].get(name, {})]
    if sets and not any(each.role == "random" for each in series):
        x = [each["n_chosen"] for each in sets]
        columns = [[each["measures"][name][key] for each in sets] for key in ("random_mean", "random_low", "random_high")]
        series.append(Series(RANDOM_SETS, x, columns[0], "random", columns[1], columns[2]))
    return Chart(name.replace("_", "-"), title, SAMPLES, unit, tuple(series), note=note)


def _by_arm(subject: Subject, read: Read) -> Iterator[Series]:
    """A line an arm: the mean over its seeds, with one standard deviation around it; the whole pool's as a level line."""
    widest = sorted({n for run in subject.runs if not run.is_full for n in run.n_chosen})
    for arm, runs in subject.arms.items():
        points = [
            (n, values)
            for at, n in enumerate(runs[0].n_chosen)
            if (values := [value for run in runs if (value := read(run, at)) is not None])
        ]
        if not points:
            continue
        means = [float(np.mean(values)) for _, values in points]
        spreads = [float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for _, values in points]
        x = [float(n) for n, _ in points]
        name = arm if len(runs) == 1 else f"{arm}, mean of {len(runs)} seeds"
        if runs[0].is_full and widest:
            x, means, spreads = [float(widest[0]), float(widest[-1])], means * 2, spreads * 2
            name = "the whole pool"
        has_band = any(spreads)
        yield Series(
            name,
            x,
            means,
            role_in(runs[0], subject.runs),
            [mean - spread for mean, spread in zip(means, spreads, strict=True)] if has_band else None,
            [mean + spread for mean, spread in zip(means, spreads, strict=True)] if has_band else None,
        )


def _other_rows(subject: Subject) -> str:
    """Losses on other rows are no comparison; the runs of a comparison are held against each other seed by seed, on the same ones."""
    if subject.comparison or len({run.heldout_ids for run in subject.runs if "heldout" in run.metrics[-1]}) < 2:
        return ""
    return "The runs' held-out rows are not the same, so their losses cannot be compared."


def _bands(subject: Subject) -> str:
    most = max(len(runs) for runs in subject.arms.values())
    return f"Bands: one standard deviation over {most} seeds." if most > 1 else ""


def scores_of(run: RunData) -> dict[str, list[tuple[int, FileScore]]]:
    """What judges said of a run's rounds: by benchmark and opponent, (place among the finished rounds, score) in order."""
    found: dict[str, list[tuple[int, FileScore]]] = {}
    for benchmark, opponent, at, file in run.verdict_files:
        try:
            score = score_verdicts(file).files[0]
        except DiverseEvolError:
            continue  # a file of somebody else's among ours: `score` says what is wrong with it
        found.setdefault(f"{benchmark} against {opponent}" if opponent else benchmark, []).append((at, score))
    return found


def _verdict_charts(subject: Subject) -> Iterator[Chart]:
    by_name: dict[str, list[tuple[RunData, list[tuple[int, FileScore]]]]] = {}
    for run in subject.one_an_arm:
        for name, scores in scores_of(run).items():
            by_name.setdefault(name, []).append((run, scores))
    for number, (name, found) in enumerate(by_name.items()):
        series = [_score_series(subject, run, [pair for pair in scores if pair[1].value is not None]) for run, scores in found]
        is_pair = found[0][1][0][1].opponent is not None
        yield Chart(
            key=f"verdicts-{number}",
            title=f"Verdicts: {name}",
            x_title=SAMPLES,
            y_title="Relative Score" if is_pair else "mean score",
            series=tuple(each for each in series if each.x),
            note=("100 × our points / the opponent's, over both orders; " if is_pair else "1 to 10; ")
            + "higher is better. Bands: 95 % over the questions.",
        )


def _score_series(subject: Subject, run: RunData, scores: Sequence[tuple[int, FileScore]]) -> Series:
    intervals = [score.interval for _, score in scores]
    has_band = bool(intervals) and all(interval is not None for interval in intervals)
    return Series(
        run.arm,
        [float(run.n_chosen[at]) for at, _ in scores],
        [score.value for _, score in scores],
        role_in(run, subject.runs),
        [interval.low for interval in intervals if interval] if has_band else None,
        [interval.high for interval in intervals if interval] if has_band else None,
    )
