"""How far apart the chosen rows lie, and how well they cover a pool: distances of the vectors as they are.

Source of the covering radius: the k-center objective that K-Center makes small, Gonzalez (1985),
https://doi.org/10.1016/0304-3975(85)90224-5; the greedy choice is within twice the optimum. The mean distance
to the chosen rows is the k-median objective with the chosen rows as medians.
These are figures to look at: a float32 product finds the nearest row, and the distance to it is the
definition, the root of sum((x - c)²) in float64. Where two rows are equally near to float32's rounding, the
other one may be measured. Selection has an exact engine of its own.
Cost: 2·N·C·D operations in float32, and N distances; rows are read in blocks, so the pool may be larger than
the memory. The chosen rows are held.
Shape letters: N pool rows, B rows of a block, C chosen rows, D embedding width, S orders, T sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..base.progress import SILENT, Watch
from ..base.text import some_of
from ..errors import EmbedError, NonFiniteError, SelectionError

BLOCK_NUMBERS = 1 << 22  # 16 MB in float32
HELD_NUMBERS = 1 << 25  # of chosen rows at once: 256 MB in float64
FARTHEST = 1e15  # beside the largest number of a set; float32's squares still hold it


class Vectors(Protocol):
    """(N, D) numbers whose rows can be read: numpy, memory-mapped, torch, or files (`open_vectors`)."""

    @property
    def shape(self) -> Any:  # noqa: ANN401 - a tuple, or torch's own kind of one
        """(N, D)."""

    def __getitem__(self, rows: Any, /) -> Any:  # noqa: ANN401 - a slice or row numbers; an array or a tensor
        """Rows, in the order asked for."""


def blocks(n: int, n_at_once: int) -> Iterator[slice]:
    """Cut range(n) into slices of at most `n_at_once`."""
    step = max(1, n_at_once)
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


def read(embeddings_ND: Vectors, rows: slice | NDArray[np.int64]) -> NDArray[np.float64]:
    """Read rows in float64.

    Raises:
        NonFiniteError: one of them holds NaN or infinite values.
    """
    values = embeddings_ND[rows]
    values = values if isinstance(values, np.ndarray) else values.detach().cpu().double().numpy()
    values_BD = np.ascontiguousarray(values, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values_BD).all(axis=1))
    if bad.size:
        numbers = rows.start + bad if isinstance(rows, slice) else rows[bad]
        raise NonFiniteError(
            f"embeddings hold NaN or infinite values in the rows {some_of(numbers)}. Leave them out or "
            "embed them again."
        )
    return values_BD


def check_rows(rows: NDArray[np.int64], embeddings_ND: Vectors, what: str) -> None:
    """Check row numbers against the embeddings.

    Raises:
        EmbedError: the embeddings are not rows of numbers.
        SelectionError: there are no rows, one is outside 0 … N-1, or one is named twice.
    """
    shape = tuple(embeddings_ND.shape)
    if len(shape) != 2 or 0 in shape:
        raise EmbedError(f"embeddings must be a 2-D array of at least one row; found the shape {shape}.")
    if not len(rows):
        raise SelectionError(f"{what} needs at least one chosen row. Name some.")
    outside = rows[(rows < 0) | (rows >= shape[0])]
    values, counts = np.unique(rows, return_counts=True)
    if outside.size or counts.max() > 1:
        found = (
            f"row {outside[0]} is outside 0..{shape[0] - 1}. Are they other vectors' rows?"
            if outside.size
            else f"row {values[counts.argmax()]} is named {counts.max()} times. Name each row once."
        )
        raise SelectionError(f"{what}: {found}")


class Centres:
    """Rows that distances are measured to."""

    def __init__(self, exact_CD: NDArray[np.float64]) -> None:
        # Their mean takes an offset away that all rows share. The scale, a power of two, keeps squares inside
        # float32's range.
        self._scale = 2.0 ** int(np.frexp(max(np.abs(exact_CD).max(), 2.0**-960))[1] - 1)
        self._shift_D = (exact_CD / self._scale).mean(axis=0)
        self._exact_CD = exact_CD
        shifted_CD = self._shifted(exact_CD)
        self._minus_twice_CD = np.float32(-2) * shifted_CD
        self._norms_C = np.einsum("cd,cd->c", shifted_CD, shifted_CD)

    def _shifted(self, rows_BD: NDArray[np.float64]) -> NDArray[np.float32]:
        with np.errstate(over="ignore"):
            shifted_BD = np.clip(rows_BD / self._scale - self._shift_D, -FARTHEST, FARTHEST)
        return np.asarray(shifted_BD, dtype=np.float32)

    def nearest(
        self, rows_BD: NDArray[np.float64], start: int, stop: int, own_B: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Distances of rows to the nearest centre from number `start` up to `stop`; infinity: none.

        `own_B` is the number of the centre that the row itself is, which does not count; negative: none.
        """
        least_B, nearest_B = np.full(len(rows_BD), np.inf, dtype=np.float32), np.full(len(rows_BD), -1)
        shifted_BD, every_B = self._shifted(rows_BD), np.arange(len(rows_BD))
        n_cached = BLOCK_NUMBERS // 4 // max(1, len(rows_BD))  # a block that caches still hold
        for part in blocks(stop - start, n_cached):
            first, last = start + part.start, start + part.stop
            squares_BC = shifted_BD @ self._minus_twice_CD[first:last].T + self._norms_C[first:last]
            if own_B is not None:
                squares_BC[own_B[:, None] == np.arange(first, last)] = np.inf
            at_B = squares_BC.argmin(axis=1)
            is_nearer_B = squares_BC[every_B, at_B] < least_B
            least_B = np.where(is_nearer_B, squares_BC[every_B, at_B], least_B)
            nearest_B = np.where(is_nearer_B, first + at_B, nearest_B)
        differences_BD = (rows_BD - self._exact_CD[nearest_B]) / self._scale
        distances_B = self._scale * np.sqrt(np.einsum("bd,bd->b", differences_BD, differences_BD))
        return np.where(nearest_B < 0, np.inf, distances_B)


