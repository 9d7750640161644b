"""What was left out nearby: for each pick the unchosen rows that lie nearest to it.

Cost: one float32 product C × N × D by blocks; the few that are found are measured again in float64.
Shape letters: C picks, N pool rows, B rows of a block, D embedding width, K neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .vectors import PoolVectors

N_NEAREST = 3
MOST_WORK = 4e11
"""Multiplications; where all rows would be more, a random part of them is looked at."""
BLOCK_NUMBERS = 1 << 22


def nearest_unchosen(
    vectors: PoolVectors, picks_C: NDArray[np.int64], barred_rows: NDArray[np.int64], seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float64], int]:
    """Find the nearest rows that are not barred.

    Args:
        vectors: The pool's.
        picks_C: Pool rows with a vector.
        barred_rows: Pool rows that are no answer: chosen ones, and those that could not be.
        seed: Draws the rows that are looked at, where not all are.

    Returns:
        int64[C, K] pool rows, nearest first, and float64[C, K] distances (fewer than three columns where fewer rows are left), and how
        many rows were looked at. Rows without finite vectors are never found.
    """
    width = int(vectors.vectors_ND.shape[1])
    open_rows = np.setdiff1d(vectors.known_rows, barred_rows)
    most = int(MOST_WORK / max(1, len(picks_C) * width))
    if len(open_rows) > most:
        open_rows = np.sort(np.random.default_rng(seed).choice(open_rows, most, replace=False))
    n_found = min(N_NEAREST, len(open_rows))
    picks_CD = vectors.read(picks_C)
    shift_D = np.nan_to_num(picks_CD).mean(axis=0) if len(picks_C) else np.zeros(width)  # squares far from the origin cancel
    asked_CD = (picks_CD - shift_D).astype(np.float32)
    best_CK = np.full((len(picks_C), n_found), np.inf, dtype=np.float32)
    rows_CK = np.zeros((len(picks_C), n_found), dtype=np.int64)
    for start in range(0, len(open_rows) if n_found else 0, _step(width, len(picks_C))):
        rows_B = open_rows[start : start + _step(width, len(picks_C))]
        _merge(best_CK, rows_CK, asked_CD, rows_B, (vectors.read(rows_B) - shift_D).astype(np.float32))
    distances_CK = np.full(best_CK.shape, np.inf)
    for at in range(n_found):
        distances_CK[:, at] = np.linalg.norm(vectors.read(rows_CK[:, at]) - picks_CD, axis=1)
    order_CK = np.argsort(distances_CK, axis=1, kind="stable")
    return np.take_along_axis(rows_CK, order_CK, 1), np.take_along_axis(distances_CK, order_CK, 1), len(open_rows)


def _step(width: int, n_picks: int) -> int:
    return max(1, BLOCK_NUMBERS // max(width, n_picks, 1))


def _merge(
    best_CK: NDArray[np.float32],
    rows_CK: NDArray[np.int64],
    asked_CD: NDArray[np.float32],
    rows_B: NDArray[np.int64],
    block_BD: NDArray[np.float32],
) -> None:
    """Let the rows of a block take the places of farther ones."""
    squares_B = np.square(block_BD).sum(axis=1)
    found_CB = squares_B - 2 * (asked_CD @ block_BD.T)  # less the picks' own squares; NaN comes last
    both = np.concatenate([best_CK, found_CB], axis=1)
    names = np.concatenate([rows_CK, np.broadcast_to(rows_B, found_CB.shape)], axis=1)
    n = best_CK.shape[1]
    keep = np.argpartition(both, n - 1, axis=1)[:, :n]
    best_CK[:] = np.take_along_axis(both, keep, 1)
    rows_CK[:] = np.take_along_axis(names, keep, 1)
