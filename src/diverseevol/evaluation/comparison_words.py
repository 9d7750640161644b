"""A comparison in words and as rows of a table.

The words say of each arm what is shown at equal samples, response tokens, FLOPs and time, by each measure,
and where these disagree: a strategy can win on one test set and lose on another, or win by longer responses
alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from .comparison import Axis, Comparison, Difference, compared_with

AXES: dict[Axis, str] = {
    "samples": "equal samples",
    "tokens": "equal response tokens",
    "flops": "equal FLOPs",
    "seconds": "equal time",
    "last": "the last rounds",
}
VERBS = {"better": "wins on", "worse": "loses on", "no difference shown": "shows no difference on"}
ENOUGH_SEEDS = 5
"""With fewer, the interval is more than 1.4 times as wide as the same spread gives with many."""
UNLIKE_TOKENS = 0.02
"""Shares of response tokens that differ by less are called equal."""


def in_words(comparison: Comparison) -> list[str]:
    """Say what a comparison shows, a line a finding, and the notes that belong to it at the end."""
    lines: list[str] = []
    for arm, reference in _compared(comparison):
        lines += _about(comparison, arm, reference)
        lines += [f"  {line}" for line in _remarks_on(comparison, arm, reference)]
    return lines + list(_notes(comparison))


def remarks(comparison: Comparison) -> list[str]:
    """Say what no table shows: where measures and ways to count disagree, how to read the intervals."""
    pairs = _compared(comparison)
    return [line for pair in pairs for line in _remarks_on(comparison, *pair)] + list(_notes(comparison))


def _compared(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Each arm with each reference that it is held against."""
    for reference in comparison.references:
        for arm in compared_with(comparison.arms, reference, comparison.references):
            yield arm, reference


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Everything as flat rows: a row a difference, and one without where an arm has none at a budget."""
    table: list[dict[str, Any]] = []
    for level in comparison.levels:
        for measure in comparison.measures:
            place = (level.arm, level.n_samples, measure.name)
            here: list[Difference | None] = [
                each for each in comparison.differences if (each.arm, each.n_samples, each.measure) == place
            ]
            for found in here or [None]:
                pairs = found.paired if found else None
                row = {
                    "arm": level.arm,
                    "n_samples": level.n_samples,
                    "trained_tokens": level.trained_tokens,
                    "seconds": level.seconds,
                    "flops": level.flops,
                    "n_seeds": level.n_seeds,
                    "measure": measure.name,
                    "mean": level.mean[measure.name],
                    "deviation": level.deviation[measure.name],
                    "axis": found and found.axis,
                    "at": found and found.at,
                    "reference": found and found.reference,
                    "difference": pairs and pairs.mean,
                    "low": pairs and pairs.low,
                    "high": pairs and pairs.high,
                    "confidence": found and comparison.confidence(found.reference),
                    "n_pairs": pairs and pairs.n,
                    "verdict": found and found.verdict,
                    "seeds_needed": pairs and pairs.n_needed,
                }
                table.append(row)
    return table


def shown(found: Difference) -> str:
    """A difference with its interval: `-0.0156 [-0.0272, -0.0040]`."""
    pairs = found.paired
    text = f"{pairs.mean:+.4f}"
    return (
        text if pairs.low is None or pairs.high is None else f"{text} [{pairs.low:+.4f}, {pairs.high:+.4f}]"
    )


def verdict_line(found: Difference) -> str:
    """A difference in words, with what it would take to show it where it is not shown."""
    pairs = found.paired
    text = f"{found.verdict}: {shown(found)}"
    if found.verdict != "no difference shown":
        return text
    if pairs.low is None:
        return f"{text} in every seed, so that nothing can be said of luck"
    if pairs.n_needed is None:
        return f"{text}; 10,000 seeds would not show one of this size"
    return f"{text}; if it is as large as it looks, {pairs.n_needed} seeds would show it (80 % power)"


def _about(comparison: Comparison, arm: str, reference: str) -> Iterator[str]:
    """The findings about an arm against a reference at the last budget."""
    level, other = comparison.level(arm), comparison.level(reference)
    yield f"{arm} ({level.n_samples:,} samples) against {reference} ({other.n_samples:,}):"
    for measure in comparison.measures:
        best = "lower" if measure.is_lower_better else "higher"
        means = f"{level.mean[measure.name]:.4f} against {other.mean[measure.name]:.4f}"
        yield f"  {measure.title} ({best} is better), {means}"
        for axis, name in AXES.items():
            if found := comparison.find(arm, reference, measure.name, axis):
                n, n_all = found.paired.n, len(comparison.seeds)
                yield f"    {name}: {verdict_line(found)}" + (
                    f" ({n} of {n_all} seeds reach this far)" if n < n_all else ""
                )


def _remarks_on(comparison: Comparison, arm: str, reference: str) -> Iterator[str]:
    """What must be known of an arm beside its differences, and where these say one thing and another."""
    level, other = comparison.level(arm), comparison.level(reference)
    ratio = level.trained_tokens / other.trained_tokens
    is_same_size = level.n_samples == other.n_samples
    if is_same_size and abs(ratio - 1) > UNLIKE_TOKENS:
        more = f"{abs(ratio - 1):.0%} {'more' if ratio > 1 else 'fewer'}"
        yield f"{arm} was given {more} response tokens than {reference} for as many samples."
    measures = comparison.measures
    axis: Axis = "samples" if comparison.find(arm, reference, measures[0].name, "samples") else "last"
    found = [(measure, comparison.find(arm, reference, measure.name, axis)) for measure in measures]
    parts = []
    for verdict, text in VERBS.items():
        titles = [measure.title for measure, each in found if each and each.verdict == verdict]
        parts += [f"{text} {' and '.join(titles)}"] if titles else []
    if len(parts) > 1:
        yield f"{arm} {', '.join(parts)}."
    for measure, at_samples in found if is_same_size and ratio > 1 else ():
        at_tokens = comparison.find(arm, reference, measure.name, "tokens")
        if at_samples and at_tokens and at_samples.verdict == "better" != at_tokens.verdict:
            yield (
                f"By {measure.title}, its lead is not shown at equal response tokens: it may come from "
                "longer responses alone."
            )


def _notes(comparison: Comparison) -> Iterator[str]:
    """What must be known to read the lines above rightly."""
    n_seeds = len(comparison.seeds)
    if n_seeds == 1:
        yield (
            "One seed shows nothing: a difference of the size of a seed's luck looks just like this. "
            "Give five (--seeds 0,1,2,3,4)."
        )
    elif n_seeds < ENOUGH_SEEDS:
        few = f"{n_seeds} seeds are few: the intervals are wide, and only large differences show."
        yield f"{few} Five or more are better."
    for reference in comparison.references if n_seeds > 1 else ():
        n_arms = len(compared_with(comparison.arms, reference, comparison.references))
        each = f"{comparison.confidence(reference):.1%}"
        if n_arms > 1:
            yield (
                f"Intervals of differences to {reference} hold for its {n_arms} opponents together "
                f"(Bonferroni: {each} each), not over budgets, measures and ways to count."
            )
        elif n_arms:
            yield (
                f"Intervals of differences to {reference} are 95 %, each by itself: not corrected over "
                "budgets, measures and ways to count."
            )
    n_points = Counter(level.arm for level in comparison.levels)
    coarse = [arm for arm in comparison.arms if arm not in comparison.references and n_points[arm] == 2]
    if coarse and n_points[comparison.references[0]] > 2:
        names = ", ".join(coarse)
        yield f"{names}: only two rounds, so that figures between them are read off one long line."
