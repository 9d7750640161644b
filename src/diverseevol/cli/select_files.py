"""The files beside the vectors that `select` reads: which rows are chosen, their ids, and columns of records.

Ids are looked up by going through their file, a line at a time: millions of them need not be in memory.
Shape letters: N rows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Pool
from ..data.columns import as_column
from ..data.json_files import kind_of, open_text
from ..errors import SelectionError
from ..run import RunFolder
from ..selection import Signal

N_TOKENS = "n_tokens"
"""The column that `embed` need not write, for its pool holds it."""


@dataclass(frozen=True, slots=True)
class Ids:
    """A text file with the rows' ids, one a line, in row order."""

    path: Path

    def count(self) -> int:
        """How many there are."""
        return sum(1 for _ in self.lines())

    def rows_of(self, names: Collection[str]) -> dict[str, int]:
        """The rows of those of `names` that are ids.

        Raises:
            SelectionError: one of them is the id of two rows.
        """
        found: dict[str, int] = {}
        for row, name in enumerate(self.lines()):
            if name in names and found.setdefault(name, row) != row:
                raise SelectionError(
                    f"{self.path} gives the id {name!r} to the rows {found[name]} and {row}. Make ids unique."
                )
        return found

    def of_rows(self, rows: Collection[int]) -> dict[int, str]:
        """The ids of rows."""
        return {row: name for row, name in enumerate(self.lines()) if row in rows}

    def lines(self) -> Iterator[str]:
        """All of them, in row order."""
        with open_text(self.path) as text:
            for line in text:
                yield line.rstrip("\r\n")


def open_ids(file: Path | None, folder: Path, n_rows: int) -> Ids | None:
    """The ids in `file` or, if none is given, in the folder's ids.txt; None if there is neither.

    Raises:
        SelectionError: there is not one id a row.
        PoolError: the file cannot be read.
    """
    path = file or folder / "ids.txt"
    if file is None and not path.exists():
        return None
    ids = Ids(path)
    n_ids = ids.count()
    if n_ids != n_rows:
        raise SelectionError(
            f"{path} holds {n_ids:,} ids for {n_rows:,} rows. Give the ids of these vectors with --ids."
        )
    return ids


def read_chosen(file: Path | None, n_rows: int, ids: Ids | None) -> np.ndarray:
    """Read the rows that are chosen already, in the file's order, int64; none without a file.

    A line is a row number, an id, or JSON with `id` (or `_id`) or `row`; where ids are known, the id counts.
    If any bare line is an id, all of them are: an id may look like a number.

    Raises:
        SelectionError: a line is none of these, an unknown id, a row outside 0 … n_rows - 1, or a row named
            before.
        PoolError: the file cannot be read.
    """
    if file is None:
        return np.empty(0, dtype=np.int64)
    with open_text(file) as text:
        lines = {number: content.strip() for number, content in enumerate(text, 1) if content.strip()}
    named = {number: _named(f"{file} line {number}", line, ids is not None) for number, line in lines.items()}
    known = ids.rows_of({name for name, _ in named.values() if name is not None}) if ids else {}
    seen: dict[int, int] = {}
    for number, (name, row) in named.items():
        place = f"{file} line {number}"
        if name is not None and (known or row is None):
            if name not in known:
                found = (
                    f"is not in {ids.path}"
                    if ids
                    else "is no row number, and no ids are known: give them with --ids"
                )
                raise SelectionError(f"{place}: the id {name!r} {found}. Correct the line.")
            row = known[name]
        if row is None or not 0 <= row < n_rows:
            raise SelectionError(
                f"{place}: row {row} is outside 0..{n_rows - 1}. Are they other vectors' rows?"
            )
        if seen.setdefault(row, number) != number:
            raise SelectionError(
                f"{place}: row {row} is chosen already in line {seen[row]}. Name each row once."
            )
    return np.array(list(seen), dtype=np.int64)


