"""Vectors in files, of which only rows asked for are in memory: .npy, safetensors, Parquet, folders of these.

Rows are read with pread into buffers of our own, not through a memory map: the pages of a map count as the
process's memory, and whoever limits that (Slurm, Kubernetes) would end the process though it needs none of
them. Parquet cannot give single rows, so its vectors are copied into a .npy first. Nothing is unpickled.
Cost: a contiguous part is one read a shard; scattered rows are read in the order of the file, near ones
together, at most `SPAN_BYTES` (or a row) at once beside what is returned.
Shape letters: N rows, M rows asked for, B rows of a batch, D width.
"""

from __future__ import annotations

import json
import os
import re
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from ..base import dist
from ..base.files import expanded, remove
from ..base.progress import SILENT, Watch
from ..errors import EmbedError

KINDS = (".npy", ".safetensors", ".parquet")
SAFETENSORS = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
GAP_BYTES = 2**14  # unwanted rows between two wanted ones are read along: a call costs about as much
SPAN_BYTES = 2**22  # read at once for scattered rows
BATCH_ROWS = 1024  # of a Parquet file
BUFFER_BYTES = 2**20  # of its column, read at once; without a buffer it would be a whole row group


@dataclass(frozen=True, slots=True)
class Layout:
    """A matrix in a file, row after row: how its numbers are stored (bfloat16: two bytes), and where."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    is_bfloat16: bool = False

    @property
    def kind(self) -> str:
        """The width and the type of the numbers."""
        return f"{self.shape[1]} numbers of {'bfloat16' if self.is_bfloat16 else self.stored} a row"


class FileVectors:
    """(N, D) numbers in one or more files; `open_vectors` is the way in.

    Attributes:
        folder: the folder that the user's file lies in, or that was given.
        shape: (N, D).
        dtype: the type of the numbers, in the machine's byte order; float32 for bfloat16.
        bytes_read: bytes of rows read so far.
    """

    ndim = 2

    def __init__(self, layouts: Sequence[Layout], folder: Path) -> None:
        self._layouts = layouts
        self._starts = list(accumulate((layout.shape[0] for layout in layouts), initial=0))
        self._row_bytes = layouts[0].shape[1] * layouts[0].stored.itemsize
        self._handles: list[int] = []
        weakref.finalize(self, _close, self._handles)
        for layout in layouts:
            try:
                self._handles.append(os.open(layout.path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                raise EmbedError(
                    f"cannot open {layout.path}: {error.strerror}. Make it readable (or raise ulimit -n)."
                ) from None
        self.folder = folder
        self.shape = (self._starts[-1], layouts[0].shape[1])
        self.dtype = np.dtype(np.float32) if layouts[0].is_bfloat16 else layouts[0].stored.newbyteorder("=")
        self.bytes_read = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Read rows, in the order asked for, as a new (M, D) array; bfloat16 comes as float32.

        Raises:
            IndexError: a row is not in 0 … N-1.
            EmbedError: a file cannot be read any more.
        """
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._native(self._between(start, max(start, stop)))
            rows = np.arange(start, stop, step)
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows must lie in 0..{len(self) - 1}; found {rows.min()} to {rows.max()}")
        return self._native(self._scattered(rows.astype(np.int64)))

    def _scattered(self, rows: np.ndarray) -> np.ndarray:
        """Read runs of rows that lie near each other, and put the wanted ones in their places."""
        values_MD = np.empty((len(rows), self.shape[1]), self._layouts[0].stored)
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        span = max(1, SPAN_BYTES // self._row_bytes)
        is_far = np.diff(ascending) > max(1, GAP_BYTES // self._row_bytes)
        is_far |= np.diff(ascending // span) > 0
        for run in np.split(np.arange(len(rows)), np.flatnonzero(is_far) + 1) if len(rows) else ():
            first = int(ascending[run[0]])
            values_MD[order[run]] = self._between(first, int(ascending[run[-1]]) + 1)[ascending[run] - first]
        return values_MD

    def _between(self, start: int, stop: int) -> np.ndarray:
        """Read the rows from `start` up to `stop`, one read a shard."""
        values_MD = np.empty((stop - start, self.shape[1]), self._layouts[0].stored)
        left = memoryview(values_MD.view(np.uint8).reshape(-1).data)
        shard = bisect_right(self._starts, start) - 1
        while left:
            n_bytes = (min(stop, self._starts[shard + 1]) - start) * self._row_bytes
            self._fill(left[:n_bytes], shard, start - self._starts[shard])
            left, start, shard = left[n_bytes:], self._starts[shard + 1], shard + 1
        return values_MD

    def _fill(self, left: memoryview, shard: int, row: int) -> None:
        """Fill `left` from one file, from its `row` on."""
        layout = self._layouts[shard]
        at = layout.offset + row * self._row_bytes
        while left:
            try:
                n_read = os.preadv(self._handles[shard], [left], at)
            except OSError as error:
                raise EmbedError(
                    f"cannot read {layout.path} at byte {at:,}: {error.strerror}. Check the disk."
                ) from None
            if not n_read:
                raise EmbedError(
                    f"{layout.path} has become shorter: it ends at byte {at:,}. Write it again, and leave "
                    "it alone."
                )
            self.bytes_read += n_read
            left, at = left[n_read:], at + n_read

    def _native(self, values_MD: np.ndarray) -> np.ndarray:
        if self._layouts[0].is_bfloat16:  # the upper half of a float32
            wide_MD = values_MD.astype(np.uint32)
            wide_MD <<= 16
            return wide_MD.view(np.float32)
        return values_MD.astype(self.dtype, copy=False)


def open_vectors(
    path: str | Path, scratch_dir: str | Path | None = None, watch: Watch = SILENT
) -> FileVectors:
    """Open vectors for selection without reading them into memory; under several processes on every rank.

    Args:
        path: a .npy; a .safetensors, or `FILE:NAME` for one of its tensors; a Parquet file, or `FILE:COLUMN`
            for one of its list columns; or a folder of one of these kinds, whose files are taken in the
            natural order of their names.
        scratch_dir: where the vectors of Parquet are copied to, which takes N·D numbers; None: where they
            lie. The copy is deleted as soon as it is open, and its room is free again when the vectors are
            let go.
        watch: is shown how far the copy is.

    Raises:
        EmbedError: a file is not there, not readable, cut off, or does not hold rows of numbers; shards are
            missing, or differ in width or type; or there is no room for the copy.
    """
    place, name = _split_name(path)
    files = _files_of(place)
    folder = place if place.is_dir() else place.parent
    if files[0].suffix == ".parquet":
        copy = dist.on_main(lambda: _copy_to_npy(files, name, Path(scratch_dir or folder), watch))
        try:
            return FileVectors([_layout_of(copy, None)], folder)
        finally:
            dist.barrier()
            if dist.is_main():
                remove(copy)  # what is open can be read all the same
    layouts = [_layout_of(file, name) for file in files]
    for layout in layouts:
        if layout.kind != layouts[0].kind:
            raise EmbedError(
                f"{layout.path} has {layout.kind}, {files[0].name} {layouts[0].kind}. Shards must be alike; "
                "convert it."
            )
    if not any(layout.shape[0] for layout in layouts):
        raise EmbedError(f"{files[0]} holds no rows. Give vectors.")
    return FileVectors(layouts, folder)


def _split_name(path: str | Path) -> tuple[Path, str | None]:
    """Split `PATH:NAME` into the path and the name inside it; None without one."""
    whole = Path(expanded(str(path)))
    if whole.exists():
        return whole, None
    place, _, name = str(whole).rpartition(":")
    if name and place and Path(place).exists():
        return Path(place), name
    raise EmbedError(f"there are no vectors at {str(path)!r}: no such file or folder. Correct the path.")


def _files_of(place: Path) -> list[Path]:
    """The files that a path means, all of one kind, in the order of their rows."""
    files = [place] if place.is_file() else [f for f in place.iterdir() if not f.name.startswith(".")]
    kinds = sorted({file.suffix for file in files} & set(KINDS))
    if not kinds:
        raise EmbedError(
            f"{place} holds no vectors. Known kinds: {', '.join(KINDS)}, or a folder of such files."
        )
    if kinds[:2] == [".npy", ".safetensors"]:
        raise EmbedError(
            f"the folder {place} holds .npy and .safetensors files. Name one file, or take one kind away."
        )
    # Parquet files beside matrices are something else, such as signals.
    files = [file for file in files if file.suffix == kinds[0]]
    for total in {int(n) for file in files for n in re.findall(r"\d+-of-(\d+)", file.name)}:
        if len(files) != total:
            raise EmbedError(
                f"{place} holds {len(files)} of {total} shards. Name a folder that holds them all."
            )
    return sorted(
        files, key=lambda file: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", file.name)]
    )


def _layout_of(path: Path, name: str | None) -> Layout:
    """Where the rows of a .npy, or of a tensor of a .safetensors, lie in their file."""
    from safetensors import SafetensorError

    try:
        layout = _safetensors(path, name) if path.suffix == ".safetensors" else _npy(path, name)
    except (SafetensorError, ValueError, EOFError) as error:
        raise EmbedError(f"{path} is cut off or no such file: {error}. Copy or write it again.") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(layout.shape) != 2 or layout.shape[1] == 0:
        raise EmbedError(
            f"{path} holds an array of the shape {layout.shape}. Vectors are rows of one width: the shape "
            "(N, D)."
        )
    return layout


def _unreadable(path: Path, error: OSError) -> EmbedError:
    why = error.strerror or error
    return EmbedError(f"cannot read {path}: {why}. Correct the path or its permissions.")


def _npy(path: Path, name: str | None) -> Layout:
    if name is not None:
        raise EmbedError(f"{path} has no names inside, so {name!r} names nothing. Give {path} alone.")
    rows = np.load(path, mmap_mode="r", allow_pickle=False)  # which checks the header against the file
    if rows.dtype.kind not in "fiu":
        raise EmbedError(f"{path} holds {rows.dtype}, not numbers. Save float16, float32 or float64.")
    if not rows.flags.c_contiguous:
        raise EmbedError(
            f"{path} is stored column by column (Fortran order). Save np.ascontiguousarray(array): rows are "
            "read alone."
        )
    return Layout(path, rows.offset, rows.shape, rows.dtype)


def _safetensors(path: Path, name: str | None) -> Layout:
    from safetensors import safe_open

    with safe_open(path, "numpy"):  # which checks the header against the file
        pass
    with path.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(length))
    tensors = {key: header[key] for key in sorted(set(header) - {"__metadata__"})}
    matrices = [key for key, tensor in tensors.items() if len(tensor["shape"]) == 2]
    known = ", ".join(list(tensors)[:10]) or "none"
    if name is None and len(matrices) != 1:
        raise EmbedError(
            f"{path} holds {len(matrices)} tensors of two axes, not one. Name one as {path}:NAME; it has "
            f"{known}."
        )
    name = name or matrices[0]
    if name not in tensors:
        raise EmbedError(f"{path} has no tensor {name!r}. It has {known}.")
    kind, start = tensors[name]["dtype"], 8 + length + tensors[name]["data_offsets"][0]
    if kind not in SAFETENSORS:
        raise EmbedError(f"{name!r} of {path} holds {kind}. Known: {', '.join(SAFETENSORS)}; convert it.")
    return Layout(path, start, tuple(tensors[name]["shape"]), np.dtype(SAFETENSORS[kind]), kind == "BF16")


def _copy_to_npy(files: Sequence[Path], column: str | None, scratch_dir: Path, watch: Watch) -> Path:
    """Copy the vectors of Parquet files, one after the other, into a new .npy."""
    copy, n_rows, kind = scratch_dir / f".{files[0].stem}-{os.getpid()}.npy", 0, None
    for file in files:
        with _parquet(file) as opened:
            n_rows += opened.metadata.num_rows
    try:
        with copy.open("wb") as out, watch.task("reading the vectors", n_rows, "rows") as task:
            for file in files:
                for values_BD in _batches(file, column):
                    found = f"{values_BD.shape[1]} numbers of {values_BD.dtype} a row"
                    if kind is None:
                        kind, shape = found, (n_rows, values_BD.shape[1])
                        header = {"descr": values_BD.dtype.str, "fortran_order": False, "shape": shape}
                        np.lib.format.write_array_header_1_0(out, header)
                    elif found != kind:
                        raise EmbedError(f"{file} has {found}, what stands before it {kind}. Take it away.")
                    out.write(values_BD.data)
                    task.advance(len(values_BD))
        if kind is None:
            raise EmbedError(f"{files[0]} holds no rows. Give vectors.")
    except BaseException as error:
        remove(copy)
        if isinstance(error, OSError):
            raise EmbedError(
                f"cannot copy the vectors to {copy}: {error.strerror}. Make room there, or copy {files[0]} "
                "to where it is."
            ) from None
        raise
    return copy


def _batches(path: Path, column: str | None) -> Iterator[np.ndarray]:
    """The vectors of a Parquet file as (B, D) arrays; a number that is missing is NaN."""
    import pyarrow.compute as pc
    from pyarrow import types

    def holds_vectors(kind: Any) -> bool:  # noqa: ANN401
        is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        return bool(is_list and (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)))

    with _parquet(path) as file:
        known = [field.name for field in file.schema_arrow if holds_vectors(field.type)]
        if column not in known and (column or len(known) != 1):
            shown = ", ".join(known) or "none"
            raise EmbedError(f"{path} has the list columns of numbers {shown}. Name one as {path}:COLUMN.")
        name, n_before, width = column or known[0], 0, None
        for batch in file.iter_batches(BATCH_ROWS, columns=[name], use_threads=False):
            widths_B = pc.fill_null(pc.list_value_length(batch.column(0)), 0).to_numpy(zero_copy_only=False)
            width = width or int(widths_B[0])
            for pos in np.flatnonzero((widths_B != width) | (widths_B == 0))[:1]:
                raise EmbedError(
                    f"row {n_before + pos} of {path} has {widths_B[pos]} numbers in {name!r}, the first row "
                    f"{width}. Repair or remove the row."
                )
            numbers = batch.column(0).flatten().to_numpy(zero_copy_only=False)
            yield np.ascontiguousarray(numbers).reshape(-1, width)
            n_before += len(widths_B)


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
            yield file
    except pa.ArrowException as error:
        raise EmbedError(f"{path} is no whole Parquet file: {error}. Copy or write it again.") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _close(handles: list[int]) -> None:
    for handle in handles:
        os.close(handle)
