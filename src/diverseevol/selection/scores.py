"""Selection by one number a row: what the model is unsure of or gets wrong, how an instruction helps.

Sources: least confidence, margin and entropy of DiverseEvol (Wu et al., 2023,
https://arxiv.org/abs/2311.08182), on raw logits over all positions (`variant` paper); the same on
probabilities over the response (response), as uncertainty sampling is meant (Settles, 2009,
http://digital.library.wisc.edu/1793/60660). Loss over the response; perplexity is its exponential, so the
order is the same. Instruction-Following Difficulty (Li et al., 2023, https://arxiv.org/abs/2308.12032): the
answer's loss behind its instruction over its loss alone; from 1 on the instruction does not help, and such
rows are left out.
Cost: O(N log N) time, O(N) memory.
Shape letters: N pool rows, M rows that may be picked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import validate_call

from ..base.text import some_of
from ..errors import NonFiniteError, PoolExhaustedError
from .base import Selection, Signal, Signals

Variant = Literal["paper", "response"]


@dataclass(frozen=True, slots=True)
class ByScore:
    """Adds the rows whose score is the largest, or the smallest; made by the functions below.

    Attributes:
        name: the strategy's name, for messages.
        reads: the signals that `score` reads, in its order.
        takes_largest: whether the largest scores are taken, or the smallest.
        score: a row's score from those signals.
        limit: rows whose score is not below it are left out.
    """

    name: str
    reads: tuple[Signal, ...]
    takes_largest: bool
    score: Callable[..., np.ndarray] = np.positive
    limit: float = np.inf

    @property
    def needs(self) -> frozenset[str]:
        """The signals that the score is made of."""
        return frozenset(self.reads)

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick the `n_new` rows with the best scores, best first; equal scores go to the lowest row.

        `rng` is not used.

        Returns:
            The picks with the column `score` (float64).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left, or fewer have a score below the
                limit.
            NonFiniteError: the score of a row that may be picked is NaN or infinite.
            SelectionError: a signal is missing, or another argument is unusable.
        """
        free = signals.free(chosen_rows, n_new)
        columns = [signals.numbers(signal.value, self.name)[free] for signal in self.reads]
        with np.errstate(divide="ignore", invalid="ignore"):
            scores_M = self.score(*columns)
        bad = free[~np.isfinite(np.stack([*columns, scores_M])).all(axis=0)]
        if bad.size:
            raise NonFiniteError(
                f"{self.name}: the score of {bad.size} rows is NaN or infinite: rows {some_of(bad)}. "
                f"Compute {', '.join(self.reads)} again, in float32."
            )
        is_within = scores_M < self.limit
        n_within = int(is_within.sum())
        if n_within < n_new:
            raise PoolExhaustedError(
                f"cannot select {n_new} new samples by {self.name}: of {len(free)} unchosen rows {n_within} "
                f"have a score below {self.limit:g}; the others are left out. Lower n_new or rounds."
            )
        free, scores_M = free[is_within], scores_M[is_within]
        best = np.argsort(-scores_M if self.takes_largest else scores_M, kind="stable")[:n_new]
        return Selection(free[best], {"score": scores_M[best]})


@validate_call
def least_confidence(variant: Variant = "paper") -> ByScore:
    """The smallest largest logit (paper), or largest probability (response), on average over a row."""
    signal = Signal.PAPER_CONFIDENCE if variant == "paper" else Signal.CONFIDENCE
    return ByScore("least_confidence", (signal,), takes_largest=False)


@validate_call
def margin(variant: Variant = "paper") -> ByScore:
    """The smallest difference of the two largest logits (paper) or probabilities, on average over a row."""
    signal = Signal.PAPER_MARGIN if variant == "paper" else Signal.MARGIN
    return ByScore("margin", (signal,), takes_largest=False)


@validate_call
def entropy(variant: Variant = "paper") -> ByScore:
    """The largest entropy of the next token, on average over all positions (paper) or the response."""
    signal = Signal.PAPER_ENTROPY if variant == "paper" else Signal.ENTROPY
    return ByScore("entropy", (signal,), takes_largest=True)


@validate_call
def loss(order: Literal["highest", "lowest"] = "highest") -> ByScore:
    """The highest or lowest mean loss, and with it perplexity, of the response."""
    return ByScore("loss", (Signal.LOSS,), takes_largest=order == "highest")


def ifd() -> ByScore:
    """The largest Instruction-Following Difficulty below 1: loss behind the instruction over loss without."""
    return ByScore("ifd", (Signal.LOSS, Signal.ANSWER_LOSS), takes_largest=True, score=np.divide, limit=1.0)
