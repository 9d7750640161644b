"""Rows of CSV and TSV files with a header. A cell is text, an empty one the empty text.

A cell in quotes may run over several lines (RFC 4180), so a quote that stands for itself, as an inch mark at
a cell's beginning, swallows all lines up to the next quote, whether the reading breaks there or goes on as if
nothing were wrong. Hence lines are looked at by themselves, too. In a TSV, whose fields by its own rule (IANA
text/tab-separated-values) are never quoted, a line with a cell for each column is a row, and quotes that do
not work out stand as text. In a CSV every line that would be a row and is swallowed by a broken row is a bad
row, and one swallowed by a whole row is said.
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
from .json_files import checked_row, open_text
from .sample import Row
from .tables import made_row

QUOTED = re.compile(r'"((?:[^"]|"")*)"')
LONGEST = 1 << 28
"""Characters of a cell at most; the csv module's own limit of 131,072 is less than some instructions have."""


def csv_rows(path: Path, name: str, watch: Watch = SILENT) -> Iterator[Row]:
    """Rows of a CSV or TSV with a header; a row that does not fit the header is a bad one."""
    csv.field_size_limit(LONGEST)
    with open_text(path) as file:
        first = file.readline()
        # Spreadsheets of half the world write semicolons, and some write tabs.
        table = _Table(chain([first], file), max(",;\t", key=first.count), name)
        for number, (line, cells, text, problem) in enumerate(table.rows()):
            if problem:
                yield Row(text, None, name, number, line, problem)
            else:
                yield checked_row(made_row(dict(zip(table.header, cells, strict=True)), name, number, line))
    if places := table.swallowed:
        more = f" and {len(places) - 1:,} more" if len(places) > 1 else ""
        watch.note(
            f"{name}: {places[0]}{more} are read as one row each, by the quotes around them, though each "
            "line would be a row by itself. Where such a quote is text, write it twice"
        )


class _Table:
    """Reads rows by their quotes, and looks at their lines, too; `swallowed` are suspicious places."""

    def __init__(self, lines: Iterator[str], delimiter: str, name: str) -> None:
        self._lines, self._given_back, self._row, self._n = lines, deque[str](), list[str](), 0
        self.name, self.delimiter, self.swallowed = name, delimiter, list[str]()
        self._reader = csv.reader(iter(self._next_line, None), delimiter=delimiter, strict=True)
        try:
            self.header = next(self._reader, [])
        except csv.Error as error:
            raise PoolError(f"{name} has no readable header line: {error}.") from None
        if twice := sorted({column for column in self.header if self.header.count(column) > 1}):
            names = ", ".join(map(repr, twice))
            raise PoolError(f"{name}: the header names {names} twice. Give each column a name of its own.")
        # In prose a comma is followed by a blank, between cells it hardly ever is.
        has_blanks = delimiter == "\t" or any(cell.startswith(" ") for cell in self.header[1:])
        self._between = re.compile(delimiter if has_blanks else f"{delimiter}(?! )")

    def rows(self) -> Iterator[tuple[int, list[str], str, str]]:
        """Each row's first line, its cells, and where it is a bad one its text and what is wrong with it."""
        n, is_tsv = len(self.header), self.delimiter == "\t"
        while True:
            self._row, first, cells, problem = [], self._n + 1, [], ""
            try:
                if (found := next(self._reader, None)) is None:
                    return
                cells = found
            except csv.Error as error:
                problem = f"not CSV: {error}"
            if not problem and not cells:
                continue
            if not problem and len(cells) != n:
                problem = f"{len(cells)} cells under a header of {n}"
            is_row = [n > 1 and len(self._between.split(line)) == n for line in self._row]
            are_rows = len(is_row) > 1 and all(is_row)
            if is_tsv and is_row[0] and (problem or are_rows):
                texts = self._row[0].rstrip("\r\n").split(self.delimiter)
                self._give_back(1)
                quoted = [(text, QUOTED.fullmatch(text)) for text in texts]
                yield first, [one[1].replace('""', '"') if one else text for text, one in quoted], "", ""
            elif not problem:
                self.swallowed += [f"lines {first} to {self._n}"] if are_rows else []
                yield first, cells, "", ""
            elif is_tsv:
                end = is_row.index(True) if any(is_row) else len(is_row)
                text = "".join(self._row[:end])
                self._give_back(end)
                yield first, [], text, problem
            else:
                # The lines of a broken row of a CSV that would be rows are bad ones.
                where = self._where(first, problem)
                for at, is_own in enumerate(is_row):
                    if is_own or at == 0:
                        yield first + at, [], self._row[at].rstrip("\r\n"), where

    def _where(self, first: int, problem: str) -> str:
        last = self._n
        if "unexpected end" in problem or "field limit" in problem:
            behind = f", which swallows lines {first + 1} to {last}" if last > first else ""
            opens = f"nothing closes what the row at line {first} opens{behind}"
            raise PoolError(f"{self.name} ends inside quotes: {opens}. Repair it there.")
        quotes = f", with quotes that open in line {first} and close in line {last}" if last > first else ""
        return f"{problem}{quotes}"

    def _next_line(self) -> str | None:
        line = self._given_back.popleft() if self._given_back else next(self._lines, None)
        if line is not None:
            self._n += 1
            self._row.append(line)
        return line

    def _give_back(self, start: int) -> None:
        """Have the row's lines from its `start`-th on read again."""
        self._given_back.extendleft(reversed(self._row[start:]))
        self._n -= len(self._row) - start
