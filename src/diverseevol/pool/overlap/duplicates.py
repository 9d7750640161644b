"""Duplicates inside a pool: records with the same dialogue, and, if asked for, those with nearly the same.

Exact: the same turns, inputs and tools to the character; columns beside them (an id, a category) do not count. Near: `least_jaccard` of
what is asked, the inputs and the answers is at least the threshold. Of each group the first in pool order stays.
Cost of near: linear (minhash.py, near.py); some 100 bytes a row for the keys.
Shape letters: R records, B bands.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...progress import Watch
from ..store import Records
from .batches import sample_batches
from .minhash import N_HASHES, band_keys, rows_per_band, shingles_by_part, signatures
from .near import near_duplicates
from .parts import compared_parts

Parts = tuple[str, str, str]
HELD_TEXTS = 2048
"""Shingle sets that are held for comparisons, the most recent ones."""


class Duplicate(NamedTuple):
    """A record, the one that stays in its place (both as positions among the records), and how alike they are.

    Attributes:
        position: The later record.
        kept: The earlier one.
        kind: exact or near.
        similarity: 1 for exact; else the Jaccard similarity of the part in which they differ most.
    """

    position: int
    kept: int
    kind: str
    similarity: float


def find_duplicates(records: Records, is_in: NDArray[np.bool_], threshold: float | None, watch: Watch) -> list[Duplicate]:
    """The records that repeat an earlier one, ascending; no record is both repeated and a repetition.

    Args:
        records: The records.
        is_in: Which of them count; bool[R].
        threshold: The least similarity of near-duplicates; None: exact ones only.
        watch: Sees the progress of near-duplicates.
    """
    positions = np.flatnonzero(is_in)
    _, first, group_of = np.unique(records.dialogues[positions], return_index=True, return_inverse=True)
    kept = positions[first[group_of]]
    is_first = kept == positions
    exact = [Duplicate(int(at), int(of), "exact", 1.0) for at, of in zip(positions[~is_first], kept[~is_first], strict=True)]
    if threshold is None:
        return exact
    near = _find_near(records, positions[is_first], threshold, watch)
    replaced = {duplicate.position: duplicate for duplicate in near}
    # Copies of a record that is dropped itself are near-duplicates of what stays.
    moved = [
        Duplicate(one.position, replaced[one.kept].kept, "near", replaced[one.kept].similarity) if one.kept in replaced else one
        for one in exact
    ]
    return sorted([*moved, *near])


def _find_near(records: Records, positions: NDArray[np.int64], threshold: float, watch: Watch) -> list[Duplicate]:
    keys_RB = _all_band_keys(records, positions, rows_per_band(threshold), watch)

    @lru_cache(HELD_TEXTS)
    def shingles_of(text: int) -> NDArray[np.uint64]:
        hashes, _ = shingles_by_part([compared_parts(records.sample(int(positions[text])))])
        return np.unique(hashes)

    found = near_duplicates(keys_RB, shingles_of, threshold, watch)
    return [Duplicate(int(positions[one.text]), int(positions[one.kept]), "near", one.similarity) for one in found]


def _all_band_keys(records: Records, positions: NDArray[np.int64], rows: int, watch: Watch) -> NDArray[np.uint32]:
    """Every record's keys. This thread reads the texts; others, whose array operations do not hold the interpreter, hash them."""
    n_workers = os.cpu_count() or 1
    is_asked = np.zeros(len(records), dtype=bool)
    is_asked[positions] = True
    done = [np.empty((0, N_HASHES // rows), dtype=np.uint32)]
    waiting: deque[Future[NDArray[np.uint32]]] = deque()
    with watch.task("compare texts", len(positions), "rows") as task, ThreadPoolExecutor(n_workers) as workers:
        for _, samples in sample_batches(records, is_asked):
            waiting.append(workers.submit(_keys_of, [compared_parts(sample) for sample in samples], rows))
            if len(waiting) > n_workers:
                done.append(waiting.popleft().result())
            task.advance(len(samples))
        done += [future.result() for future in waiting]
    return np.concatenate(done)


def _keys_of(parts: Sequence[Parts], rows: int) -> NDArray[np.uint32]:
    return band_keys(signatures(*shingles_by_part(parts)), rows)
