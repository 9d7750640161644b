"""Differences of pairs: their mean, how sure it is, and how many pairs would show it.

A pair is one seed's two figures: what the seed decides (the first draw, the order of training) is the same in
both, so that its luck falls out of the difference. The interval is Student's t over the seeds' differences
(Student, 1908, https://doi.org/10.2307/2331554).
How many pairs would show a difference is the sample size of the paired t-test at 80 % power, by the
noncentral t distribution (Cohen, 1988, Statistical power analysis for the behavioral sciences, chapter 2).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import nct, t, ttest_1samp

Finding = Literal["better", "worse", "no difference shown", "too few questions", "one seed shows nothing"]
POWER = 0.8
MOST_PAIRS = 10_000
"""More pairs than this are not counted out: no such experiment is made."""


@dataclass(frozen=True)
class Paired:
    """What `n` differences say: their mean, and from `low` to `high` its interval.

    The ends are None where there is no interval: one pair, or pairs that do not differ among themselves.
    `n_needed` pairs would show a difference of this size with 80 % power; None: unknown, or more than 10,000.
    """

    n: int
    mean: float
    low: float | None = None
    high: float | None = None
    n_needed: int | None = None


def paired(differences: Sequence[float], confidence: float) -> Paired:
    """Sum up the differences of at least one pair.

    Args:
        differences: One a pair, finite.
        confidence: Of the interval, two-sided, such as 0.95.
    """
    values = np.asarray(differences, dtype=np.float64)
    mean = float(values.mean())
    # Equal to the last bit, the differences hold no luck that could be measured; their deviation would be
    # rounding alone.
    if len(values) < 2 or np.ptp(values) == 0:
        return Paired(len(values), mean)
    low, high = map(float, ttest_1samp(values, 0.0).confidence_interval(confidence))
    needed = pairs_needed(abs(mean) / float(values.std(ddof=1)), 1 - confidence)
    return Paired(len(values), mean, low, high, needed)


def finding_of(low: float, high: float, is_lower_better: bool = False) -> Finding:
    """What the interval of a difference shows; one that contains 0 shows nothing."""
    if low <= 0 <= high:
        return "no difference shown"
    return "better" if (high < 0) == is_lower_better else "worse"


def pairs_needed(effect: float, alpha: float) -> int | None:
    """The fewest pairs with which the paired t-test finds an effect with 80 % power; None: more than 10,000.

    Args:
        effect: Mean of the differences in standard deviations of them.
        alpha: Chance of an interval without 0 where there is no effect.
    """
    if power(MOST_PAIRS, effect, alpha) < POWER:
        return None
    counts = range(2, MOST_PAIRS + 1)
    return counts[bisect_left(counts, POWER, key=lambda n: power(n, effect, alpha))]


def power(n: int, effect: float, alpha: float) -> float:
    """Chance that the interval of `n` pairs leaves 0 out where the effect is `effect` deviations."""
    bound, shift = t.isf(alpha / 2, n - 1), effect * math.sqrt(n)
    # Far from the bound the library returns NaN for what is 1 above it and 0 below.
    above = np.nan_to_num(nct.sf(bound, n - 1, shift), nan=1.0)
    below = np.nan_to_num(nct.cdf(-bound, n - 1, shift), nan=0.0)
    return float(above + below)
