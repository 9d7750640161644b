"""Runs of several strategies and seeds against a reference: how large a difference is, and whether it shows.

Differences are taken within a seed, whose runs share their start, and then over the seeds (paired.py). They
compare at equal samples, and at equal response tokens, FLOPs and seconds: there the run that has spent more
is read off its own curve at what the other has spent, between its two neighbouring rounds, linear in the
logarithm; never beyond what was measured.
Intervals: 95 % over all arms that are compared with one reference at one budget (Bonferroni: each at 1 - 0.05
/ arms). Budgets, measures and axes are not corrected for: the last budget is the test, the others show the
way there.
The words say of each arm what is shown by each measure and each way to count, and where these disagree: a
strategy can win on one test set and lose on another, or win by longer responses alone.
Nothing here reads a file or knows a model; an arm is any way to choose: a strategy, all at once, the whole
pool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any, Literal

import numpy as np

from .paired import Finding, Paired, finding_of, paired

CONFIDENCE = 0.95
Axis = Literal["samples", "tokens", "flops", "seconds", "last"]
"""What two runs have spent alike; last: nothing, the last rounds are compared whatever they cost."""
AXES: dict[Axis, str] = {
    "samples": "equal samples",
    "tokens": "equal response tokens",
    "flops": "equal FLOPs",
    "seconds": "equal time",
    "last": "the last rounds",
}
VERBS = {"better": "wins on", "worse": "loses on", "no difference shown": "shows no difference on"}
SPENT: tuple[Axis, ...] = ("tokens", "flops", "seconds")
ENOUGH_SEEDS = 5
"""With fewer, the interval is more than 1.4 times as wide as the same spread gives with many."""
UNLIKE_TOKENS = 0.02
"""Shares of response tokens that differ by less are called equal."""


@dataclass(frozen=True)
class Measure:
    """A figure of a model."""

    name: str
    title: str
    is_lower_better: bool = True


@dataclass(frozen=True)
class Point:
    """One round's model: what was spent to get it, all rounds before included, and its figures by measure."""

    n_samples: int
    trained_tokens: int
    """Response tokens in the samples, each counted once."""
    seconds: float
    flops: float | None
    """None where a trainer outside did not say."""
    values: Mapping[str, float]

    def spent(self, axis: Axis) -> float | None:
        """What was spent along an axis."""
        spent = {"tokens": self.trained_tokens, "flops": self.flops, "seconds": self.seconds}
        return spent.get(axis, self.n_samples)


@dataclass(frozen=True)
class Run:
    """One arm's run with one seed, a point a round."""

    arm: str
    seed: int
    points: tuple[Point, ...]

    @property
    def budgets(self) -> tuple[int, ...]:
        """The number of samples after each round."""
        return tuple(point.n_samples for point in self.points)


@dataclass(frozen=True)
class Level:
    """Where an arm stands at a budget: means over the seeds."""

    arm: str
    n_samples: int
    n_seeds: int
    mean: Mapping[str, float]
    deviation: Mapping[str, float | None]
    """Standard deviation over the seeds; None with one."""
    trained_tokens: float
    seconds: float
    flops: float | None


@dataclass(frozen=True)
class Difference:
    """An arm's figure less the reference's, paired by seed, and what it shows."""

    arm: str
    reference: str
    measure: str
    axis: Axis
    n_samples: int
    """The arm's budget."""
    at: float
    """Mean over the seeds of what both have spent along the axis."""
    paired: Paired
    verdict: Finding


