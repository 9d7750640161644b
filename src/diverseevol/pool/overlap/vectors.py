"""Near-duplicates by embeddings: rows whose vectors point nearly the same way as an earlier row's that stays.

The similarity is the cosine of vectors from which the mean of all is taken: a language model's vectors share one large direction
beside which all others look alike (Ethayarajh 2019, https://arxiv.org/abs/1909.00512).
The rule is that of near.py: in order, a row is a duplicate of the most similar earlier row that is none itself, or stays.
Cost: N²·D multiplications in blocks, so it is for pools up to some 100,000 rows; the memory of two blocks of rows.
Shape letters: N rows, D width, B rows of a block, K rows of an earlier block that stay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...progress import SILENT, Watch
from .near import Near

BLOCK = 1024


def near_vectors(vectors_ND: NDArray[np.float32], threshold: float, watch: Watch = SILENT) -> list[Near]:
    """The rows that repeat an earlier one, ascending; a vector equal to the mean repeats none.

    Args:
        vectors_ND: The vectors, in memory or memory-mapped.
        threshold: The least cosine of near-duplicates.
        watch: Sees the progress.
    """
    mean_D = np.zeros(vectors_ND.shape[1])
    for start in range(0, len(vectors_ND), BLOCK):
        mean_D += vectors_ND[start : start + BLOCK].sum(axis=0, dtype=np.float64) / len(vectors_ND)
    found: list[Near] = []
    kept_rows: list[NDArray[np.int64]] = []
    with watch.task("compare vectors", len(vectors_ND), "rows") as task:
        for start in range(0, len(vectors_ND), BLOCK):
            rows_B = np.arange(start, min(start + BLOCK, len(vectors_ND)))
            unit_BD = _unit(vectors_ND, rows_B, mean_D)
            best_B, nearest_B = np.full(len(rows_B), -2.0, dtype=np.float32), np.full(len(rows_B), -1)
            for rows_K in kept_rows:
                cosines_BK = unit_BD @ _unit(vectors_ND, rows_K, mean_D).T
                at_B = cosines_BK.argmax(axis=1)
                highest_B = cosines_BK[np.arange(len(rows_B)), at_B]
                is_better_B = highest_B > best_B
                best_B[is_better_B], nearest_B[is_better_B] = highest_B[is_better_B], rows_K[at_B[is_better_B]]
            repeats = _within(unit_BD, rows_B, best_B, nearest_B, threshold)
            found += repeats
            rest = np.setdiff1d(rows_B, [near.text for near in repeats])
            if len(rest):
                kept_rows.append(rest)
            task.advance(len(rows_B))
    return found


def _within(
    unit_BD: NDArray[np.float32],
    rows_B: NDArray[np.int64],
    best_B: NDArray[np.float32],
    nearest_B: NDArray[np.int64],
    threshold: float,
) -> list[Near]:
    """A block's duplicates: of rows before it, of which the most similar ones are known, or of its own."""
    cosines_BB = np.tril(unit_BD @ unit_BD.T, -1)
    is_kept_B = np.ones(len(rows_B), dtype=bool)
    found = []
    for at in np.flatnonzero((best_B >= threshold) | (cosines_BB >= threshold).any(axis=1)).tolist():
        own_B = np.where(is_kept_B[:at], cosines_BB[at, :at], -2)
        highest = float(own_B.max(initial=-2))
        other = int(rows_B[own_B.argmax()]) if highest > best_B[at] else int(nearest_B[at])
        cosine = max(highest, float(best_B[at]))
        if cosine >= threshold:
            is_kept_B[at] = False
            found.append(Near(int(rows_B[at]), other, min(cosine, 1.0)))
    return found


def _unit(vectors_ND: NDArray[np.float32], rows: NDArray[np.int64], mean_D: NDArray[np.float64]) -> NDArray[np.float32]:
    # Neighbouring rows are read in one piece, which a file likes better than one by one.
    part = np.asarray(vectors_ND[rows[0] : rows[-1] + 1])[rows - rows[0]] - mean_D
    lengths = np.linalg.norm(part, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (part / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit
