"""Records of a file that holds JSON: one a line, the items of an array, or a list of them inside one object.

The content decides, not the name: many files called .json hold a record a line. In a file of lines a bad line
costs that line and no more; in an array nothing behind a break can be trusted, so that is an error.
Memory: the longest record of a file of lines; an array or an object is whole in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import DiverseEvolError, PoolError
from .files_in import first_character, open_bytes, open_text
from .layouts import recognise
from .row import RecordDecoder, Row
from .splits import TRAIN, check_split

BOM = b"\xef\xbb\xbf"
BLANKS = re.compile(r"[ \t\r\n]*")
BROKEN_UTF8 = "broken UTF-8"
LARGEST = 1 << 34
"""Bytes of a file that is one JSON value; a larger one is to be written a record a line."""


def json_rows(
    path: Path, name: str, split: str | None = TRAIN, own_split: str = "", needed: Sequence[str] = ()
) -> Iterator[Row]:
    """Rows of a JSON file of any of the kinds above; empty files have none.

    Args:
        path: The file, packed or not.
        name: What the rows call their source.
        split: Which list of an object that holds several, {"train": […], "test": […]}; None: an object is a
            record, whatever it holds.
        own_split: The split that the whole file is, where its name says so.
        needed: Columns that make an object a record, whatever it holds; none: those of a known format.

    Raises:
        PoolError: the file cannot be read or unpacked, breaks off, holds records of several lines one after
            the other, or is one value that is too large; it has no such split.
    """
    start = first_character(path)
    if start == "{" and _is_one_object(path):
        yield from _rows_in_object(_whole(path, name), name, split, own_split, needed)
        return
    check_split(name, split, [own_split])
    yield from _array_rows(_whole(path, name), name) if start == "[" else _line_rows(path, name)


def records_in(file: Path, error: type[DiverseEvolError]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each record of a file of questions or answers stands, and the record; none is left out.

    Raises:
        DiverseEvolError: an `error`: a record is not JSON, no object, or holds text that can be neither
            stored nor sent.
        PoolError: as `json_rows`.
    """
    for row in json_rows(file, str(file), split=None):
        if row.problem:
            raise error(f"{row.place()}: {row.problem}. Repair the file.")
        if not isinstance(row.record, dict):
            raise error(f"{row.place()} is no object. Give a file of records, an object each.")
        try:
            json.dumps(row.record, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise error(f"{row.place()} holds broken text (half a surrogate pair). Repair it.") from None
        yield row.place(), row.record


def checked_row(row: Row) -> Row:
    """The row, or a bad one where its text held bytes that are not UTF-8."""
    try:
        row.text.encode("utf-8")
    except UnicodeEncodeError:
        return row._replace(record=None, problem=BROKEN_UTF8)
    return row


def _is_one_object(path: Path) -> bool:
    """Whether a file is not a record a line: its first line is all there is, or goes on in the next one."""
    with open_bytes(path) as file:
        first, second = _next_line(file), _next_line(file)
    try:
        json.loads(first)
    except json.JSONDecodeError as error:
        # A record that goes on in the next line stops at the end of its first; the next is none by itself.
        return second != "" and error.pos >= len(first) and not _is_object(second)
    except (ValueError, RecursionError):
        return False
    return not second


def _next_line(file: BinaryIO) -> str:
    """The next line that is not blank; empty at the end."""
    lines = (line.removeprefix(BOM).strip() for line in file)
    return next(filter(None, lines), b"").decode("utf-8", "surrogateescape")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _line_rows(path: Path, name: str) -> Iterator[Row]:
    decoder, number = RecordDecoder(), 0
    with open_bytes(path) as file:
        for line, raw in enumerate(file, 1):
            content = raw.removeprefix(BOM) if line == 1 else raw
            if content.strip():
                yield _row(content, name, number, line, decoder)
                number += 1


def _row(content: bytes, name: str, number: int, line: int, decoder: RecordDecoder) -> Row:
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


def _whole(path: Path, name: str) -> str:
    if path.stat().st_size > LARGEST:
        raise PoolError(
            f"{name} is one JSON value of more than {LARGEST >> 30} GiB, which is read whole. "
            "Write each record on a line of its own (jq -c '.[]' does)."
        )
    with open_text(path) as file:
        return file.read()


def _array_rows(text: str, name: str) -> Iterator[Row]:
    """The items of an array, with their own characters; before a break all of them come."""
    decoder, number, line, begin = RecordDecoder(), 0, 1, 0
    at = _behind_blanks(text, text.index("[") + 1)
    closed = text.startswith("]", at)
    while not closed:
        line, begin = line + text.count("\n", begin, at), at
        try:
            record, end = decoder.decode_at(text, at)
            at = _behind_blanks(text, end)
            if not text.startswith((",", "]"), at):
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
        except (json.JSONDecodeError, RecursionError) as error:
            why = error.msg if isinstance(error, json.JSONDecodeError) else "it is nested too deeply"
            raise PoolError(
                f"{name} breaks off as JSON behind {number:,} whole records, in the one at line {line}: {why}"
                ". Repair it there, or write it again."
            ) from None
        yield checked_row(Row(text[begin:end], record, name, number, line, decoder.problem))
        number, closed = number + 1, text[at] == "]"
        at = at if closed else _behind_blanks(text, at + 1)
    if text[at + 1 :].strip():
        raise PoolError(
            f"{name} has more text behind the end of its array of {number:,} records. Remove it there."
        )


def _behind_blanks(text: str, start: int) -> int:
    match = BLANKS.match(text, start)
    return match.end() if match else start


def _rows_in_object(
    text: str, name: str, split: str | None, own_split: str, needed: Sequence[str]
) -> Iterator[Row]:
    """The records of a list in the file's one object, or that object as the only record."""
    decoder = RecordDecoder()
    try:
        record = decoder.decode(text.rstrip())
    except RecursionError:
        raise PoolError(
            f"{name} is one object that is nested too deeply. Write each record on a line of its own."
        ) from None
    except json.JSONDecodeError as error:
        raise PoolError(
            f"{name} is neither a record a line nor one JSON value: {error}. "
            "Write each record on a line of its own (jq -c . does), or all of them in an array."
        ) from None
    is_record = record.keys() >= set(needed) if needed else recognise(tuple(record)) is not None
    lists = {}
    if split is not None and not is_record:
        lists = {key: value for key, value in record.items() if _is_list_of_objects(value)}
    if len(lists) > 1 and split not in lists:
        known = ", ".join(lists)
        raise PoolError(f"{name} holds several lists of records: {known}. Set split to one of them.")
    check_split(name, split, [*lists, own_split])
    if not lists:
        yield checked_row(Row(text.strip(), record, name, 0, 1, decoder.problem))
        return
    if decoder.problem:
        advice = "Repair it, or write each record on a line of its own, where a bad one costs no other"
        raise PoolError(f"{name}: {decoder.problem}. {advice}.")
    for number, item in enumerate(lists.get(str(split), next(iter(lists.values())))):
        yield checked_row(Row(json.dumps(item, ensure_ascii=False), item, name, number))


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
