"""A file of JSON lines that grows: answers and replies, which have cost something and must survive a kill.

A line that a kill cut off is taken away when the file is opened. One process at a time writes a file: the
lock is the operating system's, and goes with the process.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import EvaluationError

Line = dict[str, Any]


class Journal:
    """A file of lines, opened for this process alone; `lines` is what it holds, in the order of adding."""

    def __init__(self, file: BinaryIO, is_synced: bool) -> None:
        self._file, self._is_synced = file, is_synced
        *whole, torn = file.read().split(b"\n")
        self.lines = _parsed(whole)
        if torn:
            file.truncate(file.tell() - len(torn))
            file.seek(0, os.SEEK_END)

    def add(self, line: Line) -> None:
        """Keep a line: when this returns it is in the file, and on the disk where the journal is synced."""
        self._file.write(json.dumps(line, ensure_ascii=False).encode("utf-8") + b"\n")
        self._file.flush()
        if self._is_synced:
            os.fsync(self._file.fileno())
        self.lines.append(line)


@contextmanager
def open_journal(file: Path, is_synced: bool) -> Iterator[Journal]:
    """Open a journal, or make it.

    Raises:
        EvaluationError: another process works with it, or it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = file.open("a+b")
    except OSError as error:
        raise EvaluationError(
            f"cannot write {file}: {error.strerror}. Give a place that you may write to."
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EvaluationError(f"{file} is in use by another process. Wait for it, or end it.") from None
        handle.seek(0)
        yield Journal(handle, is_synced)


def read_lines(file: Path) -> list[Line]:
    """The whole lines of a journal that may be growing, without taking it."""
    return _parsed(file.read_bytes().split(b"\n")[:-1])


def _parsed(texts: list[bytes]) -> list[Line]:
    """The lines' values, without what some file systems leave behind a power cut (blocks of zeros)."""
    found = []
    for text in texts:
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return [line for line in found if isinstance(line, dict)]
