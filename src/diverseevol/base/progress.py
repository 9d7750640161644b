"""Progress of a long piece of work: a bar on a terminal, a plain line now and then in a log file.

Everything that may take longer than two seconds takes a `Watch` and calls `watch.advance(n)`; where nobody looks, `SILENT`
is passed. Library code never prints: the command line decides which kind of watch to hand down.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from .text import progress_words

RECENT = 30.0
"""A rate is that of the last so many seconds: what a first step or a first batch took says little about the rest."""


@dataclass(eq=False)
class Task:
    """One piece of work under way: how far it is, how fast it goes and how long it will take; the only place that knows."""

    name: str
    total: float | None
    """Units in all; may become known later."""
    unit: str
    on_advance: Callable[[Task], None] | None = None
    """Called whenever units are counted as done."""
    about: str = ""
    """A word about where the work stands, such as a loss."""
    done: float = 0.0
    marks: deque[tuple[float, float]] = field(default_factory=deque)
    """(second, units done) some seconds ago, oldest first; the first is where the rate is counted from."""
    last: tuple[float, float] = (0.0, 0.0)
    """The same at the latest advance."""

    def __post_init__(self) -> None:
        self.last = (time.monotonic(), self.done)
        self.marks.append(self.last)

    def advance(self, n: float = 1) -> None:
        """Count `n` more units as done."""
        self.done += n
        now = time.monotonic()
        if now - self.marks[-1][0] >= 1.0:
            while len(self.marks) > 1 and self.marks[1][0] <= now - RECENT:
                self.marks.popleft()
            self.marks.append((now, self.done))
        self.last = (now, self.done)
        if self.on_advance:
            self.on_advance(self)

    def skip(self, n: float) -> None:
        """Count `n` units that were done before this process, and took none of its time."""
        self.done += n
        self.last = (time.monotonic(), self.done)
        self.marks = deque([self.last])

    def say_about(self, text: str) -> None:
        """Show a word about where the work stands."""
        self.about = text

    @property
    def rate(self) -> float:
        """Units a second, between advances: a long step that is under way does not slow it down. 0: not known yet."""
        (since, before), (now, done) = self.marks[0], self.last
        return (done - before) / (now - since) if now > since else 0.0

    def seconds_left(self, now: float) -> float | None:
        """Seconds until all is done, at that rate; None: not known."""
        if not (self.total and self.rate):
            return None
        return max(0.0, (self.total - self.last[1]) / self.rate - (now - self.last[0]))

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
        """Open a piece of work that says a line every `every` seconds; the first after two seconds, so short work stays quiet."""
        said = time.monotonic() + 2.0 - self.every

        def say_if_due(task: Task) -> None:
            nonlocal said
            now, _ = task.last
            if now - said >= self.every:
                said = now
                self.say(f"{name}: {task.words(now)}")

        yield Task(name, total, unit, say_if_due)

    def note(self, text: str) -> None:
        """Say one line."""
        self.say(text)
