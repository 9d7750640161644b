"""What a comparison found: differences to its reference, paired by seed, by round and in the end, and each arm's end and cost.

Reads comparison.json (docs/comparing.md), which `evaluation/comparison.py` describes; nothing is computed anew. Bands around an arm's
mean, as the curves of quality have them, hold the luck that all arms of a seed share; the intervals here are without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..base.text import duration
from ..evaluation.comparison_words import AXES
from .chart import Chart, Series, flops_shown, shown
from .curves import SAMPLES
from .runs import Subject
from .text import plain

DIFFERENCES = ("strategy", "what it shows", "at", "measure", "difference", "interval")
ENDS = ("strategy", "samples", "held-out loss", "response tokens", "FLOPs", "of one full fine-tuning", "time")


def difference_charts(subject: Subject) -> Iterator[Chart]:
    """A chart a measure: how far each arm is from the reference at equal samples, with the interval of the paired difference."""
    comparison = subject.comparison
    if comparison is None:
        return
    for measure in comparison["measures"]:
        found = [each for each in comparison["differences"] if (each["measure"], each["axis"]) == (measure["name"], "samples")]
        if not found:
            continue
        reference = found[0]["reference"]
        series = [
            _line(subject, arm, [each for each in found if each["arm"] == arm])
            for arm in dict.fromkeys(each["arm"] for each in found)
        ]
        places = sorted({float(each["n_samples"]) for each in found})
        better = "below" if measure["is_lower_better"] else "above"
        yield Chart(
            key=f"difference-{measure['name'].replace('_', '-')}",
            title=f"{capital(measure['title'])}, to {plain(reference, 80)}",
            x_title=SAMPLES,
            y_title="difference in nats a token",
            series=(*series, Series(reference, places, [0.0] * len(places), "random")),
            note=f"Paired by seed; {better} the line of {plain(reference, 80)} is better. A band that leaves that line out is a difference "
            f"that is shown ({comparison['confidence'][reference]:.1%} intervals).",
        )


def difference_rows(subject: Subject) -> list[list[str]]:
    """What the last budgets show, under `DIFFERENCES`; empty where there is no comparison."""
    comparison = subject.comparison or {"differences": (), "measures": ()}
    titles = {measure["name"]: measure["title"] for measure in comparison["measures"]}
    last: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in comparison["differences"]:
        last[each["measure"], each["arm"], each["reference"], each["axis"]] = each
    return [
        [
            plain(f"{each['arm']} less {each['reference']}", 120),
            what_it_shows(each),
            AXES[each["axis"]],
            titles[each["measure"]],
            f"{each['paired']['mean']:+.4f}",
            "–" if each["paired"]["low"] is None else f"{each['paired']['low']:+.4f} to {each['paired']['high']:+.4f}",
        ]
        for each in last.values()
    ]


def end_rows(subject: Subject) -> list[list[str]]:
    """Where each arm ended, as a mean over its seeds, and what that model cost as if it had been made alone, under `ENDS`."""
    comparison, full = subject.comparison, (subject.main.plan or {}).get("full_flops")
    if comparison is None:
        return []
    rows = []
    for level in {each["arm"]: each for each in comparison["levels"]}.values():
        loss, spread, flops = level["mean"]["heldout_loss"], level["deviation"]["heldout_loss"], level["flops"]
        rows.append(
            [
                plain(level["arm"], 80),
                shown(level["n_samples"]),
                shown(loss) + ("" if spread is None else f" ± {spread:.2g}"),
                shown(round(level["trained_tokens"])),
                "–" if flops is None else flops_shown(flops),
                f"{flops / full:.2f}" if flops is not None and full else "–",
                duration(level["seconds"]),
            ]
        )
    return rows


def main_differences(subject: Subject) -> Iterator[tuple[str, dict[str, Any]]]:
    """The last difference at equal samples of the arm that is looked at closely, by each measure's title."""
    comparison = subject.comparison or {"differences": (), "measures": ()}
    for measure in comparison["measures"]:
        asked = (measure["name"], subject.main.arm, "samples")
        found = [each for each in comparison["differences"] if (each["measure"], each["arm"], each["axis"]) == asked]
        if found:
            yield measure["title"], found[-1]


def what_it_shows(found: dict[str, Any]) -> str:
    """The verdict, and what it would take where there is none yet."""
    verdict, needed = str(found["verdict"]), found["paired"]["n_needed"]
    return f"{verdict}; {needed:,} seeds would show one of this size" if verdict == "no difference shown" and needed else verdict


def capital(text: str) -> str:
    """A title at the beginning of a line."""
    return text[:1].upper() + text[1:]


def _line(subject: Subject, arm: str, found: list[dict[str, Any]]) -> Series:
    pairs = [each["paired"] for each in found]
    has_band = any(pair["low"] is not None for pair in pairs)
    return Series(
        plain(arm, 80),
        [float(each["n_samples"]) for each in found],
        [pair["mean"] for pair in pairs],
        "main" if arm == subject.main.arm else "other",
        [pair["low"] for pair in pairs] if has_band else None,
        [pair["high"] for pair in pairs] if has_band else None,
    )