def covering_radius(embeddings_ND: Vectors, chosen_rows: NDArray[np.int64]) -> float:
    """Distance of the worst-covered pool row from its nearest chosen row.

    Raises:
        SelectionError: nothing is chosen, a chosen row is not in the pool, or is named twice.
        EmbedError: the embeddings are not rows of numbers.
        NonFiniteError: a row holds NaN or infinite values.
    """
    check_rows(chosen_rows, embeddings_ND, "the covering radius")
    return float(distances_to_prefixes(embeddings_ND, [chosen_rows], [len(chosen_rows)])[0][0, 0])


def mean_nearest_within(
    embeddings_ND: Vectors, rows: NDArray[np.int64], asked_rows: NDArray[np.int64] | None = None
) -> float:
    """Mean over the given rows of the distance to the nearest other one of them; of two equal rows it is 0.

    Args:
        embeddings_ND: the vectors.
        rows: a subset, at least two rows.
        asked_rows: take the mean over these of the `rows` only; None: over all.
    """
    rows = np.sort(rows)
    asked = rows if asked_rows is None else asked_rows
    total, step = 0.0, BLOCK_NUMBERS // int(embeddings_ND.shape[1])
    for part in blocks(len(asked), step):
        asked_BD, best_B = read(embeddings_ND, asked[part]), np.full(len(asked[part]), np.inf)
        for others in blocks(len(rows), step):
            some = rows[others]
            place_B = np.searchsorted(some, asked[part]).clip(max=len(some) - 1)
            own_B = np.where(some[place_B] == asked[part], place_B, -1)
            found_B = Centres(read(embeddings_ND, some)).nearest(asked_BD, 0, len(some), own_B)
            best_B = np.minimum(best_B, found_B)
        total += float(best_B.sum())
    return total / len(asked)


def distances_to_prefixes(
    embeddings_ND: Vectors, orders: Sequence[NDArray[np.int64]], sizes: Sequence[int], watch: Watch = SILENT
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure the distances of all pool rows to the first n rows of each order, for each n of `sizes`.

    One pass over the pool and one product serve all sizes: what a longer prefix adds can only lower a row's
    distance.

    Args:
        embeddings_ND: the pool.
        orders: S orders of pool rows, each at least as long as the largest size.
        sizes: ascending.
        watch: sees the pool rows of each pass.

    Returns:
        The largest distance, which is the covering radius, and the mean one; float64[S, T] both.
    """
    n_rows, width = embeddings_ND.shape
    n_most = sizes[-1]
    largest_ST, sums_ST = np.zeros((len(orders), len(sizes))), np.zeros((len(orders), len(sizes)))
    groups = list(blocks(len(orders), HELD_NUMBERS // (width * n_most)))
    with watch.task("distances", float(n_rows * len(groups)), "rows") as task:
        for group in groups:
            held = np.concatenate([order[:n_most] for order in orders[group]])
            centres = Centres(read(embeddings_ND, held))
            for part in blocks(n_rows, BLOCK_NUMBERS // width):
                rows_BD = read(embeddings_ND, part)
                for at in range(group.start, group.stop):
                    first, best_B = (at - group.start) * n_most, np.full(len(rows_BD), np.inf)
                    for size_pos, (start, stop) in enumerate(zip((0, *sizes), sizes, strict=False)):
                        best_B = np.minimum(best_B, centres.nearest(rows_BD, first + start, first + stop))
                        largest_ST[at, size_pos] = max(largest_ST[at, size_pos], best_B.max())
                        sums_ST[at, size_pos] += best_B.sum()
                task.advance(part.stop - part.start)
    return largest_ST, sums_ST / n_rows
