"""Duplicates inside a pool: records with the same dialogue, and, if asked for, those with nearly the same.

Exact: the same turns, inputs, thinking and tools to the character; columns beside them (an id, a category) do not count. Near: `least_jaccard` of
what is asked, the inputs and the answers is at least the threshold. Of each group the first in pool order stays.
Cost of near: linear (near.py); some 130 bytes a row for the keys.
Shape letters: R records.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...base.progress import Watch
from ..sample import Sample
from ..store import Records
from .near import Shingles, band_keys, near_duplicates, shingles
from .normal import plain

HELD_TEXTS = 512
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


def find_duplicates(
    records: Records, is_in: NDArray[np.bool_], threshold: float | None, watch: Watch
) -> list[Duplicate]:
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
    exact = [
        Duplicate(int(at), int(of), "exact", 1.0)
        for at, of in zip(positions[~is_first], kept[~is_first], strict=True)
    ]
    if threshold is None:
        return exact
    near = _find_near(records, positions[is_first], threshold, watch)
    replaced = {duplicate.position: duplicate for duplicate in near}
    # Copies of a record that is dropped itself are near-duplicates of what stays.
    moved = [
        Duplicate(one.position, replaced[one.kept].kept, "near", replaced[one.kept].similarity)
        if one.kept in replaced
        else one
        for one in exact
    ]
    return sorted([*moved, *near])


def compared_parts(sample: Sample) -> tuple[str, str, str]:
    """What is asked, the separate input and what is answered: each must be alike in near-duplicates; in the form that is compared.

    One text for all would call two questions about the same long passage duplicates.
    """
    asked = (turn.text for turn in sample.turns if turn.role != "assistant")
    inputs = (turn.input for turn in sample.turns)
    answered = ("\n".join(turn.texts) for turn in sample.turns if turn.role == "assistant")
    return plain("\n".join(asked)), plain("\n".join(inputs)), plain("\n".join(answered))


def _find_near(
    records: Records, positions: NDArray[np.int64], threshold: float, watch: Watch
) -> list[Duplicate]:
    is_asked = np.zeros(len(records), dtype=bool)
    is_asked[positions] = True
    texts = (_shingles(sample) for _, sample in records.some(is_asked))
    keys_TB = band_keys(texts, len(positions), threshold, watch)
    shingles_of = lru_cache(HELD_TEXTS)(lambda text: _shingles(records.sample(int(positions[text]))))
    found = near_duplicates(keys_TB, shingles_of, threshold, watch)
    return [
        Duplicate(int(positions[one.text]), int(positions[one.kept]), "near", one.similarity) for one in found
    ]


def _shingles(sample: Sample) -> Shingles:
    return tuple(shingles(part) for part in compared_parts(sample))
