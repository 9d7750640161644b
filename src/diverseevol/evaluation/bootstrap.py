"""Confidence intervals by the studentised bootstrap over questions (bootstrap-t).

Questions are drawn with replacement; all that is known of a question (both orders, both files of a
difference) stays together, because judgements of the same question are not independent. Each draw is divided
by its own standard error, from the influence of each question on the figure, before the quantiles are taken.
The plain percentile and the BCa interval came out too narrow on few questions (benchmarks/intervals.py shows
all three side by side).
Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 12.5,
https://doi.org/10.1201/9780429246593.
Cost: a few products of B × Q numbers, by blocks of 32 MB; 0.1 s for 80 questions.
Shape letters: Q questions, B draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Estimator = Callable[[Floats], tuple[Floats, Floats]]
"""From how often each question counts, (B, Q), to the figure, (B,), and the influence of each question on it,
(B, Q).
"""

LEVEL = 0.95
N_DRAWS = 10_000
N_LEAST = 10
"""Fewer questions than this say too little about their own spread."""
BLOCK = 1 << 22
SHARE_WITHOUT_SPREAD = 0.001


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of `LEVEL`."""

    low: float
    high: float


def ratio_of_sums(above_Q: Floats, below_Q: Floats) -> Estimator:
    """Σ above / Σ below over the questions, as an estimator."""

    def estimate(counts_BQ: Floats) -> tuple[Floats, Floats]:
        below_B = counts_BQ @ below_Q
        ratio_B = (counts_BQ @ above_Q) / below_B
        return ratio_B, (above_Q - ratio_B[:, None] * below_Q) / below_B[:, None]

    return estimate


def difference(first: Estimator, second: Estimator) -> Estimator:
    """First minus second on the same questions, as an estimator."""

    def estimate(counts_BQ: Floats) -> tuple[Floats, Floats]:
        (first_B, first_BQ), (second_B, second_BQ) = first(counts_BQ), second(counts_BQ)
        return first_B - second_B, first_BQ - second_BQ

    return estimate


def confidence_interval(estimator: Estimator, n_questions: int, seed: int = 0) -> Interval | None:
    """The interval of `LEVEL` for a figure of `n_questions` questions; None for fewer than `N_LEAST`.

    Where draws are without any spread (nearly all questions are alike) they cannot be studentised: the
    percentile interval stands in.
    """
    if n_questions < N_LEAST:
        return None
    value, error = (float(numbers[0]) for numbers in _with_error(estimator, np.ones((1, n_questions))))
    if not np.isfinite(value):
        return None
    drawn_B, error_B = draws(estimator, n_questions, seed)
    tails = np.array([1 - LEVEL, 1 + LEVEL]) / 2
    has_spread = (error_B > 1e-12 * max(1.0, abs(value))) & np.isfinite(drawn_B)
    if np.mean(~has_spread) > SHARE_WITHOUT_SPREAD:
        low, high = np.nanquantile(drawn_B, tails)
    else:
        t_B = (drawn_B[has_spread] - value) / error_B[has_spread]
        high, low = value - error * np.quantile(t_B, tails)
    return Interval(float(low), float(high))


def value_of(estimator: Estimator, n_questions: int) -> float:
    """The figure itself: each question counts once."""
    return float(estimator(np.ones((1, n_questions)))[0][0])


def draws(estimator: Estimator, n_questions: int, seed: int) -> tuple[Floats, Floats]:
    """The figure and its standard error in `N_DRAWS` draws of the questions, float64[B] each."""
    rng, n_block = np.random.default_rng(seed), max(1, BLOCK // n_questions)
    even_Q, parts = np.full(n_questions, 1 / n_questions), []
    for start in range(0, N_DRAWS, n_block):
        counts_BQ = rng.multinomial(n_questions, even_Q, size=min(n_block, N_DRAWS - start))
        parts.append(_with_error(estimator, counts_BQ.astype(np.float64)))
    drawn, errors = zip(*parts, strict=True)
    return np.concatenate(drawn), np.concatenate(errors)


def _with_error(estimator: Estimator, counts_BQ: Floats) -> tuple[Floats, Floats]:
    # A draw may hold nothing to divide by (a judgement that exists for one question only); it then counts as
    # without spread.
    with np.errstate(divide="ignore", invalid="ignore"):
        value_B, influence_BQ = estimator(counts_BQ)
        return value_B, np.sqrt(np.einsum("bq,bq->b", counts_BQ, influence_BQ**2))
