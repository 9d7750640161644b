"""Progress of a long piece of work: a bar on a terminal, a plain line now and then in a log file.

Everything that may take longer than two seconds takes a `Watch` and calls `watch.advance(n)`; where nobody looks, `SILENT`
is passed. Library code never prints: the command line decides which kind of watch to hand down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Task(Protocol):
    """One piece of work under way; `total` may become known later."""

    total: float | None

    def say_about(self, text: str) -> None:
        """Show a word about where the work stands, such as a loss."""

    def advance(self, n: float = 1) -> None:
        """Count `n` more units as done."""


class Watch(Protocol):
    """Something that shows how far work has come."""

    def task(self, name: str, total: float | None, unit: str) -> AbstractContextManager[Task]:
        """Open a piece of work of `total` units (None: not known)."""

    def note(self, text: str) -> None:
        """Say one line."""


class _SilentTask:
    total: float | None = None

    def say_about(self, text: str) -> None:
        pass

    def advance(self, n: float = 1) -> None:
        pass


class _SilentWatch:
    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        yield _SilentTask()

    def note(self, text: str) -> None:
        pass


SILENT: Watch = _SilentWatch()


@dataclass
class LineTask:
    """Says a line every `every` seconds; the first one only after two seconds, so short work stays quiet."""

    name: str
    total: float | None
    unit: str
    say: Callable[[str], None]
    every: float = 15.0
    done: float = 0.0
    started: float = field(default_factory=time.monotonic)
    said: float = 0.0
    about: str = ""

    def __post_init__(self) -> None:
        self.said = self.started + 2.0 - self.every

    def say_about(self, text: str) -> None:
        """Show a word in the next line."""
        self.about = text

    def advance(self, n: float = 1) -> None:
        """Count `n` more units, and say so if it is time."""
        self.done += n
        now = time.monotonic()
        if now - self.said >= self.every:
            self.said = now
            self.say(self.line(now))

    def line(self, now: float) -> str:
        """The state of the work in words: share done, rate, estimated time left."""
        seconds = max(now - self.started, 1e-9)
        rate = self.done / seconds
        text = f"{self.name}: {self.done:,.0f}"
        if self.total:
            left = (self.total - self.done) / rate if rate else float("inf")
            text += f" of {self.total:,.0f} {self.unit} ({self.done / self.total:.0%}), {rate:,.0f}/s, {duration(left)} left"
        else:
            text += f" {self.unit}, {rate:,.0f}/s"
        return f"{text}, {self.about}" if self.about else text


@dataclass
class LineWatch:
    """Plain lines through `say`, for log files and rank 0 of a cluster job."""

    say: Callable[[str], None]
    every: float = 15.0

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        """Open a piece of work that reports in plain lines."""
        yield LineTask(name, total, unit, self.say, self.every)

    def note(self, text: str) -> None:
        """Say one line."""
        self.say(text)


def duration(seconds: float) -> str:
    """Write a number of seconds as people say it: `4.2 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds == float("inf"):
        return "?"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
