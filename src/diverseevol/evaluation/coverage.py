"""How well chosen rows cover a pool: the quantity that K-Center makes small.

Source: the k-center objective, Gonzalez (1985), https://doi.org/10.1016/0304-3975(85)90224-5; the greedy choice is within twice the optimum.
Cost: N × C distances in float64, by blocks of 64 MB at most. Shape letters: N pool rows, C chosen rows, D embedding width, B rows of a block.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 23


def covering_radius(embeddings_ND: NDArray[Any], chosen_rows: NDArray[np.int64]) -> float:
    """Euclidean distance of the worst-covered pool row from its nearest chosen row, in float64.

    Raises:
        ValueError: nothing is chosen.
    """
    if len(chosen_rows) == 0:
        raise ValueError("the covering radius needs at least one chosen row, found none.")
    chosen_CD = np.asarray(embeddings_ND[chosen_rows], dtype=np.float64)
    chosen_C = (chosen_CD**2).sum(axis=1)
    n_block = max(1, BLOCK // max(len(chosen_rows), embeddings_ND.shape[1]))
    worst = 0.0
    for start in range(0, len(embeddings_ND), n_block):
        block_BD = np.asarray(embeddings_ND[start : start + n_block], dtype=np.float64)
        squared_BC = (block_BD**2).sum(axis=1)[:, None] + chosen_C - 2 * block_BD @ chosen_CD.T
        worst = max(worst, float(squared_BC.min(axis=1).max()))
    return math.sqrt(max(worst, 0.0))
