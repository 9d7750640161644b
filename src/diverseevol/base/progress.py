"""Progress of a long piece of work: a bar on a terminal, a plain line now and then in a log file.

Everything that may take longer than two seconds takes a `Watch`; where nobody looks, `SILENT` is passed.
Library code never prints: the command line decides which kind of watch to hand down.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from .text import progress_words

RECENT = 10.0
"""Seconds over which a rate forgets: what a first step or a first batch took says little about the rest."""


@dataclass(eq=False)
class Task:
    """One piece of work under way: how far it is, how fast it goes and how long it will take."""

    name: str
    total: float | None  # units in all; may become known later
    unit: str
    on_advance: Callable[[Task], None] | None = None  # called whenever units are counted as done
    about: str = ""  # a word about where the work stands, such as a loss
    done: float = 0.0
    last: float = field(default_factory=lambda: time.monotonic())  # second of the latest advance
    recent: tuple[float, float] = (0.0, 0.0)  # units and seconds up to it, those of long ago forgotten alike

    def advance(self, n: float = 1) -> None:
        """Count `n` more units as done."""
        now = time.monotonic()
        kept = math.exp((self.last - now) / RECENT)
        self.recent = (self.recent[0] * kept + n, self.recent[1] * kept + now - self.last)
        self.done, self.last = self.done + n, now
        if self.on_advance:
            self.on_advance(self)

    def skip(self, n: float) -> None:
        """Count `n` units that were done before this process, and took none of its time."""
        self.done, self.last, self.recent = self.done + n, time.monotonic(), (0.0, 0.0)

    @property
    def rate(self) -> float:
        """Units a second, between advances: a long step under way does not slow it down; 0: not known yet."""
        n, seconds = self.recent
        return n / seconds if seconds > 0 else 0.0

    def seconds_left(self, now: float) -> float | None:
        """Seconds until all is done, at that rate; None: not known."""
        if not (self.total and self.rate):
            return None
        return max(0.0, (self.total - self.done) / self.rate - (now - self.last))

    def words(self, now: float) -> str:
        """How far it is, as people say it."""
        return progress_words(self.done, self.total, self.unit, self.rate, self.seconds_left(now), self.about)


class Watch(Protocol):
    """Something that shows how far work has come."""

    def task(self, name: str, total: float | None, unit: str) -> AbstractContextManager[Task]:
        """Open a piece of work of `total` units (None: not known)."""

    def note(self, text: str) -> None:
        """Say one line."""


class _SilentWatch:
    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        yield Task(name, total, unit)

    def note(self, text: str) -> None:
        pass


SILENT: Watch = _SilentWatch()


@dataclass
class LineWatch:
    """Plain lines through `say`, for log files and rank 0 of a cluster job."""

    say: Callable[[str], None]
    every: float = 15.0

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        """Open work that says a line every `every` seconds, the first after two: short work is quiet."""
        said = time.monotonic() + 2.0 - self.every

        def say_if_due(task: Task) -> None:
            nonlocal said
            now = task.last
            if now - said >= self.every:
                said = now
                self.say(f"{name}: {task.words(now)}")

        yield Task(name, total, unit, say_if_due)

    def note(self, text: str) -> None:
        """Say one line."""
        self.say(text)
