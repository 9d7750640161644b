"""How far a comparison's arms are from its reference, round by round, paired by seed.

Reads comparison.json (docs/comparing.md); nothing is computed anew. Bands around an arm's mean, as the curves
of quality have them, hold the luck that all arms of a seed share; the intervals here are without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .curves import SAMPLES
from .figure import Figure, Line, Role, Tile, line_layout, line_traces
from .runs import Subject


def difference_figures(subject: Subject) -> Iterator[Figure]:
    """A figure a measure: each arm's difference to the reference at equal samples, with its interval."""
    comparison = subject.comparison or {"measures": ()}
    for measure in comparison["measures"]:
        asked = (measure["name"], "samples")
        found = [each for each in comparison["differences"] if (each["measure"], each["axis"]) == asked]
        if not found:
            continue
        reference, confidence = found[0]["reference"], comparison["confidence"][found[0]["reference"]]
        arms = dict.fromkeys(each["arm"] for each in found)
        lines = [_line(subject, arm, [each for each in found if each["arm"] == arm]) for arm in arms]
        places = sorted({float(each["n_samples"]) for each in found})
        lines.append(Line(reference, places, [0.0] * len(places), "random"))
        title = f"{measure['title'][:1].upper()}{measure['title'][1:]}, to {reference}"
        better = "below" if measure["is_lower_better"] else "above"
        last = next((each for each in reversed(found) if each["arm"] == subject.main.arm), found[-1])
        size = f"{last['paired']['mean']:+.3f}"
        note = (
            f"Paired by seed; {better} the line of {reference} is better. A band that leaves it out is a "
            f"difference that is shown ({confidence:.1%} intervals)."
        )
        yield Figure(
            f"difference-{measure['name'].replace('_', '-')}",
            title,
            line_traces(lines),
            line_layout(SAMPLES, "difference in nats a token", lines),
            says=f"{title}: {size} for {last['arm']} at {last['n_samples']:,} samples, {last['verdict']}.",
            note=note,
            tile=Tile(size, title, last["verdict"]),
        )


def _line(subject: Subject, arm: str, found: list[dict[str, Any]]) -> Line:
    mean, low, high = ([each["paired"][key] for each in found] for key in ("mean", "low", "high"))
    band = (low, high) if any(edge is not None for edge in low) else (None, None)
    role: Role = "main" if arm == subject.main.arm else "other"
    return Line(arm, [float(each["n_samples"]) for each in found], mean, role, *band)
