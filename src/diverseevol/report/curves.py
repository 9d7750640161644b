"""Figures by round: held-out loss and verdicts, covering radius and Vendi score, differences to a reference.

Bands around an arm's mean hold the luck that all arms of a seed share; the intervals of the differences,
which comparison.json has (docs/comparing.md), are without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .figure import Figure, Line, line_layout, line_traces, shown
from .findings import Judged, judged_rounds
from .runs import RunData, Subject

SAMPLES = "samples chosen"
RANDOM_SETS = "random sets, mean and 5–95 %"
LOSS = "Loss in nats a token on rows that no round was trained on; lower is better."
BALANCED = "The mean over groups, rare ones counting as much as common ones."
LOSSES = {"loss": ("Held-out loss", LOSS), "balanced_loss": ("Held-out loss, balanced", BALANCED)}
RADIUS = "How far the worst-covered pool row is from its nearest pick; lower is better covered."
VENDI = "An effective number of different directions among the picks; higher is more diverse."
MEASURES = {
    "covering_radius": ("Covering radius", "distance", RADIUS),
    "vendi_1": ("Vendi score", "effective number", VENDI),
}
SCORES = (
    "100 × our points / the opponent's, over both orders; higher is better. Bands: 95 % over the questions."
)


def quality_figures(subject: Subject) -> Iterator[Figure]:
    """Held-out loss of every arm, mean and spread over seeds; each judged benchmark's score."""
    n_seeds = max(len(runs) for runs in subject.arms.values())
    bands = f"Bands: one standard deviation over {n_seeds} seeds." if n_seeds > 1 else ""
    for name, (title, meaning) in LOSSES.items():
        losses = {run: [each.heldout.values().get(name) for each in run.metrics] for run in subject.runs}
        if lines := list(_by_arm(subject, losses)):
            note = " ".join(filter(None, [meaning, bands, _other_rows(subject)]))
            yield _figure(f"heldout-{name.replace('_', '-')}", title, "nats a token", lines, note)
    scored: dict[str, list[Line]] = {}
    for run in subject.one_an_arm:
        found: dict[str, list[Judged]] = {}
        for each in judged_rounds(run):
            if each.score.rs is not None:
                found.setdefault(each.name, []).append(each)
        for name, rounds in found.items():
            x, scores = [float(run.n_chosen[each.at]) for each in rounds], [each.score.rs for each in rounds]
            known = [each.score.interval for each in rounds if each.score.interval is not None]
            edges = ([each.low for each in known], [each.high for each in known])
            band = edges if len(known) == len(rounds) else None
            scored.setdefault(name, []).append(Line(run.arm, x, scores, subject.role(run), band))
    for number, (name, lines) in enumerate(scored.items()):
        yield _figure(f"verdicts-{number}", f"Verdicts: {name}", "Relative Score", lines, SCORES)


def diversity_figures(subject: Subject) -> Iterator[Figure]:
    """Covering radius and Vendi score by round beside random sets of the same sizes, as `diversity` measured.

    Runs that were measured in other vectors than the first are left out.
    """
    first = next((run.diversity for run in subject.runs if run.diversity is not None), None)
    if first is None:
        return
    for name, (title, unit, meaning) in MEASURES.items():
        values = {}
        for run in subject.runs:
            found = run.diversity or {}
            sets = found["sets"] if found.get("embeddings") == first["embeddings"] else []
            by_size = {each["n_chosen"]: each["measures"][name]["value"] for each in sets}
            values[run] = [by_size.get(n) for n in run.n_chosen]
        lines = list(_by_arm(subject, values))
        drawn = [each for each in first["sets"] if "random_mean" in each["measures"].get(name, {})]
        if drawn and not any(line.role == "random" for line in lines):
            measures = [each["measures"][name] for each in drawn]
            mean, low, high = (
                [each[f"random_{key}"] for each in measures] for key in ("mean", "low", "high")
            )
            lines.append(Line(RANDOM_SETS, [each["n_chosen"] for each in drawn], mean, "random", (low, high)))
        note = f"{meaning} In the vectors of {first['embeddings']}, the same for all rounds."
        yield _figure(name.replace("_", "-"), title, unit, lines, note)


