"""What a comparison found: differences to its reference, paired by seed, by round and in the end.

Reads comparison.json (docs/comparing.md); nothing is computed anew. Bands around an arm's mean, as the curves of quality have them,
hold the luck that all arms of a seed share; the intervals here are without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..evaluation.comparison_words import AXES
from .curves import SAMPLES
from .figure import Figure, Line, Role, Tile, line_layout, line_traces
from .runs import Subject

DIFFERENCES = ("strategy", "what it shows", "at", "measure", "difference", "interval")


def difference_figures(subject: Subject) -> Iterator[Figure]:
    """A figure a measure: how far each arm is from the reference at equal samples, with the paired difference's interval."""
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
        main = [each for each in found if each["arm"] == subject.main.arm] or found
        yield Figure(
            key=f"difference-{measure['name'].replace('_', '-')}",
            title=title,
            traces=line_traces(lines),
            layout=line_layout(SAMPLES, "difference in nats a token", lines),
            says=_sentence(main[-1], measure["title"]),
            note=f"Paired by seed; {better} the line of {reference} is better. A band that leaves that line out is a "
            f"difference that is shown ({confidence:.1%} intervals).",
            tile=Tile(f"{main[-1]['paired']['mean']:+.3f}", title, main[-1]["verdict"]),
        )


def difference_rows(subject: Subject) -> list[list[str]]:
    """What the last budgets show, under `DIFFERENCES`; empty where there is no comparison."""
    comparison = subject.comparison or {"differences": (), "measures": ()}
    titles = {measure["name"]: measure["title"] for measure in comparison["measures"]}
    last = {(each["measure"], each["arm"], each["reference"], each["axis"]): each for each in comparison["differences"]}
    rows = []
    for each in last.values():
        what = [_verdict(each), AXES[each["axis"]], titles[each["measure"]]]
        size = [f"{each['paired']['mean']:+.4f}", _interval(each) or "–"]
        rows.append([f"{each['arm']} less {each['reference']}", *what, *size])
    return rows


def _sentence(found: dict[str, Any], title: str) -> str:
    pair, interval = found["paired"], _interval(found)
    seeds = f"{pair['n']} {'seeds' if pair['n'] > 1 else 'seed'}{f', interval {interval}' if interval else ''}"
    who = f"{found['arm']} against {found['reference']} at {found['n_samples']:,} samples, {title}"
    return f"{who}: {_verdict(found)} ({pair['mean']:+.4f} over {seeds})."


def _verdict(found: dict[str, Any]) -> str:
    """The verdict, and what it would take where there is none yet."""
    verdict, needed = str(found["verdict"]), found["paired"]["n_needed"]
    is_open = verdict == "no difference shown" and needed
    return f"{verdict}; {needed:,} seeds would show one of this size" if is_open else verdict


def _interval(found: dict[str, Any]) -> str:
    pair = found["paired"]
    return "" if pair["low"] is None else f"{pair['low']:+.4f} to {pair['high']:+.4f}"


def _line(subject: Subject, arm: str, found: list[dict[str, Any]]) -> Line:
    mean, low, high = ([each["paired"][key] for each in found] for key in ("mean", "low", "high"))
    band = (low, high) if any(edge is not None for edge in low) else (None, None)
    role: Role = "main" if arm == subject.main.arm else "other"
    return Line(arm, [float(each["n_samples"]) for each in found], mean, role, *band)
