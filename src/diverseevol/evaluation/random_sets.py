"""Random subsets of the same sizes from the same pool: what any subset's diversity has to be compared with.

A random set is a shuffled pool of which the first n rows count, so the sets of a run's rounds grow like the run's own subset, and a set's
first rows do not depend on how many more are asked for.
Cost: 8 bytes a pool row while a set is drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import PoolExhaustedError

BAND = (0.05, 0.95)
"""The quantiles over the sets between which nine of ten random sets lie."""


def draw_random_sets(rows: int | NDArray[np.int64], size: int, n_sets: int, seed: int) -> list[NDArray[np.int64]]:
    """Draw `n_sets` orders of `size` different rows, each uniform over `rows`; set i depends on the seed and i alone.

    `rows` are those that could have been chosen, or a number: the first so many.

    Raises:
        PoolExhaustedError: the pool has fewer rows than a set.
    """
    n_rows = rows if isinstance(rows, int) else len(rows)
    if size > n_rows:
        raise PoolExhaustedError(f"cannot draw random sets of {size} rows from {n_rows}. Give the embeddings of the whole pool.")
    return [np.random.default_rng([seed, number]).permutation(rows)[:size].copy() for number in range(n_sets)]
