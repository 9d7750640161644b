"""Vectors in a list column of Parquet files, copied once into a .npy, since Parquet cannot give single rows.

Cost: one pass, a batch of rows in memory at a time; N·D numbers on the disk.
Shape letters: N rows, B rows of a batch, D width.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..base.files import remove
from ..base.progress import Watch
from ..errors import EmbedError

BATCH_ROWS = 1024
BUFFER_BYTES = 2**20  # of a column read at once; without a buffer it would be a whole row group


def copy_to_npy(files: Sequence[Path], column: str | None, scratch_dir: Path, watch: Watch) -> Path:
    """Copy the vectors of Parquet files, one after the other, into a new .npy in `scratch_dir`.

    Args:
        files: the files, in the order of their rows.
        column: the list column; None: the only one that holds numbers.
        scratch_dir: where the .npy goes.
        watch: is shown the rows.

    Raises:
        EmbedError: a file cannot be read, has no such column, has a row of another width or without numbers; or there is no room.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=f".{files[0].stem}-", suffix=".npy", dir=scratch_dir)
    except OSError as error:
        raise EmbedError(f"cannot write to {scratch_dir}: {error.strerror}. Copy {files[0]} to where there is room.") from None
    copy = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            _copy(files, column, out, watch)
    except OSError as error:
        remove(copy)
        raise EmbedError(f"cannot copy the vectors to {copy}: {error.strerror}. Make room there.") from None
    except BaseException:
        remove(copy)
        raise
    return copy


def _copy(files: Sequence[Path], column: str | None, out: BinaryIO, watch: Watch) -> None:
    n_rows = sum(_n_rows(file) for file in files)
    kind: tuple[str, int] | None = None
    with watch.task("reading the vectors", n_rows, "rows") as task:
        for file in files:
            for values_BD in _batches(file, column):
                found = (values_BD.dtype.name, values_BD.shape[1])
                if kind is None:
                    kind = found
                    header = {"descr": values_BD.dtype.str, "fortran_order": False, "shape": (n_rows, kind[1])}
                    np.lib.format.write_array_header_1_0(out, header)
                elif found != kind:
                    raise EmbedError(
                        f"{file} has {found[1]} numbers of {found[0]} a row, the files before it {kind[1]} of {kind[0]}. Take it away."
                    )
                out.write(values_BD.data)
                task.advance(len(values_BD))
    if kind is None:
        raise EmbedError(f"{files[0]} holds no rows. Give vectors.")


def _n_rows(path: Path) -> int:
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def _batches(path: Path, column: str | None) -> Iterator[np.ndarray]:
    """The vectors of a file as (B, D) arrays."""
    with _opened(path) as file:
        name = _list_column(path, file.schema_arrow, column)
        n_before, width = 0, None
        for batch in file.iter_batches(BATCH_ROWS, columns=[name], use_threads=False):
            lists = batch.column(0)
            widths_B = pc.fill_null(pc.list_value_length(lists), -1).to_numpy(zero_copy_only=False)
            width = int(widths_B[0]) if width is None else width
            _check_widths(path, name, n_before, width, widths_B)
            numbers = lists.flatten()
            if numbers.null_count:
                row = n_before + int(numbers.is_null().to_numpy(zero_copy_only=False).argmax()) // width
                raise EmbedError(f"row {row} of {path} lacks a number in {name!r}. Repair or remove the row.")
            yield np.ascontiguousarray(numbers.to_numpy(zero_copy_only=False)).reshape(-1, width)
            n_before += len(widths_B)


def _check_widths(path: Path, name: str, n_before: int, width: int, widths_B: np.ndarray) -> None:
    is_other = (widths_B != width) | (widths_B < 1)
    if is_other.any():
        pos = int(is_other.argmax())
        found = "no vector" if widths_B[pos] < 1 else f"{widths_B[pos]} numbers"
        first = f" where row 0 has {width}" if width > 0 and n_before + pos else ""
        raise EmbedError(f"row {n_before + pos} of {path} has {found} in {name!r}{first}. Repair or remove the row.")


def _list_column(path: Path, schema: Any, column: str | None) -> str:  # noqa: ANN401 - pyarrow has no types
    known = [field.name for field in schema if _is_vector(field.type)]
    shown = ", ".join(known) or "none"
    if column is None and len(known) != 1:
        raise EmbedError(f"{path} has {len(known)} list columns of numbers, not one: {shown}. Name one as {path}:COLUMN.")
    if column is not None and column not in known:
        raise EmbedError(f"{path} has no list column of numbers {column!r}. It has: {shown}.")
    return column or str(known[0])


def _is_vector(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
            yield file
    except pa.ArrowException as error:
        raise EmbedError(f"{path} is no whole Parquet file: {error}. Copy or write it again.") from None
    except OSError as error:
        raise EmbedError(f"cannot read {path}: {error.strerror or error}. Correct the path or its permissions.") from None
