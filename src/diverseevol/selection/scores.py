"""Selection by one number a row: what the model is least sure of, what it gets wrong, what an instruction helps it with.

Sources: least confidence, margin and entropy of DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), on raw logits over
all positions (`variant` paper); the same on probabilities over the response (response), as uncertainty sampling is meant (Settles,
2009, http://digital.library.wisc.edu/1793/60660). Loss over the response; perplexity is its exponential, so the order is the same.
Instruction-Following Difficulty (Li et al., 2023, https://arxiv.org/abs/2308.12032): the answer's loss behind its instruction over its
loss alone; from 1 on the instruction does not help, and such rows are left out.
Cost: O(N log N) time, O(N) memory; nothing is exchanged between ranks.
Shape letters: N pool rows, M candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..base.text import some_of
from ..errors import NonFiniteError, PoolExhaustedError, SelectionError
from .candidates import candidate_rows, check_chosen_rows
from .needed import numbers_of
from .signals import Selection, Signal, Signals


@dataclass(frozen=True, slots=True)
class ByScore:
    """Adds the rows whose score is the largest, or the smallest; made by the functions below.

    Attributes:
        name: the strategy's name, for messages.
        reads: the signals that `score` reads, in its order.
        score: a row's score from those signals.
        takes_largest: whether the largest scores are taken, or the smallest.
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

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick the `n_new` rows with the best scores, best first; equal scores go to the lowest row. `rng` is not used.

        Returns:
            The picks with the column `score` (float64).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left, or fewer have a score below the limit.
            NonFiniteError: the score of a row that may be picked is NaN or infinite.
            SelectionError: a signal is missing, or another argument is unusable.
        """
        candidates = candidate_rows(signals, check_chosen_rows(chosen_rows, signals.n_rows), n_new)
        scores_M = self._scores(signals, candidates)
        is_within = scores_M < self.limit
        if int(is_within.sum()) < n_new:
            raise PoolExhaustedError(
                f"cannot select {n_new} new samples by {self.name}: of {len(candidates)} unchosen rows {int(is_within.sum())} have a "
                f"score below {self.limit:g}; the others are left out. Lower n_new or rounds."
            )
        candidates, scores_M = candidates[is_within], scores_M[is_within]
        best = np.argsort(-scores_M if self.takes_largest else scores_M, kind="stable")[:n_new]
        return Selection(candidates[best], {"score": scores_M[best]})

    def _scores(self, signals: Signals, rows: np.ndarray) -> np.ndarray:
        columns = [numbers_of(signals, signal.value, self.name)[rows] for signal in self.reads]
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = self.score(*columns)
        bad = rows[~np.isfinite(np.stack([*columns, scores])).all(axis=0)]
        if bad.size:
            raise NonFiniteError(
                f"{self.name}: the score of {bad.size} rows is NaN or infinite: rows {some_of(bad)}. "
                f"Compute {', '.join(self.reads)} again, in float32."
            )
        return scores


def least_confidence(variant: Literal["paper", "response"] = "paper") -> ByScore:
    """The smallest largest logit (paper), or largest probability (response), on average over a row."""
    return ByScore("least_confidence", (_variant(variant, Signal.PAPER_CONFIDENCE, Signal.CONFIDENCE),), takes_largest=False)


def margin(variant: Literal["paper", "response"] = "paper") -> ByScore:
    """The smallest difference of the two largest logits (paper), or probabilities (response), on average over a row."""
    return ByScore("margin", (_variant(variant, Signal.PAPER_MARGIN, Signal.MARGIN),), takes_largest=False)


def entropy(variant: Literal["paper", "response"] = "paper") -> ByScore:
    """The largest entropy of the next token, on average over all positions (paper) or the response."""
    return ByScore("entropy", (_variant(variant, Signal.PAPER_ENTROPY, Signal.ENTROPY),), takes_largest=True)


def loss(order: Literal["highest", "lowest"] = "highest") -> ByScore:
    """The highest or lowest mean loss, and with it perplexity, of the response."""
    _check("order", order, ("highest", "lowest"))
    return ByScore("loss", (Signal.LOSS,), takes_largest=order == "highest")


def ifd() -> ByScore:
    """The largest Instruction-Following Difficulty below 1: loss behind the instruction over loss without it."""
    return ByScore("ifd", (Signal.LOSS, Signal.ANSWER_LOSS), takes_largest=True, score=np.divide, limit=1.0)


def _variant(variant: str, paper: Signal, response: Signal) -> Signal:
    _check("variant", variant, ("paper", "response"))
    return paper if variant == "paper" else response


def _check(option: str, value: str, known: tuple[str, str]) -> None:
    if value not in known:
        raise SelectionError(f"{option} must be {known[0]!r} or {known[1]!r}; found {value!r}.")
