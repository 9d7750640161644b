"""Rows of a file that holds JSON: a record a line, an array, or one object with a list of records inside.

The content decides, not the name: many files called .json hold a record a line. In a file of lines a bad line costs that line
and no more; in an array nothing behind a break can be trusted, so that is an error. Only an object with a list inside is whole in memory.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from ..errors import PoolError
from .files_in import first_character, open_bytes, open_text
from .json_stream import BROKEN_UTF8, array_rows, behind, checked_row
from .layouts import recognise
from .row import RecordDecoder, Row
from .splits import TRAIN, check_split

BOM = b"\xef\xbb\xbf"
BETWEEN = re.compile(r"[ \t\r\n,:]*")


def json_rows(
    path: Path, name: str, split: str | None = TRAIN, own_split: str = "", needed: Sequence[str] = ()
) -> Iterator[Row]:
    """Rows of a JSON file of any of the kinds above; empty files have none.

    Args:
        path: The file, packed or not.
        name: What the rows call their source.
        split: Which list of an object that holds several, {"train": […], "test": […]}; None: an object is a record, whatever it holds.
        own_split: The split that the whole file is, where its name says so.
        needed: Columns that make an object a record, whatever it holds; none: those of a known format.

    Raises:
        PoolError: the file cannot be read or unpacked, breaks off, or holds records of several lines one after the other; it
            has no such split.
    """
    start = first_character(path)
    if start == "{" and _is_one_object(path):
        yield from _rows_in_object(path, name, split, own_split, needed)
        return
    check_split(name, split, [own_split])
    if start == "[":
        with open_text(path) as file:
            yield from array_rows(file, name)
    else:
        yield from _line_rows(path, name)


def _is_one_object(path: Path) -> bool:
    """Whether a file is not a record a line: its first line is all there is, or goes on in the next one."""
    with open_bytes(path) as file:
        first, second = _next_line(file), _next_line(file)
    try:
        RecordDecoder().decode(first)
    except json.JSONDecodeError as error:
        # A record that goes on in the next line stops at the end of its first; and the next is not one by itself.
        return second != "" and error.pos >= len(first) and not _is_object(second)
    except RecursionError:
        return False
    return not second


def _next_line(file: BinaryIO) -> str:
    """The next line that is not blank; empty at the end."""
    lines = (line.removeprefix(BOM).strip() for line in file)
    return next(filter(None, lines), b"").decode("utf-8", "surrogateescape")


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
        return Row(text, decoder.decode(text), name, number, line, decoder.problem)
    except UnicodeDecodeError as error:
        problem = f"{BROKEN_UTF8}: {error.reason} at byte {error.start}"
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at column {error.colno}"
    except RecursionError:
        problem = "nested too deeply"
    return Row(content.decode("utf-8", "replace").strip(), None, name, number, line, problem)


def _rows_in_object(
    path: Path, name: str, split: str | None, own_split: str, needed: Sequence[str]
) -> Iterator[Row]:
    """The records of a list in the file's one object, or that object as the only record."""
    with open_text(path) as file:
        text = file.read().rstrip()
    decoder = RecordDecoder()
    try:
        record = decoder.decode(text)
    except RecursionError:
        raise PoolError(
            f"{name} is one object that is nested too deeply. Write each record on a line of its own."
        ) from None
    except json.JSONDecodeError as error:
        raise PoolError(
            f"{name} is neither a record a line nor one JSON value: {error}. "
            "Write each record on a line of its own (jq -c . does), or all of them in an array."
        ) from None
    problem = decoder.problem
    is_record = record.keys() >= set(needed) if needed else recognise(tuple(record)) is not None
    lists = {} if split is None or is_record else _lists_in(text, name)
    if len(lists) > 1 and split not in lists:
        raise PoolError(
            f"{name} holds several lists of records: {', '.join(lists)}. Set split to one of them."
        )
    check_split(name, split, [*lists, own_split])
    if not lists:
        yield checked_row(Row(text.lstrip(), record, name, 0, 1, problem))
        return
    place = lists.get(str(split), next(iter(lists.values())))
    yield from array_rows(io.StringIO(text[place]), name, 1 + text.count("\n", 0, place.start))


def _lists_in(text: str, name: str) -> dict[str, slice]:
    """Where in an object's whole and valid text the lists of objects stand, by their keys.

    Raises:
        PoolError: two have the same key.
    """
    decoder, lists = RecordDecoder(), {}
    at = behind(BETWEEN, text, text.index("{") + 1)
    while text[at] != "}":
        key, end = decoder.decode_at(text, at)
        start = behind(BETWEEN, text, end)
        value, end = decoder.decode_at(text, start)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            if str(key) in lists:
                raise PoolError(
                    f"{name} holds two lists of records under the key {key!r}. Give each a key of its own, or write one array."
                )
            lists[str(key)] = slice(start, end)
        at = behind(BETWEEN, text, end)
    return lists