def difference_figures(subject: Subject) -> Iterator[Figure]:
    """Each arm's difference to the reference at equal samples, paired by seed, with its interval."""
    comparison = subject.comparison or {"measures": ()}
    for measure in comparison["measures"]:
        asked = (measure["name"], "samples")
        found = [each for each in comparison["differences"] if (each["measure"], each["axis"]) == asked]
        if not found:
            continue
        reference, confidence = found[0]["reference"], comparison["confidence"][found[0]["reference"]]
        lines = []
        for arm in dict.fromkeys(each["arm"] for each in found):
            own = [each for each in found if each["arm"] == arm]
            mean, low, high = ([each["paired"][key] for each in own] for key in ("mean", "low", "high"))
            band = (low, high) if any(edge is not None for edge in low) else None
            x = [float(each["n_samples"]) for each in own]
            lines.append(Line(arm, x, mean, "main" if arm == subject.main.arm else "other", band))
        places = sorted({float(each["n_samples"]) for each in found})
        lines.append(Line(reference, places, [0.0] * len(places), "random"))
        title = f"{measure['title'][:1].upper()}{measure['title'][1:]}, to {reference}"
        better = "below" if measure["is_lower_better"] else "above"
        last = next((each for each in reversed(found) if each["arm"] == subject.main.arm), found[-1])
        size = f"{last['paired']['mean']:+.3f}"
        yield Figure(
            f"difference-{measure['name'].replace('_', '-')}",
            title,
            line_traces(lines),
            line_layout(SAMPLES, "difference in nats a token", lines),
            f"{title}: {size} for {last['arm']} at {last['n_samples']:,} samples, {last['verdict']}.",
            f"Paired by seed; {better} the line of {reference} is better. A band that leaves it out is a "
            f"difference that is shown ({confidence:.1%} intervals).",
            (size, title, last["verdict"]),
        )


def _by_arm(subject: Subject, by_run: Mapping[RunData, Sequence[float | None]]) -> Iterator[Line]:
    """A line an arm: the mean over its seeds, one standard deviation around it; the whole pool's is level."""
    widest = sorted({n for run in subject.runs if not run.is_full for n in run.n_chosen})
    for arm, runs in subject.arms.items():
        rounds = zip(*(by_run[run] for run in runs), strict=False)
        values = [[value for value in each if value is not None] for each in rounds]
        x = [float(n) for n, known in zip(runs[0].n_chosen, values, strict=False) if known]
        if not x:
            continue
        means = np.array([np.mean(known) for known in values if known])
        spreads = np.array([np.std(known, ddof=1) if len(known) > 1 else 0.0 for known in values if known])
        name = arm if len(runs) == 1 else f"{arm}, mean of {len(runs)} seeds"
        if runs[0].is_full and widest:
            x, means, spreads = [float(widest[0]), float(widest[-1])], means.repeat(2), spreads.repeat(2)
            name = "the whole pool"
        band = ((means - spreads).tolist(), (means + spreads).tolist()) if spreads.any() else None
        yield Line(name, x, means.tolist(), subject.role(runs[0]), band)


def _other_rows(subject: Subject) -> str:
    """Losses on other rows do not compare; a comparison pairs runs of one seed, on the same rows."""
    rows = set()
    for run in subject.runs if not subject.comparison else ():
        file, fingerprint = run.folder.holdout_file, run.config.get("fingerprint", {})
        if run.metrics[-1].is_measured:
            rows.add(file.read_text("utf-8") if file.exists() else fingerprint.get("heldout rows"))
    same = "The runs' held-out rows are not the same, so their losses cannot be compared."
    return same if len(rows) > 1 else ""


def _figure(key: str, title: str, unit: str, lines: Sequence[Line], note: str) -> Figure:
    """Lines over the samples; in words, where each is at the end of the main one."""
    main = next((line for line in lines if line.role == "main"), lines[0])
    there = []
    for line in lines:
        if main.x[-1] in line.x:
            at = list(line.x).index(main.x[-1])
            text = f"{line.name} {shown(line.y[at])}"
            if line.band is not None:
                text += f" ({shown(line.band[0][at])} to {shown(line.band[1][at])})"
            there.append(text)
    says = f"{title} at {shown(main.x[-1])} samples: {'; '.join(there)}."
    start = f"{shown(main.y[0])} at {shown(main.x[0])} samples" if len(main.x) > 1 else ""
    tile = (shown(main.y[-1]), title, start)
    return Figure(key, title, line_traces(lines), line_layout(SAMPLES, unit, lines), says, note, tile)
