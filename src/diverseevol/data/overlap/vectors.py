"""Near-duplicates by embeddings: rows whose vectors point nearly the same way as an earlier row's that stays.

The similarity is the cosine of vectors from which the mean of all is taken: a language model's vectors share one large direction
beside which all others look alike (Ethayarajh 2019, https://arxiv.org/abs/1909.00512).
The rule is that of near.py: in order, a row is a duplicate of the most similar earlier row that is none itself, or stays.
Cost: N²·D multiplications in blocks, so it is for pools up to some 100,000 rows; the memory of two blocks of rows.
Shape letters: N rows, D width, B rows of a block, K rows of an earlier block that stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...base.progress import SILENT, Watch
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
            alike: dict[int, list[Near]] = defaultdict(list)
            for rows_K in [*kept_rows, rows_B]:
                cosines_BK = unit_BD @ _unit(vectors_ND, rows_K, mean_D).T
                if rows_K is not rows_B:  # all of them stay, so the most similar one will do
                    cosines_BK[cosines_BK < cosines_BK.max(axis=1, keepdims=True)] = -2
                at_B, at_K = np.nonzero(cosines_BK >= threshold)
                for pair in map(
                    Near, rows_B[at_B].tolist(), rows_K[at_K].tolist(), cosines_BK[at_B, at_K].tolist()
                ):
                    alike[pair.text].append(pair)
            repeats = _repeats(alike)
            found += repeats.values()
            if len(repeats) < len(rows_B):
                kept_rows.append(np.array([row for row in rows_B.tolist() if row not in repeats]))
            task.advance(len(rows_B))
    return found


def _repeats(alike: Mapping[int, Sequence[Near]]) -> dict[int, Near]:
    """A block's duplicates by row: of rows that stay before it, or of its own earlier ones that stay."""
    repeats: dict[int, Near] = {}
    for row in sorted(alike):
        kept = [near for near in alike[row] if near.kept < row and near.kept not in repeats]
        if kept:
            best = max(kept, key=lambda near: (near.similarity, -near.kept))
            repeats[row] = best._replace(similarity=min(best.similarity, 1.0))
    return repeats


def _unit(
    vectors_ND: NDArray[np.float32], rows: NDArray[np.int64], mean_D: NDArray[np.float64]
) -> NDArray[np.float32]:
    # Neighbouring rows are read in one piece, which a file likes better than one by one.
    part = np.asarray(vectors_ND[rows[0] : rows[-1] + 1])[rows - rows[0]] - mean_D
    lengths = np.linalg.norm(part, axis=1, keepdims=True)
    unit: NDArray[np.float32] = (part / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit
