"""Progress as people see it.

A bar on a terminal, plain lines in a log file, nothing on ranks other than 0.
"""

from __future__ import annotations

import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import strftime

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TextColumn
from rich.progress import Task as RichTask
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from ..base import dist
from ..base.progress import SILENT, LineWatch, Task, Watch


def open_watch() -> Watch:
    """The right watch for this process: by terminal and rank.

    Everything goes to stderr, so stdout stays for results.
    """
    if not dist.is_main():
        return SILENT
    if sys.stderr.isatty():
        return BarWatch(Console(stderr=True))
    return LineWatch(lambda text: print(f"{strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True))


def quiet_libraries() -> None:
    """Turn the libraries' own bars and informational lines off; their errors stay."""
    import datasets
    import transformers

    # PEFT asks transformers for a setting by its older name, and for GPT-2 corrects one of its own; nobody
    # here can act on either.
    warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
    warnings.filterwarnings("ignore", "fan_in_fan_out is set to")
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def bar_width(console_width: int) -> int:
    """What the words leave of a line: name and words take some 66 letters."""
    return max(10, min(30, console_width - 66))


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most `width` letters, the later ones indented.

    Only words longer than that go beyond.
    """
    if len(text) <= width:
        return [text]
    return textwrap.wrap(
        text, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


class _Bar(ProgressColumn):
    """How much of the work is done."""

    def render(self, task: RichTask) -> ProgressBar:
        shown: Task = task.fields["shown"]
        return ProgressBar(total=shown.total, completed=shown.done)


class _Words(ProgressColumn):
    """Done, rate and time left, as log files and `status` say it; cut at the line's end, never wrapped."""

    def render(self, task: RichTask) -> Text:
        shown: Task = task.fields["shown"]
        return Text(shown.words(time.monotonic()), no_wrap=True, overflow="ellipsis")


@dataclass
class BarWatch:
    """Bars through rich, one display for all that are open.

    A finished bar leaves no line, notes stay above.
    """

    console: Console
    progress: Progress | None = None

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        """Open a bar; one inside another stands below it."""
        progress = self.progress
        if progress is None:
            name_column = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
            # Only the words may be cut.
            columns = (name_column, _Bar(Column(width=bar_width(self.console.width))), _Words(Column()))
            with Progress(*columns, console=self.console, transient=True) as self.progress:
                try:
                    with self.task(name, total, unit) as task:
                        yield task
                finally:
                    self.progress = None
            return
        task = Task(name, total, unit)
        number = progress.add_task(f"  {name}", shown=task)
        try:
            yield task
        finally:
            progress.remove_task(number)

    def note(self, text: str) -> None:
        """Say one line, broken between words where it is too long.

        A path stays whole, so that it can be copied.
        """
        for line in wrapped(text, self.console.width):
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)
