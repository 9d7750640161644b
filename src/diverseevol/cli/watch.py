"""Progress as people see it: a bar on a terminal, plain lines in a log file, nothing on ranks other than 0."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import strftime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .. import dist
from ..progress import SILENT, LineWatch, Task, Watch


def open_watch() -> Watch:
    """The right watch for this process: by terminal and rank. Everything goes to stderr, so stdout stays for results."""
    if not dist.is_main():
        return SILENT
    if sys.stderr.isatty():
        return BarWatch(Console(stderr=True))
    return LineWatch(lambda text: print(f"{strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True))


@dataclass
class BarTask:
    """One bar."""

    progress: Progress
    number: TaskID
    unit: str
    total_units: float | None = None

    @property
    def total(self) -> float | None:
        """Units in all, once they are known."""
        return self.total_units

    @total.setter
    def total(self, units: float | None) -> None:
        self.total_units = units
        self.progress.update(self.number, total=units)

    def advance(self, n: float = 1) -> None:
        """Count `n` more units."""
        self.progress.advance(self.number, n)

    def say_about(self, text: str) -> None:
        """Show a word behind the bar."""
        self.progress.update(self.number, about=text)


@dataclass
class BarWatch:
    """Bars through rich; a finished bar leaves no line, notes stay above."""

    console: Console

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        """Open a bar."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[about]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            number = progress.add_task(f"  {name}", total=total, unit=unit, about="")
            yield BarTask(progress, number, unit, total)

    def note(self, text: str) -> None:
        """Say one line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
