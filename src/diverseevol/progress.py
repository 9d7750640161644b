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


def progress_words(done: float, total: float | None, unit: str, rate: float, left: float | None, about: str = "") -> str:
    """`3 of 6 steps (50%), 4.2 s/step, 13 s left, loss 2.1`; what is not known is not said."""
    share = f" of {_count(total)} {unit} ({done / total:.0%})" if total else f" {unit}"
    parts = [f"{_count(done)}{share}", rate_words(rate, unit), "" if left is None else f"{duration(left)} left", about]
    return ", ".join(filter(None, parts))


def _count(n: float) -> str:
    return f"{n:,.0f}" if n < 1e6 else f"{n / 1e6:,.1f}M"


def rate_words(rate: float, unit: str) -> str:
    """A rate as people say it: `1,234/s`, `4.5/s`, or `12 s/step` where a unit takes longer than a second; empty if not known."""
    if rate <= 0:
        return ""
    if rate < 1:
        return f"{duration(1 / rate)}/{unit.removesuffix('s')}"
    return f"{rate:.1f}/s" if rate < 10 else f"{rate:,.0f}/s"


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


def duration(seconds: float) -> str:
    """Write a number of seconds as people say it: `4.2 s`, `3 min 20 s`, `2 h 05 min`; `<0.1 s` where there is hardly any."""
    if 0 < seconds < 0.05:
        return "<0.1 s"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def si(value: float) -> str:
    """A figure with three digits and a unit's prefix."""
    for prefix in ("", "k", "M", "G", "T", "P", "E", "Z"):
        if abs(value) < 999.5:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:.3g} Y"
