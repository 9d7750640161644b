"""Vendi sampling: of several random sets the one that, together with the chosen rows, is the most (or least) diverse.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), its analysis of how a subset's diversity acts on the tuned
model: random sets, ordered by the Vendi score of chosen rows and set. The score: Friedman and Dieng, 2022,
https://arxiv.org/abs/2210.02410.
Cost: `sets` times the eigenvalues of the smaller of an (P + S) × (P + S) and a D × D matrix, in float64, on rank 0; the chosen rows' part
of it is built once. Scores that are equal in 10 digits, beyond which they hold the machine's rounding, go to the set drawn first.
Shape letters: P chosen rows, S rows of a set, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import PositiveInt
from pydantic.dataclasses import dataclass

from ..base import dist
from ..errors import SelectionError
from ..vendi import check_order, vendi_of
from .base import STRICT, Selection, Signal, Signals
from .reader import BLOCK_NUMBERS, RowReader, blocks


@dataclass(frozen=True, config=STRICT)
class VendiSampling:
    """Adds the random set of a given rank among several, ordered by the Vendi score of the training set that it makes.

    Attributes:
        sets: how many are drawn.
        rank: best, median, worst, or a number from 1 (best) to `sets`.
        q: the score's order; 1 is the paper's.
    """

    sets: PositiveInt = 100
    rank: Literal["best", "median", "worst"] | PositiveInt = "best"
    q: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.rank, int) and self.rank > self.sets:
            raise SelectionError(f"rank must be best, median, worst or a number from 1 to {self.sets}; found {self.rank}.")
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
        reader = RowReader.of(signals, "vendi", is_unit=True)
        chosen, free = signals.chosen(chosen_rows), signals.free(chosen_rows, n_new)
        drawn = [rng.choice(free, n_new, replace=False) for _ in range(self.sets)]

        def scores() -> list[float]:
            reader.check(np.concatenate([free, chosen]))
            score_of = _scorer(reader, chosen, n_new, self.q)
            return [score_of(rows) for rows in drawn]

        found = dist.on_main(scores)
        order = sorted(range(self.sets), key=lambda number: (-float(f"{found[number]:.10g}"), number))
        places = {"best": 0, "median": (self.sets - 1) // 2, "worst": self.sets - 1}
        taken = order[places[self.rank] if isinstance(self.rank, str) else self.rank - 1]
        return Selection(drawn[taken], {"vendi": np.full(n_new, found[taken])})


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
