"""Each row's distance to its nearest centre, kept lazily.

An old value is an upper bound, since a distance only falls.

Source: the lazy evaluation of greedy algorithms (Minoux, 1978), here with blocks of leaders, a front and
rigorous first bounds. A row is settled when its value is exact over all centres so far. To find the farthest
row, settle only rows whose bound is not below the best settled value; mostly these are a handful. Before a
row is compared with all centres of the start, it is compared with those that came since, which are few and
often nearer. The search looks at a front of the rows with the highest bounds; the floor, the highest bound
outside, tells when the front has to be drawn anew.

Cost: O(M) memory; per pick a product of the few leaders with the centres they have not seen.
Shape letters: M rows of this rank, D embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .distances import NO_ROW, Centres
from .reader import BLOCK_NUMBERS, blocks

N_AHEAD = 256  # rows settled for the first time at once, at most
MAX_FRONT = 2**14  # rows looked at for each pick; all rows are looked at when a new front is drawn
GONE = -np.inf  # as a bound: picked


@dataclass(slots=True)
class LazyDistances:
    """The rows of one rank with bounds on their squared distances to the centres.

    Attributes:
        rows: (M,) pool rows, ascending.
        centres: all centres so far, in the order they came; where rows are read, too.
        bounds: (M,) upper bounds on the squared distances, at first to the nearest of `centres`.
        weights: (M,) factors ≥ 0 on the squared distances, if the rows do not count alike: the farthest row
            is that of the largest product.
    """

    rows: np.ndarray
    centres: Centres
    bounds: np.ndarray
    weights: np.ndarray | None = None
    n_first: int = field(init=False)  # centres of the start, which the first bounds are about
    n_seen: np.ndarray = field(init=False)  # over how many centres the bound is one
    is_exact: np.ndarray = field(init=False)  # whether it is exact over them
    nearest: np.ndarray = field(init=False)
    front: np.ndarray = field(init=False)
    floor: float = field(init=False)

    def __post_init__(self) -> None:
        self.n_first = len(self.centres.rows)
        self.n_seen = np.full(len(self.rows), self.n_first)
        self.is_exact = np.zeros(len(self.rows), dtype=bool)
        self.nearest = np.full(len(self.rows), NO_ROW)
        self._draw_front()

    def add_centre(self, row: int) -> None:
        """Count `row` as a centre from now on, and no longer as a row to be found."""
        self.centres.add(np.array([row]))
        pos = int(np.searchsorted(self.rows, row))
        if pos < len(self.rows) and self.rows[pos] == row:
            self.bounds[pos] = GONE

    def farthest(self) -> tuple[float, float, int, int]:
        """Find the row farthest from its nearest centre.

        (weighted squared distance, squared distance, row, nearest centre's row).

        Equal distances go to the lowest row; with no row left the distance is -inf.
        """
        n_at_once = 2
        while True:
            scores = self._scores(self.front)
            is_settled = self._is_settled(self.front)
            best = scores[is_settled].max(initial=GONE)
            is_leader = ~is_settled & (scores >= best) & (scores > GONE)
            if is_leader.any():
                order = np.argsort(-scores[is_leader], kind="stable")
                self._work_on(self.front[is_leader][order], n_at_once)
                n_at_once = min(2 * n_at_once, N_AHEAD)
            elif best > self.floor or self.floor == GONE:
                return self._winner(best)
            else:
                self._draw_front()

    def _scores(self, positions: np.ndarray | slice) -> np.ndarray:
        bounds: np.ndarray = self.bounds[positions]
        if self.weights is None:
            return bounds
        with np.errstate(
            invalid="ignore"
        ):  # 0 × inf is NaN: a row of no weight counts nothing, however far it may be
            weighted = np.where(self.weights[positions] == 0, 0.0, bounds * self.weights[positions])
        scores: np.ndarray = np.where(bounds == GONE, GONE, weighted)
        return scores

    def _is_settled(self, positions: np.ndarray) -> np.ndarray:
        """Whether the bound is exact over all centres.

        A row known to lie on a centre stays at 0 whatever comes.
        """
        is_whole = (self.n_seen[positions] == len(self.centres.rows)) | (self.bounds[positions] == 0)
        is_settled: np.ndarray = self.is_exact[positions] & is_whole
        return is_settled

    def _work_on(self, leaders: np.ndarray, n_at_once: int) -> None:
        """Bring the first few leaders further.

        They come up to the newest centre, or over all centres of the start, with the like of them behind.
        """
        is_behind = self.n_seen[leaders] < len(self.centres.rows)
        if is_behind[:n_at_once].any():
            self._catch_up(leaders[:n_at_once][is_behind[:n_at_once]])
        else:
            self._settle(leaders[: min(N_AHEAD, 16 * n_at_once)])

    def _winner(self, best: float) -> tuple[float, float, int, int]:
        if best == GONE:
            return GONE, GONE, NO_ROW, -1
        is_best = (self._scores(self.front) == best) & self._is_settled(self.front)
        pos = self.front[is_best].min()
        if self.n_seen[pos] < len(
            self.centres.rows
        ):  # on a centre already, but a later one there may be the lowest
            self._catch_up(np.array([pos]))
        return float(best), float(self.bounds[pos]), int(self.rows[pos]), int(self.nearest[pos])

    def _draw_front(self) -> None:
        n_front = min(max(1024, len(self.rows) // 64), MAX_FRONT)
        if len(self.rows) <= n_front:
            self.front, self.floor = np.arange(len(self.rows)), GONE
            return
        scores = self._scores(slice(None))
        lowest = np.partition(scores, -n_front)[-n_front]
        is_front = scores >= lowest  # all rows of equal bound, so that the floor lies strictly below
        self.front = np.flatnonzero(is_front)
        self.floor = float(scores[~is_front].max(initial=GONE))

    def _catch_up(self, positions: np.ndarray) -> None:
        """Compare the rows with the centres that came since they were last looked at."""
        for block in self._blocks(positions):
            self._compare(block, int(self.n_seen[block].min()), len(self.centres.rows))
            self.n_seen[block] = len(self.centres.rows)

    def _settle(self, positions: np.ndarray) -> None:
        """Compare the rows with the centres of the start, which makes their bounds exact."""
        for block in self._blocks(positions):
            self._compare(block, 0, self.n_first)
            assert (self.nearest[block] != NO_ROW).all(), "an upper bound was below the exact distance"
            self.is_exact[block] = True

    def _blocks(self, positions: np.ndarray) -> Iterator[np.ndarray]:
        return (
            positions[part]
            for part in blocks(len(positions), BLOCK_NUMBERS // (4 * self.centres.reader.width))
        )

    def _compare(self, positions: np.ndarray, start: int, stop: int) -> None:
        """Lower the bounds by the exact distances to the centres from number `start` up to `stop`."""
        x_MD = self.centres.reader.exact(self.rows[positions])
        self.bounds[positions], self.nearest[positions] = self.centres.lower(
            x_MD, start, stop, self.bounds[positions], self.nearest[positions]
        )
