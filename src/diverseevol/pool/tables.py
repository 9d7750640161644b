"""Rows of tables: CSV and TSV, Parquet, and folders that `datasets` saved. None is ever whole in memory.

A table has no JSON text of its own, so each row's is made: values that JSON lacks become text (dates, decimals) or null
(NaN). A CSV's cells are text, an empty one the empty text.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import PoolError
from .files_in import open_text
from .json_stream import BROKEN_UTF8
from .row import Row

BATCH = 1024


def csv_rows(path: Path, name: str) -> Iterator[Row]:
    """Rows of a CSV or TSV with a header; a row that does not fit the header is a bad one.

    Raises:
        PoolError: the file cannot be read, has no usable header, or ends inside quotes.
    """
    # Long instructions exceed the csv module's default of 131,072 characters a cell.
    csv.field_size_limit(sys.maxsize)
    with open_text(path) as file:
        first = file.readline()
        # Spreadsheets of half the world write semicolons, and some write tabs.
        delimiter = max(",;\t", key=first.count)
        reader = csv.reader(chain([first], file), delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise PoolError(f"{name} has no readable header line: {error}.") from None
        _check_header(header, name)
        yield from _csv_body(reader, header, name)


def _csv_body(reader: Any, header: list[str], name: str) -> Iterator[Row]:  # noqa: ANN401 - the csv module's reader has no public type
    number = 0
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise PoolError(
                    f"{name} ends inside quotes: nothing closes what the row at line {line} opens. Repair it there."
                ) from None
            yield Row("", None, name, number, line, f"not CSV: {error}")
            number += 1
            continue
        if cells is None:
            return
        if cells:
            yield _csv_row(cells, header, name, number, line)
            number += 1


def _csv_row(cells: list[str], header: list[str], name: str, number: int, line: int) -> Row:
    if len(cells) != len(header):
        return Row(",".join(cells), None, name, number, line, f"{len(cells)} cells under a header of {len(header)}")
    record = dict(zip(header, cells, strict=True))
    row = made_row(record, name, number, line)
    try:
        row.text.encode("utf-8")
    except UnicodeEncodeError:
        return row._replace(record=None, problem=BROKEN_UTF8)
    return row


def _check_header(header: list[str], name: str) -> None:
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise PoolError(f"{name}: the header names {', '.join(map(repr, twice))} twice. Give each column a name of its own.")


def parquet_rows(path: Path, name: str) -> Iterator[Row]:
    """Rows of a Parquet file, in batches.

    Raises:
        PoolError: it is damaged or may not be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            yield from _batches(file.iter_batches(BATCH), name)
    except pa.ArrowException as error:
        raise PoolError(f"{name} is not a whole Parquet file: {error}. Copy or write it again.") from None
    except OSError as error:
        raise PoolError(f"cannot read {name}: {error.strerror or error}.") from None


def saved_rows(folder: Path, name: str, split: str) -> Iterator[Row]:
    """Rows of a folder that `datasets` saved with save_to_disk: a data set, or one split of several.

    Raises:
        PoolError: there is no such split, or a file is missing or damaged.
    """
    import datasets

    try:
        data = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise PoolError(f"{name} is not a whole folder of `datasets`: {error}. Copy or save it again.") from None
    if isinstance(data, datasets.DatasetDict):
        if split not in data:
            raise PoolError(f"{name} has no split {split!r}. Set split to one of: {', '.join(data)}.")
        data = data[split]
    return _batches(data.with_format("arrow").iter(BATCH), name)


def _batches(batches: Iterable[pa.RecordBatch | pa.Table], name: str) -> Iterator[Row]:
    records = chain.from_iterable(batch.to_pylist() for batch in batches)
    return (made_row(record, name, number) for number, record in enumerate(records))


def made_row(record: dict[str, Any], name: str, number: int, line: int | None = None) -> Row:
    """A row whose JSON text is made here; its record is what that text says."""
    try:
        text = json.dumps(record, ensure_ascii=False, default=_in_json)
        said = json.loads(text, parse_constant=lambda _: None)
        return Row(json.dumps(said, ensure_ascii=False), said, name, number, line)
    except TypeError as error:
        return Row(str(record), None, name, number, line, str(error))
    except RecursionError:
        return Row("", None, name, number, line, "nested too deeply")


def _in_json(value: Any) -> str:  # noqa: ANN401 - any value of a table
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"holds a {type(value).__name__}, which JSON cannot write")
