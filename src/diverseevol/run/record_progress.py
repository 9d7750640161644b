"""What a process that works in a run folder leaves there about how far it is, for whoever watches, from whatever machine.

A thread of rank 0 writes progress.json once a second while something moves, and every ten seconds while nothing does, so that the loop
never waits for a slow disk and silence means something. The file is a few hundred bytes, replaced as a whole and not synced; nothing of
the run is read from it. Times in it are those of the writer's clock; whoever reads it on another machine goes by whether it changes.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..base import dist
from ..base.files import replacing
from ..base.progress import Task, Watch
from ..errors import DiverseEvolError
from .folder import RunFolder

EVERY = 1.0
"""Seconds between two words while something moves."""
AT_REST = 10.0
"""Seconds between two words while nothing does, as in a step of several minutes."""


def this_process() -> str:
    """As the lock and progress.json name who works in a folder."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def this_machine() -> str:
    """The running system, where it says so the same in every container on it; else its name."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text("ascii").strip() if boot.is_file() else socket.gethostname()


@dataclass
class _Record:
    """What is under way, and the thread that writes it down."""

    run: RunFolder
    state: str = "running"
    why: str | None = None
    tasks: list[Task] = field(default_factory=list)
    started: str = field(default_factory=lambda: _now())
    n_written: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def keep_writing(self) -> None:
        """Write until it is over, and then once more."""
        said: dict[str, Any] | None = None
        at = 0.0
        while not self.is_over.is_set():
            now = time.monotonic()
            what = self._what(now)
            if (_moved(what, said) or now - at >= AT_REST) and self._write(what):
                said, at = what, now
            self.is_over.wait(EVERY)
        self._write(self._what(time.monotonic()))

    def _what(self, now: float) -> dict[str, Any]:
        open_task = next(reversed(list(self.tasks)), None)
        return {"state": self.state, "why": self.why, "task": open_task and _plain(open_task, now)}

    def _write(self, what: dict[str, Any]) -> bool:
        if not self.run.config_file.exists():
            return False  # until a run is started here, nothing may lie in its folder
        self.n_written += 1
        who = {"process": this_process(), "machine": this_machine(), "started": self.started}
        try:
            with replacing(self.run.progress_file, is_synced=False) as partial:
                partial.write_text(
                    json.dumps(
                        {**who, "written": _now(), "n_written": self.n_written, **what}, allow_nan=False
                    )
                )
        except OSError:
            return False  # a full disk ends the run where something matters
        return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(task: Task, now: float) -> dict[str, Any]:
    left = task.seconds_left(now)
    figures = {"done": task.done, "total": task.total, "rate": round(task.rate, 4), "unit": task.unit}
    return {
        "name": task.name,
        **figures,
        "seconds_left": None if left is None else round(left, 1),
        "about": task.about,
    }


def _moved(what: dict[str, Any], said: dict[str, Any] | None) -> bool:
    """Whether there is more to say than that seconds go by."""
    return said is None or _without_time(what) != _without_time(said)


def _without_time(what: dict[str, Any]) -> dict[str, Any]:
    return {**what, "task": what["task"] and {**what["task"], "seconds_left": None}}


@dataclass
class _RecordedWatch:
    shown: Watch
    record: _Record

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        with self.shown.task(name, total, unit) as task:
            self.record.tasks.append(task)
            try:
                yield task
            finally:
                self.record.tasks.remove(task)

    def note(self, text: str) -> None:
        self.shown.note(text)


@contextmanager
def recorded(run: RunFolder, watch: Watch) -> Iterator[Watch]:
    """Keep progress.json of a run up to date with what goes through `watch`; on ranks other than 0 do nothing.

    The last word says how it ended: ended, interrupted or, with the reason in our own errors' words, failed. A process that is killed
    leaves `running`; the lock, which goes with it, says otherwise on the same machine, and silence on another.
    """
    if not dist.is_main():
        yield watch
        return
    record = _Record(run)
    writer = threading.Thread(target=record.keep_writing, name="diverseevol progress", daemon=True)
    writer.start()
    try:
        yield _RecordedWatch(watch, record)
        record.state = "ended"
    except (KeyboardInterrupt, GeneratorExit):
        record.state = "interrupted"
        raise
    except BaseException as error:
        record.state, record.why = (
            "failed",
            str(error)[:500] if isinstance(error, DiverseEvolError) else type(error).__name__,
        )
        raise
    finally:
        record.is_over.set()
        writer.join(timeout=5.0)  # a disk that answers no more shall not hold up the end
