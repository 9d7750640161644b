"""Rows of a file that holds JSON: a record a line, an array, records one after the other, or a list inside an object.

The content decides, not the name: many files called .json hold a record a line. In a file of lines a bad line costs that line
and no more; in an array nothing behind a break can be trusted, so that is an error with its line and column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import PoolError
from .files_in import open_bytes, open_text
from .json_stream import Piece, Window, array_items, list_in_object, shape_of_object, values
from .layouts import recognise
from .row import RecordDecoder, Row

BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 1 << 24
"""Bytes of a first line that are looked at to see what the file is."""
BROKEN_UTF8 = "broken UTF-8"


def json_rows(path: Path, name: str, split: str = "train") -> Iterator[Row]:
    """Rows of a JSON file of any of the kinds above; empty files have none.

    Args:
        path: The file, packed or not.
        name: What the rows call their source.
        split: Which list of an object that holds several, {"train": […], "test": […]}.

    Raises:
        PoolError: the file cannot be read or unpacked, or breaks off.
    """
    if _is_lines(path):
        return _line_rows(path, name)
    return _stream_rows(path, name, split)


def _is_lines(path: Path) -> bool:
    """Whether the file is a record a line: its first line is one, or is broken in a way that no next line mends."""
    with open_bytes(path) as file:
        raw, second = _next_line(file), _text(_next_line(file))
    first = _text(raw)
    if not first.startswith("{"):
        return not first.startswith("[")
    if len(raw) >= LONGEST_LINE - len(BOM):
        # Cut by the reading limit; the window copes with both a long record and a long wrapper.
        return False
    try:
        RecordDecoder().decode(first)
    except json.JSONDecodeError as error:
        # A record that goes on in the next line stops at the end of its first; and the next is not one by itself.
        return error.pos < len(first) or _is_object(second)
    except RecursionError:
        return True
    return bool(second)


def _next_line(file: BinaryIO) -> bytes:
    """The next line that is not blank, or its beginning; empty at the end."""
    line = file.readline(LONGEST_LINE)
    while line and not line.removeprefix(BOM).strip():
        line = file.readline(LONGEST_LINE)
    return line.removeprefix(BOM)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape").strip()


def _is_object(text: str) -> bool:
    try:
        return isinstance(RecordDecoder().decode(text), dict)
    except (json.JSONDecodeError, RecursionError):
        return False


def _line_rows(path: Path, name: str) -> Iterator[Row]:
    decoder, number = RecordDecoder(), 0
    with open_bytes(path) as file:
        for line, raw in enumerate(file, 1):
            content = raw.removeprefix(BOM) if line == 1 else raw
            if not content.strip():
                continue
            yield _line_row(content, name, number, line, decoder)
            number += 1


def _line_row(content: bytes, name: str, number: int, line: int, decoder: RecordDecoder) -> Row:
    try:
        text = content.decode("utf-8").strip(" \t\r\n")
    except UnicodeDecodeError as error:
        return Row(
            content.decode("utf-8", "replace").strip(),
            None,
            name,
            number,
            line,
            f"{BROKEN_UTF8}: {error.reason} at byte {error.start}",
        )
    try:
        record = decoder.decode(text)
    except json.JSONDecodeError as error:
        return Row(text, None, name, number, line, f"not JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        return Row(text, None, name, number, line, "nested too deeply")
    return Row(text, record, name, number, line, decoder.problem)


def _stream_rows(path: Path, name: str, split: str) -> Iterator[Row]:
    with open_text(path) as file:
        key = _wrapping_key(Window(file, name), split)
    with open_text(path) as file:
        window = Window(file, name)
        is_array = window.peek() == "["
        objects = list_in_object(window, key) if key is not None else values(window)
        for number, piece in enumerate(array_items(window) if is_array else objects):
            yield _piece_row(piece, name, number)
        if window.peek():
            raise window.broken("more text behind the end", window.at)


def _piece_row(piece: Piece, name: str, number: int) -> Row:
    problem = piece.problem
    if not piece.text.isascii():
        try:
            piece.text.encode("utf-8")
        except UnicodeEncodeError:
            return Row(piece.text, None, name, number, piece.line, BROKEN_UTF8)
    return Row(piece.text, piece.value, name, number, piece.line, problem)


def _wrapping_key(window: Window, split: str) -> str | None:
    """Under which key the one object of a file holds its records; None: the file holds an array, or objects that are records."""
    if window.peek() != "{":
        return None
    keys, lists = shape_of_object(window)
    if not lists or window.peek() or recognise(tuple(keys)) is not None:
        return None
    if len(lists) > 1 and split not in lists:
        raise PoolError(f"{window.name} holds several lists of records: {', '.join(lists)}. Set split to one of them.")
    return split if split in lists else lists[0]
