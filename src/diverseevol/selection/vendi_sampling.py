"""Vendi sampling: of several random sets the one that, together with the chosen rows, is the most (or least) diverse.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), its analysis of how a subset's diversity acts on the tuned
model: random sets, ordered by the Vendi score of chosen rows and set. The score: Friedman and Dieng, 2022,
https://arxiv.org/abs/2210.02410.
Cost: `sets` times the eigenvalues of the smaller of an (P + S) × (P + S) and a D × D matrix, in float64; the chosen rows' part of it is
built once. The sets are shared out over the ranks. Scores that are equal in
10 digits, beyond which they hold the machine's rounding, go to the set drawn first.
Shape letters: P chosen rows, S rows of a set, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..base import dist
from ..errors import SelectionError
from ..vendi import check_order, vendi_of
from .distances import BLOCK_NUMBERS, blocks
from .needed import is_whole, ready
from .reader import RowReader
from .signals import Selection, Signal, Signals


@dataclass(frozen=True, slots=True)
class VendiSampling:
    """Adds the random set of a given rank among several, ordered by the Vendi score of the training set that it makes.

    Attributes:
        sets: how many are drawn.
        rank: best, median, worst, or a number from 1 (best) to `sets`.
        q: the score's order; 1 is the paper's.
    """

    sets: int = 100
    rank: int | str = "best"
    q: float = 1.0

    def __post_init__(self) -> None:
        if not is_whole(self.sets):
            raise SelectionError(f"sets must be a whole number of at least 1; found {self.sets!r}.")
        if self.rank not in ("best", "median", "worst") and not (is_whole(self.rank) and int(self.rank) <= self.sets):
            raise SelectionError(f"rank must be best, median, worst or a number from 1 to {self.sets}; found {self.rank!r}.")
        check_order(self.q)

    @property
    def needs(self) -> frozenset[str]:
        """The embeddings."""
        return frozenset({Signal.EMBEDDING})

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Draw `sets` sets of `n_new` rows with `rng`, each without replacement, and take the one of the given rank.

        Returns:
            The set's rows in the order in which they were drawn, with the column `vendi` (float64: the same for all, the score).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            NonFiniteError: a row that is chosen or may be picked holds NaN or infinite values.
            SelectionError: a row is zero and has no direction, or another argument is unusable.
        """
        reader, chosen, candidates = ready(signals, "vendi", chosen_rows, n_new, is_unit=True)
        drawn = [rng.choice(candidates, n_new, replace=False) for _ in range(self.sets)]
        score_of = _scorer(reader, chosen, n_new, self.q)
        mine = {number: score_of(drawn[number]) for number in range(dist.rank(), self.sets, dist.world_size())}
        scores = {number: score for part in dist.gather(mine) for number, score in part.items()}
        order = sorted(scores, key=lambda number: (-float(f"{scores[number]:.10g}"), number))
        taken = order[self._place()]
        return Selection(drawn[taken], {"vendi": np.full(n_new, scores[taken])})

    def _place(self) -> int:
        if isinstance(self.rank, str):
            return {"best": 0, "median": (self.sets - 1) // 2, "worst": self.sets - 1}[self.rank]
        return int(self.rank) - 1


def _scorer(reader: RowReader, chosen: np.ndarray, n_new: int, q: float) -> Callable[[np.ndarray], float]:
    """A function from a set's rows to the Vendi score of the chosen rows and the set."""
    n = len(chosen) + n_new
    if n <= reader.width:
        chosen_PD = reader.float64(chosen)
        gram_PP = chosen_PD @ chosen_PD.T

        def from_gram(rows: np.ndarray) -> float:
            set_SD = reader.float64(rows)
            between_PS = chosen_PD @ set_SD.T
            return vendi_of(np.block([[gram_PP, between_PS], [between_PS.T, set_SD @ set_SD.T]]), n, q)

        return from_gram
    kernel_DD = np.zeros((reader.width, reader.width))
    for block in blocks(len(chosen), BLOCK_NUMBERS // reader.width):
        chosen_BD = reader.float64(chosen[block])
        kernel_DD += chosen_BD.T @ chosen_BD

    def from_columns(rows: np.ndarray) -> float:
        set_SD = reader.float64(rows)
        return vendi_of(kernel_DD + set_SD.T @ set_SD, n, q)

    return from_columns
