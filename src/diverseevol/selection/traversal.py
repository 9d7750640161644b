"""Farthest-first traversal over all ranks, exact.

The engine of K-Center and of whatever weighs the distances.

Source: Gonzalez, 1985 (the greedy rule); Minoux, 1978 (lazy evaluation). Each rank holds a share of the rows
and offers its farthest; the ranks exchange 32 bytes each a pick, and each reads the picked row itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ..base import dist
from ..base.progress import SILENT, Watch
from ..errors import SelectionError
from .distances import Centres
from .first_bounds import first_bounds
from .lazy_distances import LazyDistances
from .reader import BLOCK_NUMBERS, RowReader, blocks

N_PARTS = 64  # of the rows, whose sums are added up one after the other
SUM_ROWS = 256  # rows summed in one go; fixed, because the order of addition shows in the last bits


def farthest_first(
    reader: RowReader,
    centre_rows: np.ndarray,
    candidates: np.ndarray,
    n_new: int,
    device: torch.device,
    block_rows: int | None = None,
    weights: np.ndarray | None = None,
    watch: Watch = SILENT,
) -> Iterator[tuple[float, int, int]]:
    """Pick `n_new` of the candidates, each the farthest from all centres and earlier picks.

    Equal ones go to the lowest row.

    Args:
        reader: where rows are read.
        centre_rows: (C,) the centres at the start. Without any, the first pick is the row farthest from the
            candidates' mean, and its nearest centre's row is -1.
        candidates: (M,) rows that may be picked, ascending, at least `n_new`.
        n_new: how many to pick.
        device: where the first pass computes.
        block_rows: rows a block of that pass; None: a block of 16 MB.
        weights: (M,) factors ≥ 0 on the squared distances; the farthest row is that of the largest product.
        watch: shows how far it is.

    Yields:
        (squared distance, row, nearest centre's row), as they are found: a traversal from the centres and the
        picks so far goes on alike.

    Raises:
        NonFiniteError: a row holds NaN or infinite values.
        SelectionError: a distance is beyond what float64 can hold.
    """
    if not centre_rows.size:
        first = dist.on_main(lambda: farthest_from_mean(reader, candidates, weights))
        yield first
        centre_rows, n_new, is_left = np.array([first[1]]), n_new - 1, candidates != first[1]
        candidates, weights = candidates[is_left], None if weights is None else weights[is_left]
        if not n_new:
            return
    shard = dist.shard(len(candidates))
    mine = slice(shard.start, shard.stop)
    bounds = first_bounds(reader, candidates[mine], centre_rows, device, block_rows, watch)
    suspects = np.concatenate([candidates[mine][~np.isfinite(bounds)], centre_rows])
    reader.check_finite(np.unique(np.concatenate(dist.gather(suspects))))
    centres = Centres(reader, centre_rows, n_new)
    distances = LazyDistances(candidates[mine], centres, bounds, None if weights is None else weights[mine])
    with watch.task("select", n_new, "picks") as task:
        for _ in range(n_new):
            squared, row, nearest_row = _farthest_of_all(distances.farthest())
            distances.add_centre(row)
            task.advance()
            yield squared, row, nearest_row


def _farthest_of_all(mine: tuple[float, float, int, int]) -> tuple[float, int, int]:
    """Of all ranks' offers (weighted square, square, row, nearest row) the farthest, else the lowest row."""
    found = dist.gather_numbers(
        np.array(mine, dtype=np.float64)
    )  # which holds row numbers up to 2**53 exactly
    score, squared, row, nearest_row = max(found.tolist(), key=lambda offer: (offer[0], -offer[2]))
    if score == np.inf:
        raise SelectionError(
            f"the distance of row {int(row)} is too large for float64. Scale the embeddings down."
        )
    return squared, int(row), int(nearest_row)


def farthest_from_mean(
    reader: RowReader, rows: np.ndarray, weights: np.ndarray | None
) -> tuple[float, int, int]:
    """Find the row farthest from the mean of all, where nothing is chosen yet: (squared distance, row, -1).

    The mean is added up in one fixed order, so that its bits are the same on every machine.

    Raises:
        NonFiniteError: a row holds NaN or infinite values.
        SelectionError: the values are too large for float64 sums.
    """
    mean_D = np.zeros(reader.width)
    with np.errstate(over="ignore", invalid="ignore"):
        for part in range(N_PARTS):
            part_rows = rows[len(rows) * part // N_PARTS : len(rows) * (part + 1) // N_PARTS]
            sums_BD = (
                reader.float64(part_rows[block]).sum(axis=0) for block in blocks(len(part_rows), SUM_ROWS)
            )
            mean_D += sum(sums_BD, np.zeros(reader.width))
        mean_D /= len(rows)
    if not np.isfinite(mean_D).all():
        reader.check_finite(rows)
        raise SelectionError(
            "the mean of the embeddings is too large for float64. Scale the embeddings down."
        )
    squared_M = np.empty(len(rows))
    for block in blocks(len(rows), BLOCK_NUMBERS // (4 * reader.width)):
        with np.errstate(over="ignore"):
            squared_M[block] = np.square(reader.float64(rows[block]) - mean_D).sum(axis=1)
    pos = int((squared_M if weights is None else squared_M * weights).argmax())  # of equal ones the first
    return float(squared_M[pos]), int(rows[pos]), -1
