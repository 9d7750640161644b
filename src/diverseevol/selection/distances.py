"""Exact farthest-first traversal over all ranks: the engine of K-Center and of what weighs its distances.

Source: Gonzalez, 1985 (the greedy rule); Minoux, 1978 (lazy evaluation). A row's distance to its nearest
centre only falls, so an old value is an upper bound, and only rows whose bound is in the lead are compared
with the centres that they have not seen, mostly a handful a pick. What decides is always the definition,
sum((x - c)²) in float64 in numpy's order of addition: the same bits on every machine, in every block and on
every rank; equal distances go to the lowest row. Products only tell which pairs need it: a float32 one
guesses a near centre for each row at the start, whose direct difference bounds the distance, so that a bad
guess costs work and never a wrong pick; a float64 one with its error bound rules out the centres that
cannot be the nearest. |x|² + |c|² - 2 x·c is off by at most (D + 16) u (|x| + |c|)², a direct difference of
numbers that float32 holds by (D + 4) u of itself (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1).
Cost: beside the products O(N) memory, some 40 bytes a row. Each rank holds a share of the rows and offers
its farthest; the ranks exchange 32 bytes each a pick, and each reads the picked row itself.
Shape letters: N rows of this rank, M some of them, C centres, D width, P pairs, B rows of a block, K
directions, A anchors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush

import numpy as np
import torch
from torch import Tensor

from ..base import dist
from ..base.progress import SILENT, Watch
from ..errors import SelectionError
from .rows import BLOCK_NUMBERS, CPU, RowReader, blocks

GPU_BLOCK_NUMBERS = 2**26  # a GPU wants larger blocks: 256 MB
KEPT_NUMBERS = 2**24  # numbers of centres kept: 128 MB of float64; the others are read again
GUESSED_NUMBERS = 2**26  # numbers of centres that may be guessed: 256 MB of float32
TABLE_NUMBERS = 2**22  # of anchors × centres: 16 MB of float32
TILE_NUMBERS = 2**18  # numbers whose differences are taken at once: 1 MB, which stays in a core's cache
N_DIRECTIONS = 32
N_ANCHORS = 1024
N_PROBED = 256  # rows on which the quick guess is compared with the product
SMALL_GAP = 0.02  # of the squared distances: up to it the quick guess is good enough
UNIT = 2.0**-24  # unit roundoff of float32
N_AHEAD = 256  # rows compared at once, at most
MAX_FRONT = 2**14  # rows looked at for each pick; all rows are looked at when a new front is drawn
NO_ROW = np.iinfo(np.int64).max  # "no centre found yet"; any centre at the same distance takes its place
GONE = -np.inf  # as a bound: picked


def farthest_first(
    reader: RowReader,
    centre_rows: np.ndarray,
    candidates: np.ndarray,
    n_new: int,
    device: torch.device = CPU,
    block_rows: int | None = None,
    weights: np.ndarray | None = None,
    watch: Watch = SILENT,
) -> Iterator[tuple[float, int, int]]:
    """Pick `n_new` of the candidates, farthest from all centres and picks first; of equals the lowest row.

    Args:
        reader: where rows are read.
        centre_rows: (C,) the centres at the start. Without any, the first pick is the row farthest from the
            candidates' mean, and its nearest centre's row is -1.
        candidates: rows that may be picked, ascending, at least `n_new`.
        n_new: how many to pick.
        device: where the first pass computes.
        block_rows: rows a block of that pass; None: a block of 16 MB (a GPU: 256 MB).
        weights: factors ≥ 0 on the squared distances; the farthest row is that of the largest product.
        watch: shows how far it is.

    Yields:
        (squared distance, row, nearest centre's row), as they are found: a traversal from the centres and the
        picks so far goes on alike.

    Raises:
        NonFiniteError: a row holds NaN or infinite values.
        SelectionError: a distance is beyond what float64 can hold.
    """
    if not centre_rows.size:
        first = dist.on_main(lambda: farthest_from_mean(reader, candidates, weights))
        yield first
        centre_rows, n_new, is_left = np.array([first[1]]), n_new - 1, candidates != first[1]
        candidates, weights = candidates[is_left], None if weights is None else weights[is_left]
        if not n_new:
            return
    shard = dist.shard(len(candidates))
    rows, mine = candidates[shard.start : shard.stop], slice(shard.start, shard.stop)
    bounds = first_bounds(reader, rows, centre_rows, device, block_rows, watch)
    suspects = np.concatenate([rows[~np.isfinite(bounds)], centre_rows])
    reader.check_finite(np.unique(np.concatenate(dist.gather(suspects))))
    centres = Centres(reader, centre_rows, n_new)
    distances = LazyDistances(rows, centres, bounds, np.ones(len(rows)) if weights is None else weights[mine])
    with watch.task("select", n_new, "picks") as task:
        for _ in range(n_new):
            offers = dist.gather_numbers(np.array(distances.farthest()))  # float64 holds rows up to 2**53
            score, squared, row, nearest = max(offers.tolist(), key=lambda offer: (offer[0], -offer[2]))
            if score == np.inf:
                raise SelectionError(
                    f"the distance of row {int(row)} is too large for float64. Scale the embeddings down."
                )
            distances.take(int(row))
            task.advance()
            yield squared, int(row), int(nearest)


def farthest_from_mean(
    reader: RowReader, rows: np.ndarray, weights: np.ndarray | None
) -> tuple[float, int, int]:
    """Find the row farthest from the mean of all, where nothing is chosen yet: (squared distance, row, -1).

    The mean is added up in one fixed order, so that its bits are the same on every machine.

    Raises:
        NonFiniteError: a row holds NaN or infinite values.
        SelectionError: the values are too large for float64 sums.
    """
    mean_D = np.zeros(reader.width)
    with np.errstate(over="ignore", invalid="ignore"):
        for part in np.split(rows, [len(rows) * n // 64 for n in range(1, 64)]):
            sums_BD = (reader.float64(part[block]).sum(axis=0) for block in blocks(len(part), 256))
            mean_D += sum(sums_BD, np.zeros(reader.width))
        mean_D /= len(rows)
        if not np.isfinite(mean_D).all():
            reader.check_finite(rows)
            raise SelectionError(
                "the mean of the embeddings is too large for float64. Scale the embeddings down."
            )
        squared_N = np.empty(len(rows))
        for block in blocks(len(rows), BLOCK_NUMBERS // (4 * reader.width)):
            squared_N[block] = np.square(reader.float64(rows[block]) - mean_D).sum(axis=1)
    pos = int((squared_N if weights is None else squared_N * weights).argmax())  # of equal ones the first
    return float(squared_N[pos]), int(rows[pos]), -1


class LazyDistances:
    """The rows of one rank with upper bounds on their squared distances to the nearest centre.

    A heap of the rows in front, those with the highest bounds, has the farthest row at its top as soon as
    that row's bound is exact over all centres; the floor, the highest bound outside, tells when the front has
    to be drawn anew.
    """

    def __init__(self, rows: np.ndarray, centres: Centres, bounds: np.ndarray, weights: np.ndarray) -> None:
        """Take (N,) pool rows, ascending, bounds over the centres so far, and factors on them."""
        self.rows, self.centres, self.bounds, self.weights = rows, centres, bounds, weights
        self.n_first = len(centres.rows)  # centres of the start, which the first bounds are about
        self.n_seen = np.full(len(rows), self.n_first)  # over how many centres the bound is one
        self.is_exact = np.zeros(len(rows), dtype=bool)  # whether it is exact over them
        self.nearest = np.full(len(rows), NO_ROW)
        self.front: list[tuple[float, int]] = []  # (-weighted bound, position)
        self.floor = np.inf

    def farthest(self) -> tuple[float, float, int, int]:
        """Find the row farthest from its nearest centre; of equally far ones the lowest.

        (weighted squared distance, squared distance, row, nearest centre's row); with no row left -inf.
        """
        n_at_once = 8
        while True:
            if not self.front or -self.front[0][0] <= self.floor:
                self._draw_front()
            leaders: list[int] = []
            while self.front and len(leaders) < n_at_once and not self._is_settled(self.front[0][1]):
                leaders.append(heappop(self.front)[1])
            if leaders:
                self._work_on(np.array(leaders))
                for entry in zip((-self._scores(leaders)).tolist(), leaders, strict=True):
                    heappush(self.front, entry)
                n_at_once = min(4 * n_at_once, N_AHEAD)
            elif self.front:
                score, pos = self.front[0]
                return -score, float(self.bounds[pos]), int(self.rows[pos]), int(self.nearest[pos])
            else:
                return GONE, GONE, NO_ROW, -1

    def take(self, row: int) -> None:
        """Count `row` as a centre from now on, and no longer as a row to be found."""
        self.centres.add(np.array([row]))
        if self.front and self.rows[self.front[0][1]] == row:
            self.bounds[heappop(self.front)[1]] = GONE

    def _is_settled(self, pos: int) -> bool:
        return bool(self.is_exact[pos]) and self.n_seen[pos] == len(self.centres.rows)

    def _scores(self, positions: list[int] | slice) -> np.ndarray:
        bounds, weights = self.bounds[positions], self.weights[positions]
        with np.errstate(invalid="ignore"):  # 0 × inf: a row of no weight counts nothing, however far it is
            scores: np.ndarray = np.where((weights == 0) & (bounds > GONE), 0.0, bounds * weights)
        return scores

    def _draw_front(self) -> None:
        n_front = min(max(1024, len(self.rows) // 64), MAX_FRONT)
        scores = self._scores(slice(None))
        # All rows of equal bound, so that the floor lies strictly below.
        lowest = np.partition(scores, -n_front)[-n_front] if len(scores) > n_front else GONE
        positions = np.flatnonzero((scores >= lowest) & (scores > GONE))
        self.front = list(zip((-scores[positions]).tolist(), positions.tolist(), strict=True))
        heapify(self.front)
        self.floor = float(scores[scores < lowest].max(initial=GONE))

    def _work_on(self, positions: np.ndarray) -> None:
        """Compare the leaders with the newest centres, few and often near, or else with the first."""
        n_centres = len(self.centres.rows)
        is_behind = self.n_seen[positions] < n_centres
        positions = positions[is_behind] if is_behind.any() else positions
        start, stop = (self.n_seen[positions].min(), n_centres) if is_behind.any() else (0, self.n_first)
        for part in blocks(len(positions), BLOCK_NUMBERS // (4 * self.centres.reader.width)):
            some = positions[part]
            self.bounds[some], self.nearest[some] = self.centres.lower(
                self.centres.reader.float64(self.rows[some]),
                start,
                stop,
                self.bounds[some],
                self.nearest[some],
            )
        if is_behind.any():
            self.n_seen[positions] = n_centres
        else:
            assert (self.nearest[positions] != NO_ROW).all(), "an upper bound was below the exact distance"
            self.is_exact[positions] = True


class Centres:
    """The centres in the order they came: their rows, and their vectors as far as `KEPT_NUMBERS` goes."""

    def __init__(self, reader: RowReader, rows: np.ndarray, n_more: int = 0) -> None:
        """Take `rows`, and make room for as many more as are to come."""
        self.reader, self.rows = reader, list[int]()
        self._kept_CD = np.empty((min(len(rows) + n_more, KEPT_NUMBERS // reader.width), reader.width))
        for part in blocks(len(rows), BLOCK_NUMBERS // reader.width):
            self.add(rows[part])

    def add(self, rows: np.ndarray) -> None:
        """Take more rows as centres."""
        room_CD = self._kept_CD[len(self.rows) : len(self.rows) + len(rows)]
        room_CD[:] = self.reader.float64(rows[: len(room_CD)])
        self.rows.extend(rows.tolist())

    def lower(
        self, x_MD: np.ndarray, start: int, stop: int, known_M: np.ndarray, nearest_M: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower what is known of rows' distances by the exact ones to some centres, as new arrays.

        Args:
            x_MD: the rows in float64.
            start: number of the first centre to look at.
            stop: number behind the last.
            known_M: squared distances, or bounds on them, so far; +inf if nothing is known.
            nearest_M: the pool row of the centre at that distance, `NO_ROW` if there is none. A lower row at
                the same distance takes its place.
        """
        known_M, nearest_M = known_M.copy(), nearest_M.copy()
        for block in blocks(stop - start, BLOCK_NUMBERS // (2 * self.reader.width + 4 * len(x_MD))):
            some = slice(start + block.start, start + block.stop)
            rows_C = np.array(self.rows[some])
            c_CD = self._kept_CD[some] if some.stop <= len(self._kept_CD) else self.reader.float64(rows_C)
            with np.errstate(over="ignore", invalid="ignore"):
                i_P, j_P = _pairs_within(x_MD, c_CD, known_M)
                squared_P = squared_of_pairs(x_MD, c_CD, i_P, j_P)
            order = np.lexsort((rows_C[j_P], squared_P, i_P))
            found, first = np.unique(i_P[order], return_index=True)
            squared, rows = squared_P[order][first], rows_C[j_P[order][first]]
            is_nearer = (squared < known_M[found]) | ((squared == known_M[found]) & (rows < nearest_M[found]))
            known_M[found[is_nearer]], nearest_M[found[is_nearer]] = squared[is_nearer], rows[is_nearer]
        return known_M, nearest_M


def squared_of_pairs(x_MD: np.ndarray, c_CD: np.ndarray, i_P: np.ndarray, j_P: np.ndarray) -> np.ndarray:
    """Compute sum((x_i - c_j)²) for each pair in float64: the definition, by which everything is decided."""
    squared_P = np.empty(len(i_P))
    for block in blocks(len(i_P), 2**20 // x_MD.shape[1]):
        squared_P[block] = np.square(x_MD[i_P[block]] - c_CD[j_P[block]]).sum(axis=1)
    return squared_P


def _pairs_within(x_MD: np.ndarray, c_CD: np.ndarray, limits_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (row, centre) that a product cannot rule out as a row's nearest within its limit."""
    n_rows, (n_centres, width) = len(x_MD), c_CD.shape
    if n_centres <= 4:
        return np.divmod(np.arange(n_rows * n_centres), n_centres)
    norms_MC = np.einsum("md,md->m", x_MD, x_MD)[:, None] + np.einsum("cd,cd->c", c_CD, c_CD)
    product_MC = (torch.from_numpy(x_MD) @ torch.from_numpy(c_CD).T).numpy()
    squared_MC = norms_MC - 2 * product_MC
    squared_MC[~np.isfinite(norms_MC + np.abs(product_MC))] = np.nan
    # Twice for (|x| + |c|)² ≤ 2(|x|² + |c|²), and again because the exact values are rounded, too.
    slack_MC = 4 * (width + 16) * 2.0**-53 * norms_MC + width * np.finfo(np.float64).tiny
    limits_M = np.minimum(limits_M, (squared_MC + slack_MC).min(axis=1))
    i_P, j_P = np.nonzero(~(squared_MC - slack_MC > limits_M[:, None]))  # "not beyond": NaN stays in
    return i_P, j_P


def first_bounds(
    reader: RowReader,
    rows: np.ndarray,
    centre_rows: np.ndarray,
    device: torch.device = CPU,
    block_rows: int | None = None,
    watch: Watch = SILENT,
) -> np.ndarray:
    """Bound each row's squared distance to its nearest centre from above, float64[N]; +inf beyond float32.

    The distance to a centre that a float32 product finds near is computed directly, plus its rounding.
    """
    centres_CD = reader.float32(_even_part(centre_rows, GUESSED_NUMBERS // reader.width), device)
    guess = _guess(reader, rows, centres_CD, device)
    n_numbers = GPU_BLOCK_NUMBERS if device.type == "cuda" else BLOCK_NUMBERS
    n_at_once = block_rows or n_numbers // (reader.width + 2 * len(centres_CD) + N_ANCHORS)
    bounds_N = np.empty(len(rows))

    def bounds_of(x_BD: Tensor) -> np.ndarray:
        return _direct_bounds(reader, x_BD, centres_CD, guess(x_BD))

    with watch.task("distances to the chosen", len(rows), "rows") as task:
        for block in blocks(len(rows), n_at_once):
            part = rows[block]
            first, stop = int(part[0]), int(part[-1]) + 1
            if stop - first <= 2 * len(part):  # the rows in between, too: faster than gathering the others
                bounds_N[block] = bounds_of(reader.float32(slice(first, stop), device))[part - first]
            else:
                bounds_N[block] = bounds_of(reader.float32(part, device))
            task.advance(len(part))
    return bounds_N


Guess = Callable[[Tensor], Tensor]


def _guess(reader: RowReader, rows: np.ndarray, centres_CD: Tensor, device: torch.device) -> Guess:
    """The number of a near centre for each row: by the product of all rows with all centres, or quicker.

    The quick one looks at all in a few directions only. What these do not show of a row is taken to be what
    it is for the nearest anchor, one of some rows that are compared with all centres: right where rows lie in
    clusters, and unimportant where the directions span the data. It is tried on a few rows first.
    """
    if len(centres_CD) == 1:
        return lambda x_BD: torch.zeros(len(x_BD), dtype=torch.int64, device=device)
    middle_D = torch.nan_to_num(centres_CD.mean(dim=0), 0.0, 0.0, 0.0)
    shifted_CD = centres_CD - middle_D
    norms_C = shifted_CD.square().sum(dim=1)

    def by_product(x_BD: Tensor) -> Tensor:
        return torch.addmm(norms_C, x_BD - middle_D, shifted_CD.T, alpha=-2).argmin(dim=1)

    if device.type == "cuda" or len(centres_CD) <= N_DIRECTIONS or len(rows) < 4 * N_ANCHORS:
        return by_product
    some_AD = reader.float32(_even_part(rows[::2], 4 * N_ANCHORS), device)
    few_KD = some_AD[:: len(some_AD) // N_DIRECTIONS][:N_DIRECTIONS] - middle_D
    basis_DK = torch.linalg.qr(torch.nan_to_num(few_KD, 0.0, 0.0, 0.0).T)[0]
    found = _spread(some_AD @ basis_DK, min(N_ANCHORS, TABLE_NUMBERS // len(centres_CD)))
    anchors_AD = some_AD[found] - middle_D
    seen_AK, seen_CK, middle_K = anchors_AD @ basis_DK, shifted_CD @ basis_DK, middle_D @ basis_DK
    norms_A = seen_AK.square().sum(dim=1)
    unseen_AC = norms_C - 2 * (anchors_AD @ shifted_CD.T - seen_AK @ seen_CK.T)

    def quick(x_BD: Tensor) -> Tensor:
        seen_BK = torch.addmm(-middle_K, x_BD, basis_DK)
        anchor_B = torch.addmm(norms_A, seen_BK, seen_AK.T, alpha=-2).argmin(dim=1)
        return torch.addmm(unseen_AC[anchor_B], seen_BK, seen_CK.T, alpha=-2).argmin(dim=1)

    probe_BD = reader.float32(_even_part(rows[1::2], N_PROBED), device)
    quick_sum, product_sum = (
        _direct_bounds(reader, probe_BD, centres_CD, guess(probe_BD)).sum() for guess in (quick, by_product)
    )
    return quick if quick_sum <= (1 + SMALL_GAP) * product_sum else by_product


def _direct_bounds(reader: RowReader, x_BD: Tensor, centres_CD: Tensor, centre_B: Tensor) -> np.ndarray:
    """Upper bounds on the squared distance between each row and its one centre, float64[B]."""
    width, bounds = reader.width, []
    for tile in blocks(len(x_BD), len(x_BD) if x_BD.is_cuda else TILE_NUMBERS // width):
        guessed_BD = centres_CD[centre_B[tile]]
        rounding_B = 0.0
        if not reader.is_exact_in_float32:
            lengths = (
                torch.linalg.vector_norm(vectors, dim=1).double() for vectors in (x_BD[tile], guessed_BD)
            )
            rounding_B = 2 * UNIT * sum(lengths)
        distance_B = torch.linalg.vector_norm(guessed_BD.sub_(x_BD[tile]), dim=1).double()
        distance_B = distance_B * (1 + (width + 8) * UNIT) + rounding_B
        bounds.append(
            distance_B.square() * (1 + 2.0**-50) + width * 2.0**-120
        )  # what a square may lose to underflow
    bounds_B = torch.cat(bounds)
    return torch.where(bounds_B.isfinite(), bounds_B, torch.inf).cpu().numpy()


def _spread(points_MK: Tensor, n_most: int) -> list[int]:
    """The numbers of points that lie far apart: farthest first."""
    norms_M, found = points_MK.square().sum(dim=1), [0]
    nearest_M = torch.full_like(norms_M, torch.inf)
    while len(found) < n_most:
        to_last_M = torch.addmv(norms_M, points_MK, points_MK[found[-1]], alpha=-2) + norms_M[found[-1]]
        nearest_M = torch.minimum(nearest_M, to_last_M)
        found.append(int(nearest_M.argmax()))
    return found


def _even_part(rows: np.ndarray, n_most: int) -> np.ndarray:
    """At most `n_most` of the rows, evenly spaced."""
    return rows if len(rows) <= n_most else rows[np.linspace(0, len(rows) - 1, n_most).astype(np.int64)]
