"""Each row's distance to its nearest centre, kept lazily: an old value is an upper bound, since a distance only falls.

Source: the lazy evaluation of greedy algorithms (Minoux, 1978), here with blocks of leaders, a front and rigorous first bounds.
A row is settled when its value is exact over all centres so far. To find the farthest row, settle only rows whose bound is not
below the best settled value; mostly these are a handful. The search looks at a front of the rows with the highest bounds; the
floor, the highest bound outside, tells when the front has to be drawn anew.

Cost: O(M) memory; per pick a product of the few leaders with the centres they have not seen.
Shape letters: M rows of this rank, D embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .distances import BLOCK_NUMBERS, NO_ROW, blocks, nearest_centres
from .reader import RowReader

N_AHEAD = 64  # rows settled for the first time at once
GONE = -np.inf  # as a bound: picked


@dataclass(slots=True)
class LazyDistances:
    """The rows of one rank with bounds on their squared distances to the centres.

    Attributes:
        reader: where rows and centres are read.
        rows: (M,) pool rows, ascending.
        centre_rows: pool rows of all centres so far, in the order they came.
        bounds: (M,) upper bounds on the squared distances, at first to all of `centre_rows`.
    """

    reader: RowReader
    rows: np.ndarray
    centre_rows: list[int]
    bounds: np.ndarray
    n_seen: np.ndarray = field(init=False)  # over how many centres the bound is exact
    nearest: np.ndarray = field(init=False)
    front: np.ndarray = field(init=False)
    floor: float = field(init=False)

    def __post_init__(self) -> None:
        self.n_seen = np.zeros(len(self.rows), dtype=np.int64)
        self.nearest = np.full(len(self.rows), NO_ROW)
        self._draw_front()

    def add_centre(self, row: int) -> None:
        """Count `row` as a centre from now on, and no longer as a row to be found."""
        self.centre_rows.append(row)
        pos = int(np.searchsorted(self.rows, row))
        if pos < len(self.rows) and self.rows[pos] == row:
            self.bounds[pos] = GONE

    def farthest(self) -> tuple[float, int, int]:
        """Find the row farthest from its nearest centre: (squared distance, row, nearest centre's row).

        Equal distances go to the lowest row; with no row left the distance is -inf.
        """
        n_at_once = 2
        while True:
            bounds = self.bounds[self.front]
            is_settled = self.n_seen[self.front] == len(self.centre_rows)
            best = bounds[is_settled].max(initial=GONE)
            leaders = self.front[~is_settled & (bounds >= best) & (bounds > GONE)]
            if leaders.size:
                self._settle(self._next(leaders, n_at_once))
                n_at_once *= 2
            elif best > self.floor or self.floor == GONE:
                return self._winner(best)
            else:
                self._draw_front()

    def _next(self, leaders: np.ndarray, n_at_once: int) -> np.ndarray:
        """The first few leaders; a row never settled has to read all centres, and brings along the like of it behind them."""
        order = leaders[np.argsort(-self.bounds[leaders], kind="stable")]
        if self.n_seen[order[:n_at_once]].all():
            return order[:n_at_once]
        ahead = order[n_at_once:N_AHEAD]
        return np.concatenate([order[:n_at_once], ahead[self.n_seen[ahead] == 0]])

    def _winner(self, best: float) -> tuple[float, int, int]:
        if best == GONE:
            return GONE, NO_ROW, -1
        pos = self.front[(self.bounds[self.front] == best) & (self.n_seen[self.front] == len(self.centre_rows))].min()
        return float(best), int(self.rows[pos]), int(self.nearest[pos])

    def _draw_front(self) -> None:
        n_front = max(1024, len(self.rows) // 64)
        if len(self.rows) <= n_front:
            self.front, self.floor = np.arange(len(self.rows)), GONE
            return
        lowest = np.partition(self.bounds, -n_front)[-n_front]
        is_front = self.bounds >= lowest  # all rows of equal bound, so that the floor lies strictly below
        self.front = np.flatnonzero(is_front)
        self.floor = float(self.bounds[~is_front].max(initial=GONE))

    def _settle(self, positions: np.ndarray) -> None:
        """Make the bounds at `positions` exact; rows never settled have the most to catch up and go separately."""
        is_new = self.n_seen[positions] == 0
        for group in (positions[is_new], positions[~is_new]):
            for block in blocks(len(group), BLOCK_NUMBERS // (4 * self.reader.width)):
                self._compare(group[block], int(self.n_seen[group[block]].min()))

    def _compare(self, positions: np.ndarray, start: int) -> None:
        """Compare rows with the centres from number `start` on."""
        x_MD = self.reader.float64(self.rows[positions])
        centre_rows = np.array(self.centre_rows[start:], dtype=np.int64)
        for part in blocks(len(centre_rows), BLOCK_NUMBERS // (2 * self.reader.width + 4 * len(positions))):
            c_CD = self.reader.float64(centre_rows[part])
            bounds, known = self.bounds[positions], self.nearest[positions]
            squared, nearest = nearest_centres(x_MD, c_CD, centre_rows[part], bounds)
            is_nearer = (squared < bounds) | ((squared == bounds) & (nearest < known))
            self.bounds[positions] = np.where(is_nearer, squared, bounds)
            self.nearest[positions] = np.where(is_nearer, nearest, known)
        assert (self.nearest[positions] != NO_ROW).all(), "an upper bound was below the exact distance"
        self.n_seen[positions] = len(self.centre_rows)
