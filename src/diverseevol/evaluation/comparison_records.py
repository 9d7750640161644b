"""What a comparison is made of: figures of runs going in, levels and differences coming out. Plain values, one seed or many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .paired import Paired

CONFIDENCE = 0.95
Axis = Literal["samples", "tokens", "flops", "seconds", "last"]
"""What two runs have spent alike; last: nothing, the last rounds are compared whatever they cost."""
SPENT: tuple[Axis, ...] = ("tokens", "flops", "seconds")
Verdict = Literal["better", "worse", "no difference shown", "one seed shows nothing"]


@dataclass(frozen=True)
class Measure:
    """A figure of a model."""

    name: str
    title: str
    is_lower_better: bool = True


@dataclass(frozen=True)
class Point:
    """One round's model: what was spent to get it, all rounds before included, and its figures by the measures' names."""

    n_samples: int
    trained_tokens: int
    """Response tokens in the samples, each counted once."""
    seconds: float
    flops: float | None
    """None where a trainer outside did not say."""
    values: Mapping[str, float]

    def spent(self, axis: Axis) -> float | None:
        """What was spent along an axis."""
        return {"samples": self.n_samples, "tokens": self.trained_tokens, "flops": self.flops, "seconds": self.seconds}[axis]


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
    verdict: Verdict


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

    def find(self, arm: str, reference: str, measure: str, axis: Axis, n_samples: int | None = None) -> Difference | None:
        """The difference along an axis at a budget of the arm's, None: the last; None where there is none."""
        asked = (arm, reference, measure, axis)
        found = [each for each in self.differences if (each.arm, each.reference, each.measure, each.axis) == asked]
        return next((each for each in reversed(found) if n_samples in (None, each.n_samples)), None)


def compared_with(arms: Sequence[str], reference: str, references: Sequence[str]) -> list[str]:
    """The arms that are compared with a reference; two references are compared once, with the later one."""
    earlier = references[: list(references).index(reference)]
    return [arm for arm in arms if arm != reference and (arm not in references or arm in earlier)]


def confidence_each(n_arms: int) -> float:
    """Confidence of each of several intervals that are to hold together."""
    return 1 - (1 - CONFIDENCE) / max(1, n_arms)
