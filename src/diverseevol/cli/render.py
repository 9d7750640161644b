"""Results on the terminal: lines, JSON, and tables, all of one kind."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import typer

FILE_WIDTH = 140
"""Letters of a line where there is no terminal: a log file has no width of its own."""


def show_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """One JSON document on one line."""
    typer.echo(json.dumps(value))  # in ASCII: texts from files may hold what no encoding knows


def show_lines(lines: Iterable[str], style: str | None = None) -> None:
    """Lines as they are: nothing in them is markup, and none is broken."""
    from rich.console import Console

    console = Console()
    for line in lines:
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def show_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str] | None],
    *,
    title: str | None = None,
    texts: Collection[str] = (),
    is_wrapped: bool = False,
) -> None:
    """Rows under headings; None draws a line.

    Figures stand at the right, and on one line unless `is_wrapped`; `texts` at the left, folded if long.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        if heading in texts:
            table.add_column(heading, overflow="fold")
        else:
            table.add_column(heading, justify="right", no_wrap=not is_wrapped, overflow="fold")
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*row)
    width = None if sys.stdout.isatty() else FILE_WIDTH
    Console(width=width, markup=False).print(table)


def figure(value: float | None, form: str = ".4f", none: str = "-") -> str:
    """A number in a form; a dash where there is none."""
    return none if value is None else format(value, form)
