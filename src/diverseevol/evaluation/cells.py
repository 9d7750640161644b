"""Which parts of a pool a subset reaches: labels that the records carry, or cells of a k-means clustering.

Source of the clustering: scikit-learn's MiniBatchKMeans (Sculley, 2010,
https://doi.org/10.1145/1772690.1772862), on the vectors as they are; its sums depend on the number of
threads, so cells may differ between machines.
Cost: the fit on at most `FIT_NUMBERS` numbers, then one product of N × cells × D, by blocks.
Shape letters: N pool rows, B rows of a block, D embedding width.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SelectionError
from .coverage import BLOCK_NUMBERS, FARTHEST, Vectors, blocks, read

FIT_NUMBERS = 1 << 25  # 128 MB of float32
NO_CELL = -1
"""The cell of a row that has no label."""


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


def k_means_cells(embeddings_ND: Vectors, n_cells: int, seed: int) -> NDArray[np.int64]:
    """Cluster the pool and number each row's cluster; with fewer different rows than cells, some stay empty.

    Raises:
        SelectionError: more cells than rows are asked for, or none.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    n_rows, width = embeddings_ND.shape
    if not 1 <= n_cells <= n_rows:
        raise SelectionError(f"cannot make {n_cells} cells of {n_rows} rows. Lower --cells.")
    n_fit = max(n_cells, FIT_NUMBERS // width)
    rng = np.random.default_rng(seed)
    fit_rows = np.arange(n_rows) if n_fit >= n_rows else np.sort(rng.choice(n_rows, n_fit, replace=False))
    sample_BD = read(embeddings_ND, fit_rows[:: max(1, len(fit_rows) * width // BLOCK_NUMBERS)])
    scale = max(np.abs(sample_BD).max(), np.finfo(np.float64).tiny)
    shift_D = (sample_BD / scale).mean(axis=0)  # float32 would lose small differences beside a large offset

    def reduced(rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        values_BD = np.clip(read(embeddings_ND, rows) / scale - shift_D, -FARTHEST, FARTHEST)
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
