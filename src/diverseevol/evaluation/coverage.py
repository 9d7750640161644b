"""How well chosen rows cover a pool: distances of the vectors as they are, and the labels or cells they hit.

Source of the covering radius: the k-center objective that K-Center makes small, Gonzalez (1985),
https://doi.org/10.1016/0304-3975(85)90224-5; the greedy choice is within twice the optimum. The mean distance
to the chosen rows is the k-median objective with the chosen rows as medians.
These are figures to look at: a float32 product finds the nearest row, and the distance to it is the
definition, the root of sum((x - c)²) in float64. Where two rows are equally near to float32's rounding, the
other one may be measured. Selection has an exact engine of its own.
Source of the cells: scikit-learn's MiniBatchKMeans (Sculley, 2010, https://doi.org/10.1145/1772690.1772862);
its sums depend on the number of threads, so cells may differ between machines.
Cost: 2·N·C·D operations in float32, and N distances; rows are read in blocks, so the pool may be larger than
the memory. The chosen rows are held. Of the cells: a fit on at most `FIT_NUMBERS` numbers, then one product.
Shape letters: N pool rows, B rows of a block, C chosen rows, D embedding width, T sizes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..base.text import some_of
from ..errors import EmbedError, NonFiniteError, SelectionError

BLOCK_NUMBERS = 1 << 22  # 16 MB in float32
SIDE_ROWS = 2048  # of a square of distances
FIT_NUMBERS = 1 << 25  # that k-means is fitted on: 128 MB of float32
FARTHEST = 1e15  # beside the largest number of a set; float32's squares still hold it
NO_CELL = -1
"""The cell of a row that has no label."""


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


def read(vectors: Vectors, rows: slice | NDArray[np.int64]) -> NDArray[np.float64]:
    """Read rows in float64.

    Raises:
        NonFiniteError: one of them holds NaN or infinite values.
    """
    values = vectors[rows]
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


def check_rows(rows: NDArray[np.int64], vectors: Vectors, what: str) -> None:
    """Check row numbers against the embeddings.

    Raises:
        EmbedError: the embeddings are not rows of numbers.
        SelectionError: there are no rows, one is outside 0 … N-1, or one is named twice.
    """
    shape = tuple(vectors.shape)
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


def nearest(
    rows_BD: NDArray[np.float64], centres_CD: NDArray[np.float64], own_B: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Distances of rows to the nearest centre; infinity where there is none.

    `own_B` is the number of the centre that the row itself is, which does not count; negative: none.
    """
    # The centres' mean takes an offset away that all rows share. The scale, a power of two, keeps squares
    # inside float32's range.
    scale = 2.0 ** int(np.frexp(max(np.abs(centres_CD).max(), 2.0**-960))[1] - 1)
    shift_D = (centres_CD / scale).mean(axis=0)
    with np.errstate(over="ignore"):
        near_BD, near_CD = (
            np.clip(values / scale - shift_D, -FARTHEST, FARTHEST).astype(np.float32)
            for values in (rows_BD, centres_CD)
        )
    squares_BC = near_BD @ (np.float32(-2) * near_CD.T) + np.einsum("cd,cd->c", near_CD, near_CD)
    if own_B is not None:
        squares_BC[own_B >= 0, own_B[own_B >= 0]] = np.inf
    nearest_B = squares_BC.argmin(axis=1)
    differences_BD = (rows_BD - centres_CD[nearest_B]) / scale
    distances_B = scale * np.sqrt(np.einsum("bd,bd->b", differences_BD, differences_BD))
    return np.where(np.isinf(squares_BC.min(axis=1)), np.inf, distances_B)


def covering_radius(vectors: Vectors, chosen_rows: NDArray[np.int64]) -> float:
    """Distance of the worst-covered pool row from its nearest chosen row.

    Raises:
        SelectionError: nothing is chosen, a chosen row is not in the pool, or is named twice.
        EmbedError: the vectors are not rows of numbers.
        NonFiniteError: a row holds NaN or infinite values.
    """
    check_rows(chosen_rows, vectors, "the covering radius")
    return float(distances_to_prefixes(vectors, chosen_rows, [len(chosen_rows)])[0][0])


