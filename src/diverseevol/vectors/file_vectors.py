"""A matrix in files of which only the rows asked for are ever in memory.

Rows are read with pread into buffers of our own, not through a memory map: the pages of a map count as the process's memory, and
whoever limits that (Slurm, Kubernetes) would end the process though it needs none of them.
Cost: a contiguous part is one read a shard; scattered rows are read in the order of the file, near ones together. Beside what is
returned, at most twice `SPAN_BYTES` (and a row) at once.
Shape letters: N rows, M rows asked for, B rows of a buffer, D width.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EmbedError
from .headers import Layout

if TYPE_CHECKING:
    import torch

GAP_BYTES = 2**14  # rows between two wanted ones that are read along rather than skipped: a call costs about as much
SPAN_BYTES = 2**22  # read at once for scattered rows, and half of what is held


class FileVectors:
    """(N, D) numbers in one or more files; `open_vectors` is the way in.

    Attributes:
        folder: the folder that the user's file lies in, or that was given.
        shape: (N, D).
        dtype: the type of the numbers: a numpy type in the machine's byte order, or torch.bfloat16.
        bytes_read: bytes of rows read so far.
    """

    ndim = 2

    def __init__(self, layouts: Sequence[Layout], folder: Path) -> None:
        self._layouts = layouts
        self._starts = list(accumulate((layout.n_rows for layout in layouts), initial=0))
        self._row_bytes = layouts[0].row_bytes
        self._handles: list[int] = []
        weakref.finalize(self, _close, self._handles)
        for layout in layouts:
            try:
                self._handles.append(os.open(layout.path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                raise EmbedError(f"cannot open {layout.path}: {error.strerror}. Make it readable (or raise ulimit -n).") from None
        self.folder = folder
        self.shape = (self._starts[-1], layouts[0].width)
        self.dtype = _dtype(layouts[0])
        self.bytes_read = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Read rows, in the order asked for, as a new (M, D) array; bfloat16 comes as float32.

        Raises:
            IndexError: a row is not in 0 … N-1.
            TypeError: neither a slice nor an array of row numbers.
            EmbedError: a file cannot be read any more.
        """
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._native(self._between(start, max(start, stop)))
            rows = np.arange(start, stop, step)
        rows = np.asarray(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise TypeError(f"rows must be a slice or a list of row numbers; found {rows.dtype} of the shape {rows.shape}")
        if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
            raise IndexError(f"rows must lie in 0..{len(self) - 1}; found {rows.min()} to {rows.max()}")
        return self._native(self._scattered(rows.astype(np.int64)) if rows.size else self._empty(0))

    def _between(self, start: int, stop: int) -> np.ndarray:
        values_MD = self._empty(stop - start)
        self._read(_bytes_of(values_MD), start, stop)
        return values_MD

    def _scattered(self, rows: np.ndarray) -> np.ndarray:
        """Read runs of rows that lie near each other, as many at once as `SPAN_BYTES` hold, and put the wanted ones in their places."""
        values_MD = self._empty(len(rows))
        order = np.argsort(rows, kind="stable")
        ascending = rows[order]
        span = max(1, SPAN_BYTES // self._row_bytes)
        is_far = (np.diff(ascending) > max(1, GAP_BYTES // self._row_bytes)) | (np.diff(ascending // span) > 0)
        bounds = np.concatenate([[0], np.flatnonzero(is_far) + 1, [len(rows)]])  # of the runs, as positions in `ascending`
        starts, stops = ascending[bounds[:-1]], ascending[bounds[1:] - 1] + 1
        offsets = np.cumsum(stops - starts) - (stops - starts)
        for run in np.split(np.arange(len(starts)), np.flatnonzero(np.diff(offsets // span)) + 1):
            first, last = run[0], run[-1]
            buffer_BD = self._empty(int(offsets[last] - offsets[first] + stops[last] - starts[last]))
            left = _bytes_of(buffer_BD)
            for start, stop in zip(starts[run].tolist(), stops[run].tolist(), strict=True):
                self._read(left, start, stop)
                left = left[(stop - start) * self._row_bytes :]
            some = slice(bounds[first], bounds[last + 1])
            shift = np.repeat(offsets[run] - offsets[first] - starts[run], np.diff(bounds)[run])
            values_MD[order[some]] = buffer_BD[ascending[some] + shift]
        return values_MD

    def _read(self, into: memoryview, start: int, stop: int) -> None:
        """Read the rows from `start` up to `stop` into the beginning of `into`, one read a shard."""
        shard = bisect_right(self._starts, start) - 1
        while start < stop:
            until = min(stop, self._starts[shard + 1])
            n_bytes = (until - start) * self._row_bytes
            self._fill(into[:n_bytes], shard, start - self._starts[shard])
            into, start, shard = into[n_bytes:], until, shard + 1

    def _fill(self, left: memoryview, shard: int, row: int) -> None:
        """Fill `left` from one file, from its `row` on."""
        layout = self._layouts[shard]
        at = layout.offset + row * self._row_bytes
        while left:
            try:
                n_read = os.preadv(self._handles[shard], [left], at)
            except OSError as error:
                raise EmbedError(f"cannot read {layout.path} at byte {at:,}: {error.strerror}. Check the disk.") from None
            if not n_read:
                raise EmbedError(f"{layout.path} has become shorter: it ends at byte {at:,}. Write it again, and leave it alone.")
            self.bytes_read += n_read
            left, at = left[n_read:], at + n_read

    def _empty(self, n_rows: int) -> np.ndarray:
        return np.empty((n_rows, self.shape[1]), self._layouts[0].stored)

    def _native(self, values_MD: np.ndarray) -> np.ndarray:
        if self._layouts[0].is_bfloat16:  # the upper half of a float32
            wide_MD = values_MD.astype(np.uint32)
            wide_MD <<= 16
            return wide_MD.view(np.float32)
        return values_MD.astype(values_MD.dtype.newbyteorder("="), copy=False)


def _dtype(layout: Layout) -> np.dtype[Any] | torch.dtype:
    if layout.is_bfloat16:
        import torch

        return torch.bfloat16
    return layout.stored.newbyteorder("=")


def _bytes_of(values_MD: np.ndarray) -> memoryview:
    return memoryview(values_MD.view(np.uint8).reshape(-1).data)


def _close(handles: list[int]) -> None:
    for handle in handles:
        os.close(handle)