def _named(place: str, line: str, has_ids: bool) -> tuple[str | None, int | None]:
    """A line's id, if it may be one, and its row, if it may be one."""
    if not line.startswith("{"):
        return line, int(line) if line.isdecimal() else None
    try:
        record = json.loads(line)
    except ValueError as error:
        raise SelectionError(f"{place} is no JSON: {error}. Correct the line.") from None
    name, row = record.get("_id", record.get("id")), record.get("row")
    if name is not None and (has_ids or row is None):
        return str(name), None
    if isinstance(row, int) and not isinstance(row, bool):
        return None, row
    raise SelectionError(f"{place} has neither `row` (a number) nor `id`. Correct the line.")


def read_columns(
    file: Path | None, folder: Path, names: frozenset[str], n_rows: int, asked_by: str = "the strategy"
) -> dict[str, np.ndarray]:
    """Read columns from a file of records, and what it lacks from what `embed` left in the folder.

    Signals.parquet, and tokens a row.

    Returns:
        By name, float64[N] where every value is a number (NaN: none), else text.

    Raises:
        SelectionError: neither has such a column, or one does not have a record a row.
        PoolError: a file cannot be read.
    """
    if file is not None and not file.is_file():
        raise SelectionError(f"there are no columns at {str(file)!r}: no such file. Correct --columns.")
    beside = folder / "signals.parquet"
    paths = [path for path in (file, beside if beside.is_file() else None) if path is not None]
    found: dict[str, np.ndarray] = {}
    known: list[str] = []
    for path in paths if names else ():
        columns, keys = (_parquet_columns if kind_of(path) == ".parquet" else _record_columns)(
            path, names - found.keys()
        )
        for name, column in columns.items():
            if len(column) != n_rows:
                raise SelectionError(
                    f"{path} has {len(column):,} records for {n_rows:,} rows. Give one a row, in row order."
                )
            found[name] = column
        known += keys
    embedded = RunFolder(folder).pool_dir
    if (
        N_TOKENS in names - found.keys()
        and (embedded / "index.arrow").is_file()
        and len(pool := Pool.open(embedded)) == n_rows
    ):
        found[N_TOKENS] = pool.n_tokens.astype(np.float64)
    missing = sorted(names - found.keys())
    if missing:
        signal = (
            f", and `diverseevol embed --compute {missing[0]}` computes it"
            if missing[0] in set(Signal)
            else ""
        )
        has = f"Known: {', '.join(dict.fromkeys(known))}" if known else "No columns are known"
        raise SelectionError(
            f"{asked_by} needs a column {str(missing[0])!r}, which is not there. {has}; --columns gives "
            f"more{signal}."
        )
    return found


def _parquet_columns(file: Path, names: frozenset[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
        table = pq.read_table(file, columns=[name for name in schema.names if name in names])
    except (pa.ArrowException, OSError) as error:
        raise SelectionError(f"cannot read {file}: {error}. Copy or write it again.") from None
    return {name: _from_arrow(table.column(name)) for name in table.column_names}, schema.names


def _from_arrow(column: Any) -> np.ndarray:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return np.asarray(column.cast(pa.float64()).to_numpy())
    return _from_values(column.to_pylist(), is_text=False)


def _record_columns(file: Path, names: frozenset[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    from ..config import SourceConfig
    from ..data.sources import read_source

    values: dict[str, list[Any]] = {name: [] for name in names}
    keys: dict[str, None] = {}
    for row in read_source(SourceConfig(path=str(file))):
        if row.problem or not isinstance(row.record, dict):
            raise SelectionError(f"{row.place()}: {row.problem or 'not an object'}. Repair it.")
        keys.update(dict.fromkeys(row.record))
        for name, column in values.items():
            column.append(row.record.get(name))
    is_text = kind_of(file) in (".csv", ".tsv")
    return {name: _from_values(column, is_text) for name, column in values.items() if name in keys}, list(
        keys
    )


def _from_values(values: list[Any], is_text: bool) -> np.ndarray:
    """An array of values of any kind; with `is_text`, texts that are all numbers become numbers."""
    if is_text:
        try:
            return np.array([float(value) if value else np.nan for value in values])
        except ValueError:
            pass
    return as_column(values)
