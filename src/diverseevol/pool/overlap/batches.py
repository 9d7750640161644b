"""A pool's samples in batches whose size in memory is bounded, however long the rows are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..sample import Sample
from ..store import Records

ROWS, CHARACTERS = 512, 1 << 20
ROWS_READ = 32
"""Rows read at once; a batch may exceed its characters by so many."""

Batch = tuple[list[int], list[Sample]]


def sample_batches(records: Records, is_in: NDArray[np.bool_]) -> Iterator[Batch]:
    """The positions and the samples of the records that count, in order.

    Args:
        records: The records.
        is_in: Which of them count; bool[R].
    """
    positions: list[int] = []
    samples: list[Sample] = []
    n_characters = 0
    for start in range(0, len(records), ROWS_READ):
        asked = np.flatnonzero(is_in[start : start + ROWS_READ]).tolist()
        if not asked:
            continue
        read = records.samples(start, min(start + ROWS_READ, len(records)))
        positions += [start + at for at in asked]
        samples += [read[at] for at in asked]
        n_characters += sum(len(turn.text) + len(turn.input) for at in asked for turn in read[at].turns)
        if len(samples) >= ROWS or n_characters >= CHARACTERS:
            yield positions, samples
            positions, samples, n_characters = [], [], 0
    if samples:
        yield positions, samples
