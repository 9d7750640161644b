"""Rows of Arrow tables: Parquet, folders that `datasets` saved, data sets on the Hub; in batches.

A table has no JSON text of its own, so each row's is made. Dates, decimals, UUIDs and whatever else JSON
lacks become text, bytes the text that they are in UTF-8 or else {"base64": …}, NaN null; a value that Python
cannot hold says why in its place, {"unreadable": …}. Neither object is ever taken for a text. Columns of
`datasets`' type Json and maps are the objects that they stand for. Arrow gives every object of a column the
keys of all of them, null where a row had none: such nulls, which nobody wrote, are left out inside objects. A
null that somebody did write cannot be told from them.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from datetime import date, time
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import PoolError
from .json_files import check_split
from .sample import Row

BATCH = 1024
LISTS = (pa.ListType, pa.LargeListType, pa.FixedSizeListType, pa.ListViewType, pa.LargeListViewType)
UNREADABLE = (ValueError, ArithmeticError, LookupError)
"""What pyarrow raises for years beyond 9999, time zones of no name, text that is not UTF-8."""


def parquet_rows(path: Path, name: str) -> Iterator[Row]:
    """Rows of a Parquet file, in batches."""
    try:
        with pq.ParquetFile(path) as file:
            yield from table_rows(file.iter_batches(BATCH), name)
    except pa.ArrowException as error:
        raise PoolError(f"{name} is not a whole Parquet file: {error}. Copy or write it again.") from None
    except OSError as error:
        raise PoolError(f"cannot read {name}: {error.strerror or error}.") from None


def saved_rows(folder: Path, name: str, split: str) -> Iterator[Row]:
    """Rows of a folder that `datasets` saved with save_to_disk: a data set, or one split of several."""
    import datasets

    try:
        data = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        raise PoolError(
            f"{name} is not a whole folder of `datasets`: {error}. Copy or save it again."
        ) from None
    if isinstance(data, datasets.DatasetDict):
        if split not in data:
            raise PoolError(f"{name} has no split {split!r}. Set split to one of: {', '.join(data)}.")
        data = data[split]
    else:
        check_split(name, split, [str(data.split or "")])
    return table_rows(data.with_format("arrow").iter(BATCH), name)


def hub_rows(name: str, split: str) -> Iterator[Row]:
    """Stream one split of a data set on the Hub; `owner/name:config` names one of its configurations.

    HF_HOME, HF_TOKEN and HF_HUB_OFFLINE count as everywhere.
    """
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    owner_name, _, config_name = name.partition(":")
    try:
        data = datasets.load_dataset(owner_name, config_name or None, split=split, streaming=True)
        yield from table_rows(data.with_format("arrow").iter(BATCH), name)
    except (datasets.exceptions.DatasetNotFoundError, OSError, HfHubHTTPError) as error:
        # Offline and unreachable are OSErrors (ConnectionError) of several libraries.
        raise PoolError(
            f"no pool at {name!r}: no file or folder of that name here, and the Hub gave {_said(error)}. "
            "Correct pool.path; for the Hub, check the network, HF_TOKEN and HF_HUB_OFFLINE, or try again."
        ) from None
    except ValueError as error:
        raise PoolError(
            f"cannot read {name!r} from the Hub with split {split!r}: {_said(error)}. "
            "Set split, or name owner/name:config."
        ) from None


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def table_rows(tables: Iterable[pa.RecordBatch | pa.Table], name: str) -> Iterator[Row]:
    """The rows of the parts of a table."""
    records = chain.from_iterable(map(_records, tables))
    return (made_row(record, name, number) for number, record in enumerate(records))


def made_row(record: dict[str, Any], name: str, number: int, line: int | None = None) -> Row:
    """A row whose JSON text is made here; its record is what that text says."""
    try:
        text = json.dumps(record, ensure_ascii=False, default=_in_json)
        said = json.loads(text, parse_constant=lambda _: None)
        return Row(json.dumps(said, ensure_ascii=False), said, name, number, line)
    except RecursionError:
        return Row("", None, name, number, line, "nested too deeply")


def _records(table: pa.RecordBatch | pa.Table) -> Iterator[dict[str, Any]]:
    columns = []
    for column in table.columns:
        try:
            values = column.to_pylist(maps_as_pydicts="lossy")
        except UNREADABLE:
            values = [_value(scalar) for scalar in column]
        read = _reader(column.type)
        columns.append(values if read is None else [read(value) for value in values])
    return (dict(zip(table.schema.names, values, strict=True)) for values in zip(*columns, strict=True))


def _value(scalar: pa.Scalar) -> Any:  # noqa: ANN401 - any value of a table
    try:
        return scalar.as_py(maps_as_pydicts="lossy")
    except UNREADABLE as error:
        return {"unreadable": str(error)}


def _reader(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """What is done to the values of a type; None where they stay as they are."""
    if isinstance(kind, pa.JsonType):
        return _from_json_text
    if pa.types.is_struct(kind):
        # A field that no value of has to be changed stays as it is.
        readers = {field.name: read for field in kind if (read := _reader(field.type))}

        def without_nulls(value: Any) -> Any:  # noqa: ANN401 - a struct or null
            filled = {key: item for key, item in (value or {}).items() if item is not None}
            return value and {
                key: readers[key](item) if key in readers else item for key, item in filled.items()
            }

        return without_nulls
    if pa.types.is_map(kind):
        of_item = _reader(kind.item_type)
        return of_item and (lambda value: value and {key: of_item(item) for key, item in value.items()})
    if isinstance(kind, LISTS):
        read = _reader(kind.value_type)
        return read and (lambda value: value and [read(item) for item in value])
    return _reader(kind.value_type) if pa.types.is_dictionary(kind) else None


def _from_json_text(text: str | None) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def _in_json(value: Any) -> Any:  # noqa: ANN401 - any value of a table
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": b64encode(value).decode()}
    return str(value)