def distances_to_prefixes(
    vectors: Vectors, order: NDArray[np.int64], sizes: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of all pool rows to the first n rows of an order, for each n of `sizes`, which ascend.

    One pass over the pool serves all sizes: what a longer prefix adds can only lower a row's distance.

    Returns:
        The largest distance, which is the covering radius, and the mean one; float64[T] both.
    """
    (n_rows, width), centres_CD = vectors.shape, read(vectors, order[: sizes[-1]])
    largest_T, sums_T = np.zeros(len(sizes)), np.zeros(len(sizes))
    for part in blocks(n_rows, BLOCK_NUMBERS // max(width, sizes[-1])):
        rows_BD = read(vectors, part)
        best_B = np.full(len(rows_BD), np.inf)
        for at, (start, stop) in enumerate(zip((0, *sizes), sizes, strict=False)):
            best_B = np.minimum(best_B, nearest(rows_BD, centres_CD[start:stop]))
            largest_T[at] = max(largest_T[at], best_B.max())
            sums_T[at] += best_B.sum()
    return largest_T, sums_T / n_rows


def mean_nearest_within(
    vectors: Vectors, rows: NDArray[np.int64], asked_rows: NDArray[np.int64] | None = None
) -> float:
    """Mean over the given rows of the distance to the nearest other one of them; of two equal rows it is 0.

    Args:
        vectors: the pool.
        rows: a subset, at least two rows.
        asked_rows: take the mean over these of the `rows` only; None: over all.
    """
    rows = np.sort(rows)
    asked = rows if asked_rows is None else asked_rows
    total, step = 0.0, min(BLOCK_NUMBERS // int(vectors.shape[1]), SIDE_ROWS)
    for part in blocks(len(asked), step):
        asked_BD, best_B = read(vectors, asked[part]), np.full(len(asked[part]), np.inf)
        for others in blocks(len(rows), step):
            some = rows[others]
            place_B = np.searchsorted(some, asked[part]).clip(max=len(some) - 1)
            own_B = np.where(some[place_B] == asked[part], place_B, -1)
            best_B = np.minimum(best_B, nearest(asked_BD, read(vectors, some), own_B))
        total += float(best_B.sum())
    return total / len(asked)


def cells_of_labels(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Number the different labels; a row without one ("", or NaN among numbers) has the cell `NO_CELL`.

    Raises:
        SelectionError: no row has a label.
    """
    is_missing = np.isnan(labels) if labels.dtype.kind == "f" else labels == ""
    if is_missing.all():
        raise SelectionError(f"none of the {len(labels)} rows has a label. Name a column that holds some.")
    numbers: NDArray[np.int64] = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return np.where(is_missing, NO_CELL, numbers)


def k_means_cells(vectors: Vectors, n_cells: int, seed: int) -> NDArray[np.int64]:
    """Cluster the pool and number each row's cluster; with fewer different rows than cells, some stay empty.

    Raises:
        SelectionError: more cells than rows are asked for, or none.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    n_rows, width = vectors.shape
    if not 1 <= n_cells <= n_rows:
        raise SelectionError(f"cannot make {n_cells} cells of {n_rows} rows. Lower --cells.")
    n_fit = max(n_cells, FIT_NUMBERS // width)
    rng = np.random.default_rng(seed)
    fit_rows = np.arange(n_rows) if n_fit >= n_rows else np.sort(rng.choice(n_rows, n_fit, replace=False))
    sample_BD = read(vectors, fit_rows[:: max(1, len(fit_rows) * width // BLOCK_NUMBERS)])
    scale = max(np.abs(sample_BD).max(), np.finfo(np.float64).tiny)
    shift_D = (sample_BD / scale).mean(axis=0)  # float32 would lose small differences beside a large offset

    def reduced(rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        values_BD = np.clip(read(vectors, rows) / scale - shift_D, -FARTHEST, FARTHEST)
        return np.asarray(values_BD, dtype=np.float32)

    fit_BD = np.empty((len(fit_rows), width), dtype=np.float32)
    for part in blocks(len(fit_rows), BLOCK_NUMBERS // width):
        fit_BD[part] = reduced(fit_rows[part])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than cells
        model = MiniBatchKMeans(n_cells, random_state=seed).fit(fit_BD)
    del fit_BD
    cells_N = np.empty(n_rows, dtype=np.int64)
    for part in blocks(n_rows, BLOCK_NUMBERS // width):
        cells_N[part] = model.predict(reduced(part))
    return cells_N


def share_hit(cells_N: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """Share of the pool's cells that hold at least one of the rows; `NO_CELL` is none."""
    n_hit, n_all = (np.count_nonzero(np.bincount(cells - NO_CELL)[1:]) for cells in (cells_N[rows], cells_N))
    return float(n_hit / n_all)


def cell_entropy(cells_N: NDArray[np.int64], rows: NDArray[np.int64]) -> float:
    """Entropy in bits of how the rows spread over the cells; rows without one are left out."""
    counts = np.bincount(cells_N[rows][cells_N[rows] != NO_CELL])
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(-(shares * np.log2(shares)).sum()) + 0.0
