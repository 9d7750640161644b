"""Where to begin when nothing is chosen yet: at the row farthest from the mean.

The mean is added up in 64 parts of the rows, whatever the number of processes, and the parts in their order: so its bits, and
with them the pick, are the same on every rank and for every number of ranks.

Cost: two passes over the embeddings in blocks.
Shape letters: M rows of this rank, D embedding width.
"""

from __future__ import annotations

import numpy as np

from ..base import dist
from ..errors import SelectionError
from .reader import BLOCK_NUMBERS, RowReader, blocks

N_PARTS = 64
SUM_ROWS = 256  # rows summed in one go; fixed, because the order of addition shows in the last bits


def farthest_from_mean(reader: RowReader, candidates: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, int, int]:
    """Find the candidate farthest from the candidates' mean: (squared distance, row, -1); ties go to the lowest row.

    With `weights`, factors ≥ 0 on the squared distances, it is that of the largest product.

    Raises:
        NonFiniteError: a candidate holds NaN or infinite values.
        SelectionError: the values are too large for float64 sums.
    """
    mean_D = exact_mean(reader, candidates)
    shard = dist.shard(len(candidates))
    rows = candidates[shard.start : shard.stop]
    if not np.isfinite(mean_D).all():
        reader.check_finite(candidates)
        raise SelectionError("the mean of the embeddings is too large for float64. Scale the embeddings down.")
    squared_M = np.empty(len(rows))
    for block in blocks(len(rows), BLOCK_NUMBERS // (4 * reader.width)):
        with np.errstate(over="ignore"):
            squared_M[block] = np.square(reader.float64(rows[block]) - mean_D).sum(axis=1)
    scores_M = squared_M if weights is None else squared_M * weights[shard.start : shard.stop]
    pos = int(scores_M.argmax()) if len(rows) else -1
    found = dist.gather((float(scores_M[pos]), int(rows[pos]), float(squared_M[pos])) if len(rows) else (-np.inf, -1, 0.0))
    _, row, squared = max(found, key=lambda pick: (pick[0], -pick[1]))
    return squared, row, -1


def exact_mean(reader: RowReader, rows: np.ndarray) -> np.ndarray:
    """Average `rows` in float64, (D,), in an order of addition that depends on their number alone."""
    mine = {}
    for part in range(dist.rank(), N_PARTS, dist.world_size()):
        part_rows = rows[len(rows) * part // N_PARTS : len(rows) * (part + 1) // N_PARTS]
        sums_BD = (reader.float64(part_rows[block]).sum(axis=0) for block in blocks(len(part_rows), SUM_ROWS))
        with np.errstate(over="ignore", invalid="ignore"):
            mine[part] = sum(sums_BD, np.zeros(reader.width))
    sums = {part: value for parts in dist.gather(mine) for part, value in parts.items()}
    with np.errstate(over="ignore", invalid="ignore"):
        total: np.ndarray = sum((sums[part] for part in range(N_PARTS)), np.zeros(reader.width))
    return total / len(rows)
