"""Files that hold records: opened plain, .gz or .zst, and read as JSON of any arrangement.

JSON is one record a line, the items of an array, or a list of them inside one object. The content decides,
not the name: many files called .json hold a record a line. In a file of lines a bad line costs that line and
no more; in an array nothing behind a break can be trusted, so that is an error.
Memory: the longest record of a file of lines; an array or an object is whole in memory.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import pyarrow as pa

from ..errors import DiverseEvolError, PoolError
from .layouts import recognise
from .sample import Row

CHUNK = 1 << 20
PACKED = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
BOM = b"\xef\xbb\xbf"
BLANKS = re.compile(r"[ \t\r\n]*")
BROKEN_UTF8 = "broken UTF-8"
LARGEST = 1 << 34
"""Bytes of a file that is one JSON value; a larger one is to be written a record a line."""
TRAIN = "train"


def kind_of(path: Path) -> str:
    """A file's kind by its name, less the packing: `.jsonl` for a.jsonl.gz; empty where it has none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, unpacked."""
    try:
        with path.open("rb", buffering=CHUNK) as raw:
            file: Any = raw
            if packing := PACKED.get(path.suffix.lower()):
                # pyarrow checks to the last byte; zstandard takes a file that was cut off for a shorter one.
                file = io.BufferedReader(pa.CompressedInputStream(raw, packing), CHUNK)
            start = file.peek(4)[:4]
            # Without a mark, the first characters, of ASCII in JSON and in most tables, have a zero each.
            zeros = [byte == 0 for byte in start]
            if start[:2] in (b"\xff\xfe", b"\xfe\xff") or zeros in ([True, False] * 2, [False, True] * 2):
                raise PoolError(f"{path} is UTF-16 text. Save it as UTF-8: iconv -f UTF-16 -t UTF-8.")
            yield file
    except OSError as error:
        if error.errno is not None:
            raise PoolError(f"cannot read {path}: {error.strerror or error}.") from None
        if "Truncated" in str(error):
            why = "is cut off: its compressed data ends in the middle. Copy or download it again."
        else:
            why = f"cannot be unpacked: {error}. Copy or download it again, or correct its name's ending."
        raise PoolError(f"{path} {why}") from None


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    r"""Open a file as UTF-8 text whose lines end at \n alone, without a byte order mark.

    Bytes that are not UTF-8 become lone surrogates. Errors are those of `open_bytes`.
    """
    with (
        open_bytes(path) as file,
        io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="\n") as text,
    ):
        yield text


def first_character(path: Path) -> str:
    """A file's first character that is no blank; empty where there is none. Errors: as `open_bytes`."""
    with open_text(path) as file:
        parts = iter(lambda: file.read(4096), "")
        return next((part.lstrip()[0] for part in parts if part.strip()), "")


def check_split(name: str, split: str | None, known: Sequence[str]) -> None:
    """Refuse a split that is not there, and name those that are; what has no splits is train."""
    if split not in (None, TRAIN, *known):
        has = ", ".join(filter(None, known)) or TRAIN
        raise PoolError(f"{name} has no split {split!r}. It has: {has}. Correct pool.split.")


class RecordDecoder:
    """Reads JSON strictly: `problem` says what of the last record other readers would see differently.

    The standard library's decoder keeps the last of two equal keys and takes NaN and Infinity for numbers.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._json = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_int=self._integer
        )

    def decode(self, text: str, start: int | None = None) -> tuple[Any, int]:
        """The value of a whole text, or the one that begins at `start`, and where it ends."""
        self.problem = ""
        return (self._json.decode(text), len(text)) if start is None else self._json.raw_decode(text, start)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            self.problem = self.problem or f"the key {twice!r} is given twice"
        return record

    def _constant(self, name: str) -> None:
        self.problem = self.problem or f"{name} is not JSON"

    def _integer(self, digits: str) -> int:
        try:
            return int(digits)
        except ValueError:  # Python refuses thousands of digits
            self.problem = self.problem or f"a number of {len(digits)} digits"
            return 0


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
        lines = (line.removeprefix(BOM).strip() for line in file)
        filled = (line.decode("utf-8", "surrogateescape") for line in lines if line)
        first, second = next(filled, ""), next(filled, "")
    try:
        json.loads(first)
        return not second
    except json.JSONDecodeError as error:
        if not second or error.pos < len(first):
            return False
    except (ValueError, RecursionError):
        return False
    # A record that goes on in the next line stops at the end of its first; the next is none by itself.
    try:
        return not isinstance(json.loads(second), dict)
    except (ValueError, RecursionError):
        return True


def _line_rows(path: Path, name: str) -> Iterator[Row]:
    decoder, number = RecordDecoder(), 0
    with open_bytes(path) as file:
        for line, raw in enumerate(file, 1):
            content = raw.removeprefix(BOM) if line == 1 else raw
            if not content.strip():
                continue
            try:
                text = content.decode("utf-8").strip(" \t\r\n")
                yield Row(text, decoder.decode(text)[0], name, number, line, decoder.problem)
            except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
                text = content.decode("utf-8", "replace").strip()
                yield Row(text, None, name, number, line, _why(error))
            number += 1


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"{BROKEN_UTF8}: {error.reason} at byte {error.start}"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} at column {error.colno}"
    return "nested too deeply"


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

    def behind_blanks(start: int) -> int:
        match = BLANKS.match(text, start)
        return match.end() if match else start

    decoder, number, line, begin = RecordDecoder(), 0, 1, 0
    at = behind_blanks(text.index("[") + 1)
    closed = text.startswith("]", at)
    while not closed:
        line, begin = line + text.count("\n", begin, at), at
        try:
            record, end = decoder.decode(text, at)
            at = behind_blanks(end)
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
        at = at if closed else behind_blanks(at + 1)
    if text[at + 1 :].strip():
        behind = f"has more text behind the end of its array of {number:,} records"
        raise PoolError(f"{name} {behind}. Remove it there.")


def _rows_in_object(
    text: str, name: str, split: str | None, own_split: str, needed: Sequence[str]
) -> Iterator[Row]:
    """The records of a list in the file's one object, or that object as the only record."""
    decoder = RecordDecoder()
    try:
        record, _ = decoder.decode(text.rstrip())
    except (json.JSONDecodeError, RecursionError) as error:
        why = error if isinstance(error, json.JSONDecodeError) else "it is nested too deeply"
        raise PoolError(
            f"{name} is neither a record a line nor one JSON value: {why}. "
            "Write each record on a line of its own (jq -c . does), or all of them in an array."
        ) from None
    is_record = record.keys() >= set(needed) if needed else recognise(tuple(record)) is not None
    lists = {}
    if split is not None and not is_record:
        filled = {key: value for key, value in record.items() if isinstance(value, list) and value}
        lists = {key: value for key, value in filled.items() if isinstance(value[0], dict)}
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
