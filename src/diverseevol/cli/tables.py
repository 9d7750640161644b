"""Tables on the terminal, all of one kind."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

FILE_WIDTH = 140
"""Letters of a line where there is no terminal: a log file has no width of its own."""


def open_console() -> Console:
    """What results are printed on."""
    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH)


def new_table(
    headings: Iterable[str], title: str | None = None, texts: Collection[str] = (), is_wrapped: bool = False
) -> Table:
    """Make a table without rows.

    Figures stand at the right and on one line, unless `is_wrapped`; `texts` at the left, folded if long.
    """
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        if heading in texts:
            table.add_column(heading, overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=not is_wrapped)
    return table
