"""A .npy file of rows that several processes fill, each its own rows."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import EmbedError


@dataclass(frozen=True, slots=True)
class RowsFile:
    """An open file; `open` is the way in."""

    path: Path
    handle: int
    offset: int
    """Bytes before the first row."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def open(cls, path: Path) -> RowsFile:
        """Open a .npy file that is there in its full size."""
        whole = np.load(path, mmap_mode="r")
        return cls(path, os.open(path, os.O_RDWR), whole.offset, whole.shape, whole.dtype)

    def write(self, rows: np.ndarray, values_BK: np.ndarray, first_column: int = 0) -> None:
        """Put values at their rows, from `first_column` on.

        Raises:
            EmbedError: the disk is full or not writable.
        """
        start, row_bytes = (
            self.offset + first_column * self.dtype.itemsize,
            self.shape[1] * self.dtype.itemsize,
        )
        try:
            for row, values in zip(rows, np.ascontiguousarray(values_BK, dtype=self.dtype), strict=True):
                if os.pwrite(self.handle, values.data, start + int(row) * row_bytes) < values.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise EmbedError(
                f"cannot write {self.path} ({self.shape[0] * row_bytes:,} bytes when whole): {error.strerror}. "
                "Make room and run again; what is finished is kept."
            ) from error

    def sync(self) -> None:
        """Return when what was written is on the disk."""
        os.fsync(self.handle)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.handle)
