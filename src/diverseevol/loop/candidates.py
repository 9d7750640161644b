"""What a round's model is asked about: the pool, or a random part (`selection.candidates`).

With a tenth of the pool a round, embedding costs a tenth; the best of a random tenth is nearly as far away as
the best of all, and over the rounds every row gets its chance. A strategy sees positions in the part; here
they become pool rows again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..selection import Selection, Signals


@dataclass(frozen=True)
class Candidates:
    """Signals of some rows of the pool; `rows` None: of all rows."""

    signals: Signals
    rows: NDArray[np.int64] | None = None

    def positions_of(self, chosen_rows: Sequence[int]) -> NDArray[np.int64]:
        """Where the chosen rows, all of which are among these, stand among them."""
        chosen = np.array(chosen_rows, dtype=np.int64)
        return chosen if self.rows is None else np.searchsorted(self.rows, chosen)

    def in_pool(self, picks: Selection) -> Selection:
        """A selection of positions as one of pool rows."""
        if self.rows is None:
            return picks
        columns = dict(picks.columns)
        if (nearest := columns.get("nearest_row")) is not None:
            columns["nearest_row"] = np.where(nearest < 0, nearest, self.rows[nearest])
        skipped = {guard: self.rows[positions] for guard, positions in picks.skipped.items()}
        return Selection(self.rows[picks.rows], columns, skipped)


def draw_candidates(
    n_rows: int,
    chosen_rows: Sequence[int],
    excluded_rows: NDArray[np.int64],
    share: float,
    n_new: int,
    rng: np.random.Generator,
) -> NDArray[np.int64] | None:
    """The rows that a round looks at, ascending: the chosen ones and a random share of the others; None: all.

    At least `n_new` of the others are drawn, if there are so many.
    """
    if share >= 1:
        return None
    chosen = np.array(chosen_rows, dtype=np.int64)
    free = np.setdiff1d(np.arange(n_rows), np.concatenate([chosen, excluded_rows]))
    drawn = rng.choice(free, min(len(free), max(n_new, math.ceil(share * len(free)))), replace=False)
    return np.sort(np.concatenate([chosen, drawn]))
