"""Rows of CSV and TSV files with a header. A cell is text, an empty one the empty text.

A cell in quotes may run over several lines (RFC 4180), so a quote that stands for itself, as an inch mark at a cell's beginning,
swallows all lines up to the next quote, whether the reading breaks there or goes on as if nothing were wrong. Hence lines
are looked at by themselves, too. In a TSV, whose fields by its own rule (IANA text/tab-separated-values) are never
quoted, a line with a cell for each column is a row, and quotes that do not work out stand as text. In a CSV every line
that would be a row and is swallowed by a broken row is a bad row, and one swallowed by a whole row is said.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ..base.progress import SILENT, Watch
from ..errors import PoolError
from .files_in import open_text
from .json_stream import LONGEST, checked_row
from .row import Row
from .tables import made_row

QUOTED = re.compile(r'"((?:[^"]|"")*)"')


def csv_rows(path: Path, name: str, watch: Watch = SILENT) -> Iterator[Row]:
    """Rows of a CSV or TSV with a header; a row that does not fit the header is a bad one.

    Raises:
        PoolError: the file cannot be read, has no usable header, or ends inside quotes.
    """
    # Long instructions exceed the csv module's default of 131,072 characters a cell.
    csv.field_size_limit(LONGEST)
    with open_text(path, newline=_line_end(path)) as file:
        first = file.readline()
        # Spreadsheets of half the world write semicolons, and some write tabs.
        delimiter = max(",;\t", key=first.count)
        lines = _Lines(chain([first], file))
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise PoolError(f"{name} has no readable header line: {error}.") from None
        _check_header(header, name)
        swallowed: list[str] = []
        for number, (line, cells, text, problem) in enumerate(
            _body(reader, lines, delimiter, header, name, swallowed)
        ):
            if problem:
                yield Row(text, None, name, number, line, problem)
            else:
                yield checked_row(made_row(dict(zip(header, cells, strict=True)), name, number, line))
    if swallowed:
        more = f" and {len(swallowed) - 1:,} more" if len(swallowed) > 1 else ""
        watch.note(
            f"{name}: {swallowed[0]}{more} are read as one row each, by the quotes around them, though each line would be a row "
            "by itself. Where such a quote is text, write it twice"
        )


def _body(
    reader: Iterator[list[str]],
    lines: _Lines,
    delimiter: str,
    header: list[str],
    name: str,
    swallowed: list[str],
) -> Iterator[tuple[int, list[str], str, str]]:
    """Each row's first line, its cells, and where it is a bad one its text and what is wrong with it.

    Args:
        reader: Reads the lines by their quotes.
        lines: Those lines.
        delimiter: What stands between cells.
        header: Its columns.
        name: The file's.
        swallowed: Receives the places of rows that look as if they were several.

    Raises:
        PoolError: a CSV ends inside quotes.
    """
    n, is_tsv = len(header), delimiter == "\t"
    # In prose a comma is followed by a blank, between cells it hardly ever is.
    has_blanks = any(cell.startswith(" ") for cell in header[1:])
    between = re.compile(delimiter if is_tsv or has_blanks else f"{delimiter}(?! )")
    while True:
        first, cells, problem = lines.begin_row(), [], ""
        try:
            if (found := next(reader, None)) is None:
                return
            cells = found
            if not cells:
                continue
        except csv.Error as error:
            problem = f"not CSV: {error}"
        if not problem and len(cells) != n:
            problem = f"{len(cells)} cells under a header of {n}"
        is_row = [n > 1 and len(between.split(line)) == n for line in lines.row]
        last = first + len(is_row) - 1
        if is_tsv and is_row[0] and (problem or (last > first and all(is_row))):
            texts = lines.row[0].rstrip("\r\n").split(delimiter)
            lines.give_back(1)
            yield first, [_unquoted(text) for text in texts], "", ""
        elif not problem:
            if last > first and all(is_row):
                swallowed.append(f"lines {first} to {last}")
            yield first, cells, "", ""
        elif is_tsv:
            end = is_row.index(True) if any(is_row) else len(is_row)
            text = "".join(lines.row[:end])
            lines.give_back(end)
            yield first, [], text, problem
        elif "unexpected end" in problem or "field limit" in problem:
            behind = f", which swallows lines {first + 1} to {last}" if last > first else ""
            raise PoolError(
                f"{name} ends inside quotes: nothing closes what the row at line {first} opens{behind}. Repair it there."
            )
        else:
            where = (
                f"{problem}, with quotes that open in line {first} and close in line {last}"
                if last > first
                else problem
            )
            ours = [at for at, is_own in enumerate(is_row) if is_own or at == 0]
            yield from ((first + at, [], lines.row[at].rstrip("\r\n"), where) for at in ours)


class _Lines:
    """The lines of a file, of which those of the row under way may be given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.row: list[str] = []
        self._lines, self._back, self._n = lines, deque[str](), 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self._n += 1
        self.row.append(line)
        return line

    def begin_row(self) -> int:
        """Forget the lines so far; the number of the next one, from 1."""
        self.row = []
        return self._n + 1

    def give_back(self, start: int) -> None:
        """Have the row's lines from its `start`-th on read again."""
        self._back.extendleft(reversed(self.row[start:]))
        self._n -= len(self.row) - start


def _line_end(path: Path) -> str:
    r"""\n, or the empty text, with which every \r ends a line, too: only where the first line has one inside, as on old Macs."""
    with open_text(path) as file:
        return "" if "\r" in file.readline().rstrip("\r\n") else "\n"


def _unquoted(cell: str) -> str:
    quoted = QUOTED.fullmatch(cell)
    return quoted[1].replace('""', '"') if quoted else cell


def _check_header(header: list[str], name: str) -> None:
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise PoolError(
            f"{name}: the header names {', '.join(map(repr, twice))} twice. Give each column a name of its own."
        )
