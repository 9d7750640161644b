"""How far apart the chosen rows lie, and how well they cover a pool: Euclidean distances between the vectors as they are.

Source of the covering radius: the k-center objective that K-Center makes small, Gonzalez (1985),
https://doi.org/10.1016/0304-3975(85)90224-5; the greedy choice is within twice the optimum. The mean distance to the chosen rows is the
k-median objective with the chosen rows as medians.
Cost: N × C distances, exact to float64's rounding, at the price of a float32 product (nearest.py); rows are read in blocks, so the pool
may be larger than the memory. The chosen rows are held (float64 and float32).
Shape letters: N pool rows, B rows of a block, C chosen rows, D embedding width, S orders, T sizes, Q rows asked about.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..base.progress import SILENT, Watch
from ..errors import SelectionError
from . import nearest
from .nearest import Centres, Vectors, blocks, check_rows, read

HELD_NUMBERS = 1 << 25  # of centres at once: 256 MB in float64 and 128 in float32


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
    """Mean over the given rows of the distance to the nearest other one of them; two equal rows are at distance 0.

    Args:
        embeddings_ND: the vectors.
        rows: a subset, at least two rows.
        asked_rows: take the mean over these of the `rows` only; None: over all.

    Raises:
        SelectionError: fewer than two rows, or as `covering_radius`.
        EmbedError, NonFiniteError: as `covering_radius`.
    """
    check_rows(rows, embeddings_ND, "the mean distance within a subset")
    if len(rows) < 2:
        raise SelectionError(f"the mean distance within a subset needs at least two rows, found {len(rows)}.")
    asked = rows if asked_rows is None else asked_rows
    total, step = 0.0, nearest.BLOCK_NUMBERS // int(embeddings_ND.shape[1])
    for part in blocks(len(asked), step):
        total += float(_nearest_other(embeddings_ND, rows, asked[part], step).sum())
    return total / len(asked)


def _nearest_other(
    embeddings_ND: Vectors, rows: NDArray[np.int64], asked_Q: NDArray[np.int64], step: int
) -> NDArray[np.float64]:
    asked_QD, best_Q = read(embeddings_ND, asked_Q), np.full(len(asked_Q), np.inf)
    for part in blocks(len(rows), step):
        some = rows[part]
        centres = Centres(read(embeddings_ND, some))
        order = np.argsort(some)
        place_Q = order[np.searchsorted(some, asked_Q, sorter=order).clip(max=len(some) - 1)]
        own_Q = np.where(some[place_Q] == asked_Q, place_Q, -1)
        best_Q = centres.nearer(centres.screened(asked_QD), 0, len(some), best_Q, own_Q)
    return best_Q


def distances_to_prefixes(
    embeddings_ND: Vectors, orders: Sequence[NDArray[np.int64]], sizes: Sequence[int], watch: Watch = SILENT
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure the distances of all pool rows to the first n rows of each order, for each n of `sizes`.

    One pass over the pool and one product serve all sizes: what a longer prefix adds can only lower a row's distance.

    Args:
        embeddings_ND: the pool.
        orders: S orders of pool rows, each at least as long as the largest size.
        sizes: ascending.
        watch: sees the pool rows of each pass.

    Returns:
        The largest distance, which is the covering radius, and the mean one; float64[S, T] both.

    Raises:
        NonFiniteError: a row holds NaN or infinite values.
    """
    n_rows, width = embeddings_ND.shape
    largest_ST, sums_ST = np.zeros((len(orders), len(sizes))), np.zeros((len(orders), len(sizes)))
    groups = list(blocks(len(orders), HELD_NUMBERS // (width * sizes[-1])))
    with watch.task("distances", float(n_rows * len(groups)), "rows") as task:
        for group in groups:
            held = np.concatenate([order[: sizes[-1]] for order in orders[group]])
            centres = Centres(read(embeddings_ND, held))
            for part in blocks(n_rows, nearest.BLOCK_NUMBERS // width):
                rows = centres.screened(read(embeddings_ND, part))
                for order_pos in range(group.start, group.stop):
                    first = (order_pos - group.start) * sizes[-1]
                    best_B, start = np.full(part.stop - part.start, np.inf), 0
                    for size_pos, size in enumerate(sizes):
                        best_B, start = centres.nearer(rows, first + start, first + size, best_B), size
                        largest_ST[order_pos, size_pos] = max(largest_ST[order_pos, size_pos], best_B.max())
                        sums_ST[order_pos, size_pos] += best_B.sum()
                task.advance(part.stop - part.start)
    return largest_ST, sums_ST / n_rows
