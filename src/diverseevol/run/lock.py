"""One process at a time works in a run folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..base import dist
from ..errors import RunFolderError
from .folder import RunFolder
from .record_progress import this_process


@contextmanager
def locked(root: Path) -> Iterator[RunFolder]:
    """Hold a run folder for this run alone; the lock goes with the process, however it ends.

    Raises:
        RunFolderError: another process holds it, on this machine or (where the file system passes locks on) on another.
        RunFolderError: the folder cannot be made or written.
    """
    lock = dist.on_main(lambda: _take(root))
    try:
        yield RunFolder(root)
    finally:
        if dist.is_main():  # the number is rank 0's file; elsewhere it may be any other
            os.close(lock)


def _take(root: Path) -> int:
    if root.is_file():
        raise RunFolderError(f"the run folder {root} is a file. Give --out a folder.")
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunFolderError(
            f"cannot write in the run folder {root}: {error.strerror}. Give --out a folder you may write to."
        ) from None
    if not _is_free(handle):
        holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "another process"
        os.close(handle)
        raise RunFolderError(
            f"{root} is in use by {holder}. Wait for it or end it, or give --out another folder."
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{this_process()}\n".encode(), 0)
    return handle


def _is_free(handle: int, n_tries: int = 5) -> bool:
    """Take the lock, if nobody holds it for longer than `status` does, which looks at it for an instant."""
    for tried in range(n_tries):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if tried < n_tries - 1:
                time.sleep(0.05)
    return False
