"""JSON records from a text that is never whole in memory: an array, objects one after the other, or a list inside an object.

A window slides over the text; `raw_decode` reads one record at a time from it, so the exact characters of each record are
at hand and a 10 GB array needs no more memory than its longest record. A record that runs over the window's end is read
again from its beginning once the window has grown (doubling, so the work stays linear).
Cost: 1 MiB of text, or three times the longest record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TextIO

from ..errors import PoolError
from .row import RecordDecoder

CHUNK = 1 << 20
LONGEST = 1 << 28
"""Characters of one record at most; a broken file of any size is given up on here instead of filling the memory."""
SPACE = re.compile(r"[ \t\r\n]*")
# A literal, an escape or a number cut in two by the window's end fails this close to it.
NEAR_END = 16


class Piece(NamedTuple):
    """A value in the text: its characters, what they say, its first line, and what is wrong with it."""

    text: str
    value: Any
    line: int
    problem: str


@dataclass
class Window:
    """A sliding view of a text, with a place in it.

    `line` is that of the character at `counted`; `n_before` characters of the window's first line have slid out of it.
    """

    file: TextIO
    name: str
    text: str = ""
    at: int = 0
    line: int = 1
    counted: int = 0
    n_before: int = 0
    n_read: int = 0
    is_complete: bool = False
    decoder: RecordDecoder = field(default_factory=RecordDecoder)

    def grow(self) -> None:
        """Forget what is behind the place, and read as much again as is left, at least a chunk.

        Raises:
            PoolError: what is left is longer than any record may be.
        """
        rest = self.text[self.at :]
        if len(rest) > LONGEST:
            raise self.broken(f"no record ends within {LONGEST:,} characters", self.at)
        more = self.file.read(max(CHUNK, len(rest)))
        self.is_complete = not more
        self.line, self.n_before = self.line_at(self.at), self.column_at(self.at) - 1
        self.text, self.at, self.counted = rest + more, 0, 0

    def line_at(self, position: int) -> int:
        """The line of a character at or behind `counted`."""
        return self.line + self.text.count("\n", self.counted, position)

    def column_at(self, position: int) -> int:
        """The column of a character, from 1."""
        start = self.text.rfind("\n", 0, position)
        return position - start if start >= 0 else self.n_before + position + 1

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            match = SPACE.match(self.text, self.at)
            self.at = match.end() if match else self.at
            if self.at < len(self.text) or self.is_complete:
                return self.text[self.at : self.at + 1]
            self.grow()

    def take(self, expected: str) -> None:
        """Step over one character.

        Raises:
            PoolError: another one is there.
        """
        found = self.peek()
        if found != expected:
            raise self.broken(f"expected {expected!r}, found {repr(found) if found else 'the end'}", self.at)
        self.at += 1

    def value(self) -> Piece:
        """Read the next value and step behind it.

        Raises:
            PoolError: it is not JSON, or the text ends inside it.
        """
        self.peek()
        while True:
            try:
                value, end = self.decoder.decode_at(self.text, self.at)
            except json.JSONDecodeError as error:
                # The C scanner names the start of an unended string, wherever the text stops.
                if self.is_complete or not (error.msg.startswith("Unterminated") or error.pos >= len(self.text) - NEAR_END):
                    raise self.broken(error.msg, error.pos) from None
            except RecursionError:
                raise self.broken("a record is nested too deeply", self.at) from None
            else:
                # A number at the very end of the window may go on.
                if end < len(self.text) or self.is_complete:
                    break
            self.grow()
        self.line, self.counted = self.line_at(self.at), self.at
        piece = Piece(self.text[self.at : end], value, self.line, self.decoder.problem)
        self.at = end
        self.n_read += 1
        return piece

    def broken(self, what: str, position: int) -> PoolError:
        """An error that says where the text breaks."""
        line, column = self.line_at(position), self.column_at(position)
        whole = f"; {self.n_read:,} values before it are whole" if self.n_read else ""
        return PoolError(
            f"{self.name} breaks off as JSON at line {line}, column {column}: {what}{whole}. Repair it there, or write it again."
        )


def array_items(window: Window) -> Iterator[Piece]:
    """The values of an array that begins at the window's place.

    Raises:
        PoolError: the array breaks off, or is no JSON somewhere; everything before has been yielded.
    """
    window.take("[")
    if window.peek() == "]":
        window.at += 1
        return
    while True:
        yield window.value()
        if window.peek() == "]":
            window.at += 1
            return
        window.take(",")


def values(window: Window) -> Iterator[Piece]:
    """Values one after the other, with or without line ends or commas between them.

    Raises:
        PoolError: one of them is no JSON.
    """
    while window.peek():
        yield window.value()
        if window.peek() == ",":
            window.at += 1


def list_in_object(window: Window, key: str) -> Iterator[Piece]:
    """The items of the list under `key` of an object that begins at the window's place.

    Raises:
        PoolError: the object is no JSON somewhere.
    """
    for name in _keys(window):
        if name == key and window.peek() == "[":
            yield from array_items(window)
        else:
            window.value()


def shape_of_object(window: Window) -> tuple[list[str], list[str]]:
    """The keys of an object that begins at the window's place, and those of them that lead to lists of objects.

    Raises:
        PoolError: the object is no JSON somewhere.
    """
    keys, lists = [], []
    for name in _keys(window):
        keys.append(name)
        if window.peek() != "[":
            window.value()
            continue
        for number, item in enumerate(array_items(window)):
            if number == 0 and isinstance(item.value, dict):
                lists.append(name)
    return keys, lists


def _keys(window: Window) -> Iterator[str]:
    """The keys of an object, one after the other; whoever asks for the next has stepped behind the value."""
    window.take("{")
    while window.peek() != "}":
        name = window.value()
        window.take(":")
        window.peek()
        yield str(name.value)
        if window.peek() == ",":
            window.at += 1
    window.take("}")
