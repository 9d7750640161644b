"""Who works in a run folder and how far it is, for whoever watches.

progress.json is written at most once a second as work goes on; it is replaced as a whole and not synced, and
nothing of the run is read from it. The lock is certain where it is seen: held, somebody works; free on the
writer's own machine, nobody does. From another machine, which may not see it, there is only the last word and
its age.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from ..base import dist
from ..base.files import replacing
from ..base.progress import Task, Watch
from ..errors import DiverseEvolError, RunFolderError
from .folder import RunFolder
from .metrics import Record

EVERY = 1.0
"""Seconds between two words."""
SILENT = 60.0
"""Seconds after which the age of the last word is worth saying, in minutes."""


class TaskWord(Record):
    """What is under way."""

    name: str
    done: float
    total: float | None
    rate: float
    unit: str
    seconds_left: float | None
    about: str


class Word(Record):
    """progress.json."""

    process: str
    written: AwareDatetime
    state: str
    """running, ended, interrupted or failed; a process that is killed leaves `running`."""
    why: str | None
    task: TaskWord | None


def this_process() -> str:
    """As the lock and progress.json name who works in a folder."""
    return f"process {os.getpid()} on {socket.gethostname()}"


@contextmanager
def locked(root: Path) -> Iterator[RunFolder]:
    """Hold a run folder for this run alone; the lock goes with the process, however it ends.

    Raises:
        RunFolderError: another process holds it, on this machine or (where the file system passes locks on)
            another; or the folder cannot be made or written.
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
    for _ in range(5):  # `status` looks at the lock for an instant
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{this_process()}\n".encode(), 0)
            return handle
        time.sleep(0.05)
    os.close(handle)
    holder = lock_holder(root) or "another process"
    raise RunFolderError(
        f"{root} is in use by {holder}. Wait for it or end it, or give --out another folder."
    )


def lock_holder(root: Path) -> str | None:
    """Who holds the run's lock, if anybody does and the file system says so."""
    with suppress(OSError), (root / ".lock").open(errors="replace") as handle:  # none yet, or no locks there
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return handle.read(200).strip() or "another process"
    return None


def read_word(run: RunFolder) -> Word | None:
    """What the process that works here, or the last one that did, has left, if it can be read."""
    with suppress(OSError, ValidationError):
        return Word.model_validate_json(run.progress_file.read_bytes())
    return None


@dataclass(frozen=True)
class Life:
    """Whether a process works on the run; None: it is on another machine, and nobody can tell from here."""

    is_running: bool | None
    state: str
    task: TaskWord | None = None


def life_of(run: RunFolder) -> Life:
    """Whether somebody works on an unfinished run, and at what."""
    word, holder = read_word(run), lock_holder(run.root)
    silent = (datetime.now(UTC) - word.written).total_seconds() if word else 0.0
    said = f", last word {silent // SILENT:.0f} min ago" if silent >= SILENT else ""
    if holder:
        if word is None or word.process != holder:
            return Life(True, f"running ({holder})")
        return Life(True, f"running ({holder}{said})", word.task)
    if word and word.state == "running" and not word.process.endswith(f" on {socket.gethostname()}"):
        state = f"running ({word.process}{said}), if it still lives: its lock is not seen here"
        return Life(None, state, word.task)
    why = ""
    if word and word.state in {"failed", "interrupted"}:
        why = f" (failed: {word.why})" if word.state == "failed" else " (interrupted)"
    return Life(False, f"stopped{why}; the same command goes on")


@dataclass
class _RecordedWatch:
    """Passes everything on to another watch, and leaves word of it in the folder."""

    run: RunFolder
    shown: Watch
    tasks: list[Task] = field(default_factory=list)
    written: float = -EVERY

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        with self.shown.task(name, total, unit) as task:
            show = task.on_advance

            def advanced(task: Task) -> None:
                if show:
                    show(task)
                if time.monotonic() - self.written >= EVERY:
                    self.write("running")

            task.on_advance = advanced
            self.tasks.append(task)
            advanced(task)
            try:
                yield task
            finally:
                self.tasks.remove(task)

    def note(self, text: str) -> None:
        self.shown.note(text)

    def write(self, state: str, why: str | None = None) -> None:
        if not self.run.config_file.exists():
            return  # until a run is started here, nothing may lie in its folder
        now, current = time.monotonic(), None
        self.written = now
        if self.tasks:
            task, left = self.tasks[-1], self.tasks[-1].seconds_left(now)
            current = TaskWord(
                name=task.name,
                done=task.done,
                total=task.total,
                rate=round(task.rate, 4),
                unit=task.unit,
                seconds_left=None if left is None else round(left, 1),
                about=task.about,
            )
        written = datetime.now(UTC).replace(microsecond=0)
        word = Word(process=this_process(), written=written, state=state, why=why, task=current)
        with (
            suppress(OSError),  # a full disk ends the run where something matters
            replacing(self.run.progress_file, is_synced=False) as partial,
        ):
            partial.write_text(word.model_dump_json())


@contextmanager
def recorded(run: RunFolder, watch: Watch) -> Iterator[Watch]:
    """Keep progress.json of a run up to date with what goes through `watch`; other ranks leave nothing.

    The last word says how it ended: ended, interrupted or, with the reason in our own errors' words, failed.
    """
    if not dist.is_main():
        yield watch
        return
    record = _RecordedWatch(run, watch)
    try:
        yield record
    except (KeyboardInterrupt, GeneratorExit):
        record.write("interrupted")
        raise
    except BaseException as error:
        is_ours = isinstance(error, DiverseEvolError)
        record.write("failed", str(error)[:500] if is_ours else type(error).__name__)
        raise
    record.write("ended")
