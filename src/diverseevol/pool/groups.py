"""Rows in groups: the value of a column for each of them."""

from __future__ import annotations

from ..errors import ConfigError
from .store import Pool

NO_GROUP = "(none)"
"""The group of records without the column."""
SOURCE = "source"


def group_names(pool: Pool, column: str, key: str | None = None) -> list[str]:
    """The value of a column for each row, as text; "source" is also the name of a row's file, unless the records have it.

    Args:
        pool: The rows.
        column: The column's name.
        key: The setting that names the column; given, a column that no record has is an error.

    Raises:
        ConfigError: no record has such a column.
    """
    found: list[str] = []
    keys: dict[str, None] = {SOURCE: None}
    for row in range(len(pool)):
        record = pool.record(row)
        keys.update(dict.fromkeys(record))
        value = pool.source(row) if column == SOURCE and SOURCE not in record else record.get(column)
        found.append(NO_GROUP if value is None else str(value))
    if key and column not in keys:
        raise ConfigError(f"{key} is {column!r}, but no record has such a column. They have: {', '.join(keys)}.")
    return found
