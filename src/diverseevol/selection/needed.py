"""What strategies and guards ask of the signals and of their settings, with one message for each thing that is not there.

Shape letters: N pool rows, M rows asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from ..base import dist
from ..errors import SelectionError
from .candidates import candidate_rows, check_chosen_rows
from .distances import BLOCK_NUMBERS, blocks
from .reader import RowReader
from .signals import Embeddings, Signals

CPU = torch.device("cpu")


def embeddings_of(signals: Signals, who: str) -> Embeddings:
    """Return the embeddings.

    Raises:
        SelectionError: there are none.
    """
    if signals.embeddings is None:
        raise SelectionError(f"{who} needs embeddings and got none. Give Signals(embeddings=…).")
    return signals.embeddings


def ready(signals: Signals, who: str, chosen_rows: object, n_new: int, is_unit: bool) -> tuple[RowReader, np.ndarray, np.ndarray]:
    """Return how to read the embeddings, the rows chosen so far and those that may be picked; every rank must call this.

    Raises:
        PoolExhaustedError: fewer than `n_new` rows are left.
        NonFiniteError: a row that is chosen or may be picked holds NaN or infinite values.
        SelectionError: there are no embeddings, or another argument is unusable.
    """
    reader = RowReader(embeddings_of(signals, who), is_unit=is_unit)
    chosen = check_chosen_rows(chosen_rows, signals.n_rows)
    candidates = candidate_rows(signals, chosen, n_new)
    check_rows(reader, np.concatenate([candidates, chosen]))
    return reader, chosen, candidates


def column_of(signals: Signals, name: str, who: str) -> np.ndarray:
    """Return a signal, or a column of the pool's records, of any type: one value a row.

    Raises:
        SelectionError: there is none of that name.
    """
    if name not in signals.columns:
        known = ", ".join(sorted(signals.columns)) or "none"
        raise SelectionError(f"{who} needs the column {name!r}, which is not there. Known: {known}.")
    return signals.columns[name]


def numbers_of(signals: Signals, name: str, who: str) -> np.ndarray:
    """Return a signal, or a column of the pool's records, as float64[N]; a missing value is NaN.

    Raises:
        SelectionError: there is none of that name, or it does not hold numbers.
    """
    column = column_of(signals, name, who)
    if column.dtype.kind not in "fiub":
        shown = ", ".join(repr(str(value)) for value in column[:3])
        raise SelectionError(f"{who} needs numbers in the column {name!r}; found {shown}. Name a numeric column.")
    return column.astype(np.float64)


def check_rows(reader: RowReader, rows: np.ndarray) -> None:
    """Check that float32 can hold `rows`; every rank must call this, and each looks at its share.

    Raises:
        NonFiniteError: rows hold NaN or infinite values.
        SelectionError: values are too large for float32, or rows that need a direction are zero.
    """
    shard = dist.shard(len(rows))
    mine = rows[shard.start : shard.stop]
    suspects = [rows[:0]]
    for block in blocks(len(mine), BLOCK_NUMBERS // reader.width):
        suspects.append(mine[block][~torch.isfinite(reader.float32(mine[block], CPU)).all(dim=1).numpy()])
    found = np.concatenate(suspects)
    reader.check_finite(found)
    too_large = np.concatenate(dist.gather(found))
    if too_large.size:
        raise SelectionError(f"the embeddings of row {too_large[0]} are too large for float32. Scale them down.")


def check_setting(option: str, setting: object, known: Iterable[str]) -> Mapping[str, Any]:
    """Return a common option's setting: a mapping of known keys.

    Raises:
        SelectionError: it is not one, or has another key.
    """
    names = ", ".join(known)
    if not isinstance(setting, Mapping):
        raise SelectionError(f"{option} must be a mapping of {names}; found {setting!r}.")
    unknown = [key for key in setting if key not in known]
    if unknown:
        raise SelectionError(f"{option} has no key {unknown[0]!r}: its keys are {names}.")
    return setting


def is_whole(value: object, least: int = 1) -> bool:
    """Whether `value` is a whole number of at least `least`."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= least


def is_number(value: object) -> bool:
    """Whether `value` is a finite real number."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))
