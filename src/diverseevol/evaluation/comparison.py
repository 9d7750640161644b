"""Runs of several strategies and seeds against a reference: how large a difference is, and whether it shows.

Differences are taken within a seed, whose runs share their start, and then over the seeds (paired.py). They
compare at equal samples, and at equal response tokens, FLOPs and seconds: there the run that has spent more
is read off its own curve at what the other has spent, between its two neighbouring rounds, linear in the
logarithm; never beyond what was measured.
Intervals: 95 % over all arms that are compared with one reference at one budget (Bonferroni: each at 1 - 0.05
/ arms). Budgets, measures and axes are not corrected for: the last budget is the test, the others show the
way there.
Nothing here reads a file or knows a model; an arm is any way to choose: a strategy, all at once, the whole
pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

import numpy as np

from .paired import Finding, Paired, finding_of, paired

CONFIDENCE = 0.95
Axis = Literal["samples", "tokens", "flops", "seconds", "last"]
"""What two runs have spent alike; last: nothing, the last rounds are compared whatever they cost."""
SPENT: tuple[Axis, ...] = ("tokens", "flops", "seconds")


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
