"""Vendi sampling: of several random sets the one that, with the chosen rows, is the most diverse.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), its analysis of how a subset's
diversity acts on the tuned model: random sets, ordered by the Vendi score of chosen rows and set.
Cost: `sets` scores (vendi.py) in float64 on rank 0. Scores that are equal in 10 digits, beyond which they
hold the machine's rounding, go to the set drawn first.
Shape letters: N rows, D embedding width.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt
from pydantic.dataclasses import dataclass

from ..base import dist
from ..errors import SelectionError
from .base import STRICT, Selection, Signal, Signals
from .rows import RowReader
from .vendi import check_order, score_of, shares_of


@dataclass(frozen=True, config=STRICT)
class VendiSampling:
    """Adds the random set of a given rank among several, by the training set's Vendi score.

    Attributes:
        sets: how many are drawn.
        rank: best, median, worst, or a number from 1 (best) to `sets`.
        q: the score's order; 1 is the paper's.
    """

    needs: ClassVar[frozenset[str]] = frozenset({Signal.EMBEDDING})
    sets: PositiveInt = 100
    rank: Literal["best", "median", "worst"] | PositiveInt = "best"
    q: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.rank, int) and self.rank > self.sets:
            raise SelectionError(
                f"rank must be best, median, worst or a number from 1 to {self.sets}; found {self.rank}."
            )
        check_order(self.q)

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Draw `sets` sets of `n_new` rows with `rng`, each without replacement; take the one of the rank.

        Returns:
            The set's rows in the order in which they were drawn, with the column `vendi` (float64: the same
            for all, the score).

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
            units = (reader.float64(np.concatenate([chosen, rows])) for rows in drawn)
            # Of the two kernels, whose eigenvalues above zero are the same, the smaller one.
            kernels = (x_ND @ x_ND.T if len(x_ND) <= reader.width else x_ND.T @ x_ND for x_ND in units)
            return [score_of(shares_of(kernel, len(chosen) + n_new), self.q) for kernel in kernels]

        found = dist.on_main(scores)
        order = sorted(range(self.sets), key=lambda number: (-float(f"{found[number]:.10g}"), number))
        places = {"best": 0, "median": (self.sets - 1) // 2, "worst": self.sets - 1}
        taken = order[places[self.rank] if isinstance(self.rank, str) else self.rank - 1]
        return Selection(drawn[taken], {"vendi": np.full(n_new, found[taken])})
