"""Columns of the pool's own records: as numbers or text for a strategy, as names of groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .pool import Pool

SOURCE = "source"
"""The column that every pool has: a row's file, folder or Hub id, unless its record has a `source`."""
NO_GROUP = "(none)"
"""The group of records without the column."""


def pool_columns(pool: Pool, names: Sequence[str], asked_by: str = "the strategy") -> dict[str, NDArray[Any]]:
    """Columns of the pool's own records: float64[N] where every value is a number (NaN: none), else text.

    Args:
        pool: The rows.
        names: The columns.
        asked_by: Who needs them, for the error.
    """
    return {name: as_column(values) for name, values in _values(pool, names, asked_by).items()}


def group_names(pool: Pool, column: str, asked_by: str | None = None) -> list[str]:
    """The value of a column for each row, as text."""
    return [NO_GROUP if value is None else str(value) for value in _values(pool, [column], asked_by)[column]]


def as_column(values: list[Any]) -> NDArray[Any]:
    """Values of records as float64[N] where every one is a number (None: NaN), else as text."""
    if all(value is None or type(value) in (int, float) for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    return np.array(["" if value is None else str(value) for value in values])


def _values(pool: Pool, names: Sequence[str], asked_by: str | None) -> dict[str, list[Any]]:
    """The values of columns, None where a record has none."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    keys: dict[str, None] = {SOURCE: None}
    for row in range(len(pool) if names else 0):
        text = pool.record_text(row)
        # A key may be written with escapes.
        is_parsed = set(names) != {SOURCE} or f'"{SOURCE}"' in text or "\\u" in text
        record = pool.record(row) if is_parsed else {}
        keys.update(dict.fromkeys(record))
        for name, values in found.items():
            is_source = name == SOURCE and SOURCE not in record
            values.append(pool.place(row)["source"] if is_source else record.get(name))
    for name, values in found.items():
        if asked_by and all(value is None for value in values):
            has = ", ".join(keys)
            raise ConfigError(f"{asked_by} needs a column {name!r}, which no record has. They have: {has}.")
    return found
