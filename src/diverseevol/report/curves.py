"""Figures by round: held-out loss and verdicts, covering radius and Vendi score, with bands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .figure import Figure, Line, Tile, line_layout, line_traces, shown
from .runs import RunData, Subject
from .verdicts import Judged, judged_rounds

SAMPLES = "samples chosen"
RANDOM_SETS = "random sets, mean and 5–95 %"
LOSSES = {
    "loss": ("Held-out loss", "Loss in nats a token on rows that no round was trained on; lower is better."),
    "balanced_loss": (
        "Held-out loss, balanced",
        "The mean over groups, rare ones counting as much as common ones.",
    ),
}
RADIUS = "How far the worst-covered pool row is from its nearest pick; lower is better covered."
VENDI = "An effective number of different directions among the picks; higher is more diverse."
MEASURES = {
    "covering_radius": ("Covering radius", "distance", RADIUS),
    "vendi_1": ("Vendi score", "effective number", VENDI),
}
Read = Callable[[RunData, int], float | None]
"""A figure of a run's round, by its place among the finished ones."""


def quality_figures(subject: Subject) -> Iterator[Figure]:
    """Held-out loss of every arm, mean and spread over seeds, and the score of every judged benchmark."""
    for name, (title, meaning) in LOSSES.items():

        def read(run: RunData, at: int, name: str = name) -> float | None:
            return run.metrics[at].heldout.values().get(name)

        lines = list(_by_arm(subject, read))
        if lines:
            most = max(len(runs) for runs in subject.arms.values())
            bands = f"Bands: one standard deviation over {most} seeds." if most > 1 else ""
            note = " ".join(filter(None, [meaning, bands, _other_rows(subject)]))
            yield _figure(f"heldout-{name.replace('_', '-')}", title, "nats a token", lines, note)
    yield from _verdict_figures(subject)


def diversity_figures(subject: Subject) -> Iterator[Figure]:
    """Covering radius and Vendi score by round beside random sets of the same sizes, as `diversity` measured.

    Runs that were measured in other vectors than the first are left out.
    """
    first = next((run.diversity for run in subject.runs if run.diversity is not None), None)
    for name, (title, unit, meaning) in MEASURES.items() if first else ():

        def read(run: RunData, at: int, name: str = name) -> float | None:
            found = run.diversity or {}
            sets = found["sets"] if first and found.get("embeddings") == first["embeddings"] else []
            here = next((each for each in sets if each["n_chosen"] == run.n_chosen[at]), None)
            return here and here["measures"][name]["value"]

        lines = list(_by_arm(subject, read))
        if first and not any(line.role == "random" for line in lines):
            lines += _random_sets(first["sets"], name)
        note = f"{meaning} In the vectors of {first and first['embeddings']}, the same for all rounds."
        yield _figure(name.replace("_", "-"), title, unit, lines, note)


def _random_sets(sets: Sequence[dict[str, Any]], name: str) -> Iterator[Line]:
    found = [(each["n_chosen"], each["measures"].get(name, {})) for each in sets]
    known = [(n, values) for n, values in found if "random_mean" in values]
    mean, low, high = ([values[f"random_{key}"] for _, values in known] for key in ("mean", "low", "high"))
    if known:
        yield Line(RANDOM_SETS, [n for n, _ in known], mean, "random", low, high)


def _by_arm(subject: Subject, read: Read) -> Iterator[Line]:
    """A line an arm: the mean over its seeds, one standard deviation around it; the whole pool's is level."""
    widest = sorted({n for run in subject.runs if not run.is_full for n in run.n_chosen})
    for arm, runs in subject.arms.items():
        read_all = [[read(run, at) for run in runs] for at in range(len(runs[0].rounds))]
        values = [[value for value in each if value is not None] for each in read_all]
        x = [float(n) for n, known in zip(runs[0].n_chosen, values, strict=True) if known]
        if not x:
            continue
        means = np.array([np.mean(known) for known in values if known])
        spreads = np.array([np.std(known, ddof=1) if len(known) > 1 else 0.0 for known in values if known])
        name = arm if len(runs) == 1 else f"{arm}, mean of {len(runs)} seeds"
        if runs[0].is_full and widest:
            x, means, spreads = [float(widest[0]), float(widest[-1])], means.repeat(2), spreads.repeat(2)
            name = "the whole pool"
        band = ((means - spreads).tolist(), (means + spreads).tolist()) if spreads.any() else (None, None)
        yield Line(name, x, means.tolist(), subject.role(runs[0]), *band)


def _other_rows(subject: Subject) -> str:
    """Losses on other rows do not compare; a comparison pairs runs of one seed, on the same rows."""
    rows = set()
    for run in subject.runs:
        file, fingerprint = run.folder.holdout_file, run.config.get("fingerprint", {})
        if run.metrics[-1].is_measured:
            rows.add(file.read_text("utf-8") if file.exists() else fingerprint.get("heldout rows"))
    is_said = len(rows) > 1 and not subject.comparison
    return "The runs' held-out rows are not the same, so their losses cannot be compared." if is_said else ""


def _verdict_figures(subject: Subject) -> Iterator[Figure]:
    """A figure a benchmark and opponent, of the first run of each arm."""
    found: dict[str, dict[RunData, list[Judged]]] = {}
    for run in subject.one_an_arm:
        for judged in judged_rounds(run):
            if judged.score.rs is not None:
                found.setdefault(judged.name, {}).setdefault(run, []).append(judged)
    for number, (name, by_run) in enumerate(found.items()):
        lines = [_score_line(subject, run, judged) for run, judged in by_run.items()]
        note = (
            "100 × our points / the opponent's, over both orders; higher is better. Bands: 95 % over the "
            "questions."
        )
        yield _figure(
            f"verdicts-{number}",
            f"Verdicts: {name}",
            "Relative Score",
            lines,
            note,
        )


def _score_line(subject: Subject, run: RunData, judged: Sequence[Judged]) -> Line:
    intervals = [each.score.interval for each in judged if each.score.interval is not None]
    has_band = len(intervals) == len(judged)
    band = ([each.low for each in intervals], [each.high for each in intervals]) if has_band else (None, None)
    x = [float(run.n_chosen[each.at]) for each in judged]
    return Line(run.arm, x, [each.score.rs for each in judged], subject.role(run), *band)


def _figure(key: str, title: str, unit: str, lines: Sequence[Line], note: str) -> Figure:
    """Lines over the samples; in words, where each is at the end of the main one."""
    main = next((line for line in lines if line.role == "main"), lines[0])
    there = []
    for line in lines:
        if main.x[-1] in line.x:
            at = list(line.x).index(main.x[-1])
            text = f"{line.name} {shown(line.y[at])}"
            if line.low is not None and line.high is not None:
                text += f" ({shown(line.low[at])} to {shown(line.high[at])})"
            there.append(text)
    says = f"{title} at {shown(main.x[-1])} samples: {'; '.join(there)}."
    start = f"{shown(main.y[0])} at {shown(main.x[0])} samples" if len(main.x) > 1 else ""
    tile = Tile(shown(main.y[-1]), title, start)
    return Figure(key, title, line_traces(lines), line_layout(SAMPLES, unit, lines), says, note, tile)
