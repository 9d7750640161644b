"""How isolated a row is: its distance to the m-th nearest of a sample of rows, the landmarks.

Farthest-first selection seeks out what lies alone, and with it the broken records of a pool; rows without company can be kept out.
A simple form of the distance to the k-th nearest neighbour (Ramaswamy et al., 2000, https://doi.org/10.1145/342009.335437), with a
sample in the neighbours' place so that the cost is linear in N: a group counts as company from about N_NEAREST · N / N_LANDMARKS rows on.
Cost: one product of (M, D, L) in float64, shared out over the ranks by blocks that do not depend on their number; O(M) memory.
Shape letters: M rows, L landmarks, D embedding width, B rows of a block.
"""

from __future__ import annotations

import numpy as np

from ..base import dist
from .distances import BLOCK_NUMBERS, blocks, mean_of
from .needed import check_rows
from .reader import RowReader

N_LANDMARKS = 1024
N_NEAREST = 4
SEED = 0  # the landmarks are the same in every round and do not take from the strategy's random numbers


def isolation_of(reader: RowReader, rows: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Measure how isolated `rows` are.

    Args:
        reader: where rows are read.
        rows: (M,) the rows to measure.
        counted: the rows that landmarks are drawn from.

    Returns:
        float32[M], the Euclidean distance to the `N_NEAREST`-th nearest landmark other than the row itself; float32, so that rounding
        of the product does not tell equal distances apart.

    Raises:
        NonFiniteError: a row holds NaN or infinite values.
    """
    check_rows(reader, np.union1d(rows, counted))
    n_landmarks = min(N_LANDMARKS, len(counted))
    landmarks = np.sort(np.random.default_rng(SEED).choice(counted, n_landmarks, replace=False))
    shift_D = mean_of(reader, landmarks)
    landmarks_LD = reader.float64(landmarks) - shift_D
    norms_L = np.square(landmarks_LD).sum(axis=1)
    mine = {}
    for number, block in enumerate(blocks(len(rows), BLOCK_NUMBERS // (reader.width + n_landmarks))):
        if number % dist.world_size() == dist.rank():
            rows_BD = reader.float64(rows[block]) - shift_D
            squared_BL = np.square(rows_BD).sum(axis=1)[:, None] + norms_L - 2 * rows_BD @ landmarks_LD.T
            squared_BL[rows[block][:, None] == landmarks] = np.inf
            nearest = max(0, min(N_NEAREST, n_landmarks - 1) - 1)
            mine[number] = np.partition(squared_BL, nearest, axis=1)[:, nearest]
    found = {number: squared for part in dist.gather(mine) for number, squared in part.items()}
    squared_M = np.concatenate([found[number] for number in sorted(found)])
    return np.asarray(np.sqrt(np.maximum(squared_M, 0)), dtype=np.float32)