@dataclass(frozen=True)
class Comparison:
    """Everything that the runs say."""

    measures: tuple[Measure, ...]
    runs: tuple[Run, ...]
    references: tuple[str, ...]
    levels: tuple[Level, ...]
    differences: tuple[Difference, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds, ascending."""
        return tuple(sorted({run.seed for run in self.runs}))

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms, in the order given."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each arm with each reference that it is held against."""
        by_reference = [(each, compared_with(self.arms, each, self.references)) for each in self.references]
        return [(arm, reference) for reference, arms in by_reference for arm in arms]

    def confidence(self, reference: str) -> float:
        """Of each interval of a difference to that reference."""
        return confidence_each(len(compared_with(self.arms, reference, self.references)))

    def level(self, arm: str) -> Level:
        """Where an arm stands in the end."""
        return [level for level in self.levels if level.arm == arm][-1]

    def find(
        self, arm: str, reference: str, measure: str, axis: Axis, n_samples: int | None = None
    ) -> Difference | None:
        """The difference along an axis at a budget of the arm's, None: the last; None where there is none."""
        asked = (arm, reference, measure, axis)
        found = [
            each for each in self.differences if (each.arm, each.reference, each.measure, each.axis) == asked
        ]
        return next((each for each in reversed(found) if n_samples in (None, each.n_samples)), None)


def compare_runs(runs: Sequence[Run], measures: Sequence[Measure], references: Sequence[str]) -> Comparison:
    """Compare all arms with the references.

    Args:
        runs: Every arm with every seed once, an arm's runs with the same budgets; only the whole pool's may
            differ.
        measures: The first is the one that decides.
        references: Arms to compare with. The first (random) has every arm's budgets, and is compared at all
            of them, along all axes; with the others (the whole pool) the arms' last rounds are compared.
    """
    by_arm: dict[str, list[Run]] = {run.arm: [] for run in runs}
    for run in sorted(runs, key=lambda run: run.seed):
        by_arm[run.arm].append(run)
    differences: list[Difference] = []
    for reference in references:
        arms = compared_with(tuple(by_arm), reference, references)
        for arm in arms:
            pairs = list(zip(by_arm[arm], by_arm[reference], strict=True))
            for measure in measures:
                read = _along if reference == references[0] else _at_the_end
                for axis, budget, readings in read(pairs, measure.name):
                    at = float(np.mean([at for at, _, _ in readings]))
                    found = paired([one - other for _, one, other in readings], confidence_each(len(arms)))
                    verdict = verdict_of(found, measure.is_lower_better)
                    differences.append(
                        Difference(arm, reference, measure.name, axis, budget, at, found, verdict)
                    )
    levels = tuple(level for of_arm in by_arm.values() for level in _levels(of_arm))
    return Comparison(tuple(measures), tuple(runs), tuple(references), levels, tuple(differences))


def verdict_of(found: Paired, is_lower_better: bool) -> Finding:
    """What an interval shows; one that contains 0, or none at all, shows nothing."""
    if found.n < 2:
        return "one seed shows nothing"
    if found.low is None or found.high is None:
        return "no difference shown"
    return finding_of(found.low, found.high, is_lower_better)


def read_at(points: Sequence[Point], axis: Axis, spent: float, measure: str) -> float | None:
    """A curve's figure where `spent` was spent, linear in the logarithm; None outside of its points."""
    pairs = sorted((float(point.spent(axis) or 0), point.values[measure]) for point in points)
    if not 0 < pairs[0][0] <= spent <= pairs[-1][0]:
        return None
    return float(np.interp(log(spent), [log(place) for place, _ in pairs], [value for _, value in pairs]))


Pairs = Sequence[tuple[Run, Run]]
Reading = tuple[float, float, float]
"""One seed: what both have spent, the arm's figure, the reference's."""


def _along(pairs: Pairs, measure: str) -> Iterator[tuple[Axis, int, list[Reading]]]:
    """An arm and its reference at each budget of both, along every axis, without a start that they share."""
    arm, reference = pairs[0]
    for budget in [budget for budget in arm.budgets if budget in reference.budgets]:
        ends = [[run.points[run.budgets.index(budget)] for run in pair] for pair in pairs]
        if budget == arm.budgets[0] and all(one.values == other.values for one, other in ends):
            continue
        yield "samples", budget, [(budget, one.values[measure], other.values[measure]) for one, other in ends]
        for axis in SPENT:
            readings: list[Reading] = []
            for (one, other), points in zip(pairs, ends, strict=True):
                # Both where the thriftier of the two stands; the other is read off its curve.
                spent = [value for point in points if (value := point.spent(axis)) is not None]
                at = min(spent, default=0.0)
                figures = read_at(one.points, axis, at, measure), read_at(other.points, axis, at, measure)
                if len(spent) == 2 and figures[0] is not None and figures[1] is not None:
                    readings.append((at, figures[0], figures[1]))
            if readings:
                yield axis, budget, readings


def _at_the_end(pairs: Pairs, measure: str) -> Iterator[tuple[Axis, int, list[Reading]]]:
    """The last rounds of both, whatever they cost."""
    budget = pairs[0][0].budgets[-1]
    ends = [(one.points[-1].values[measure], other.points[-1].values[measure]) for one, other in pairs]
    yield "last", budget, [(budget, *figures) for figures in ends]


def _levels(runs: Sequence[Run]) -> Iterator[Level]:
    """An arm's means at each of its budgets."""
    for points in zip(*(run.points for run in runs), strict=True):
        figures = {name: [point.values[name] for point in points] for name in points[0].values}
        flops = [point.flops for point in points if point.flops is not None]
        yield Level(
            arm=runs[0].arm,
            n_samples=round(np.mean([point.n_samples for point in points])),
            n_seeds=len(points),
            mean={name: float(np.mean(values)) for name, values in figures.items()},
            deviation={
                name: float(np.std(values, ddof=1)) if len(values) > 1 else None
                for name, values in figures.items()
            },
            trained_tokens=float(np.mean([point.trained_tokens for point in points])),
            seconds=float(np.mean([point.seconds for point in points])),
            flops=float(np.mean(flops)) if len(flops) == len(points) else None,
        )


def compared_with(arms: Sequence[str], reference: str, references: Sequence[str]) -> list[str]:
    """The arms that are compared with a reference; two references are compared once, with the later one."""
    earlier = references[: list(references).index(reference)]
    return [arm for arm in arms if arm != reference and (arm not in references or arm in earlier)]


def confidence_each(n_arms: int) -> float:
    """Confidence of each of several intervals that are to hold together."""
    return 1 - (1 - CONFIDENCE) / max(1, n_arms)


def in_words(comparison: Comparison) -> list[str]:
    """Say what a comparison shows, a line a finding, and the notes that belong to it at the end."""
    lines: list[str] = []
    for arm, reference in comparison.pairs:
        lines += _about(comparison, arm, reference)
        lines += [f"  {line}" for line in _remarks_on(comparison, arm, reference)]
    return lines + list(_notes(comparison))


def remarks(comparison: Comparison) -> list[str]:
    """Say what no table shows: where measures and ways to count disagree, how to read the intervals."""
    found = [line for pair in comparison.pairs for line in _remarks_on(comparison, *pair)]
    return found + list(_notes(comparison))


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
