"""What was left out nearby: for each pick the unchosen rows that lie nearest to it.

Cost: C × N × D multiplications; the memory is that of the rows that are looked at.
Shape letters: C picks, N pool rows, D embedding width, K neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from .vectors import PoolVectors

N_NEAREST = 3
MOST_NUMBERS = 1 << 28
"""Of the vectors that are looked at, 1 GB in float32; where all rows have more, a random part of them is looked at."""


def nearest_unchosen(
    vectors: PoolVectors, picks_C: NDArray[np.int64], barred_rows: NDArray[np.int64], seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the nearest rows that are not barred.

    Args:
        vectors: The pool's.
        picks_C: Pool rows with a vector.
        barred_rows: Pool rows that are no answer: chosen ones, and those that could not be.
        seed: Draws the rows that are looked at, where not all are.

    Returns:
        int64[C, K] pool rows, nearest first, and float32[C, K] distances (fewer than three columns where fewer rows are left).
    """
    open_rows = np.setdiff1d(vectors.known_rows, barred_rows)
    most = MOST_NUMBERS // vectors.vectors_ND.shape[1]
    if len(open_rows) > most:
        open_rows = np.sort(np.random.default_rng(seed).choice(open_rows, most, replace=False))
    n_found = min(N_NEAREST, len(open_rows))
    if not n_found or not len(picks_C):
        return np.zeros((len(picks_C), n_found), np.int64), np.zeros((len(picks_C), n_found), np.float32)
    picks_CD = vectors.read(picks_C)
    search = NearestNeighbors(n_neighbors=n_found, algorithm="brute").fit(vectors.read(open_rows))
    rows_CK = open_rows[search.kneighbors(picks_CD, return_distance=False)]
    # The search multiplies squares out, which leaves a remainder between equal vectors; a copy shall be at 0.
    distances = [np.linalg.norm(vectors.read(rows_C) - picks_CD, axis=1) for rows_C in rows_CK.T]
    return rows_CK, np.stack(distances, axis=1)
