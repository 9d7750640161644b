"""The records of a JSON array that is never whole in memory.

A window slides over the text; `raw_decode` reads one record at a time from it, so the exact characters of each record are
at hand and a 10 GB array needs no more memory than its longest record. A record that runs over the window's end is read
again from its beginning once the window has grown (doubling, so the work stays linear).
Cost: 1 MiB of text, or three times the longest record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, TextIO

from ..errors import PoolError
from .row import RecordDecoder, Row

CHUNK = 1 << 20
LONGEST = 1 << 28
"""Characters of one record at most; a broken file of any size is given up on here instead of filling the memory."""
BLANKS = re.compile(r"[ \t\r\n]*")
# A literal, an escape or a number cut in two by the window's end fails this close to it.
NEAR_END = 16
BROKEN_UTF8 = "broken UTF-8"


def array_rows(file: TextIO, name: str, line: int = 1) -> Iterator[Row]:
    """The records of an array, before which only blanks may stand; `line` is the number of the text's first line.

    Raises:
        PoolError: the array breaks off, is no JSON somewhere, or has text behind its end; every record before has been yielded.
    """
    decoder, number, is_complete = RecordDecoder(), 0, False
    text = file.read(CHUNK)
    while not text.strip():
        line, text = line + text.count("\n"), file.read(CHUNK)
    begin, at = 0, text.index("[") + 1
    while True:
        at = behind(BLANKS, text, at)
        line, begin = line + text.count("\n", begin, at), at
        if number == 0 and text.startswith("]", at):
            break
        try:
            value, end, at = _item(text, at, decoder)
        except RecursionError:
            raise _broken(name, number, line, "it is nested too deeply") from None
        except json.JSONDecodeError as error:
            # The C scanner names the start of an unended string, wherever the text stops.
            if is_complete or not (error.msg.startswith("Unterminated") or error.pos >= len(text) - NEAR_END):
                raise _broken(name, number, line, error.msg) from None
            if len(text) - begin > LONGEST:
                raise _broken(name, number, line, f"it does not end within {LONGEST:,} characters") from None
            more = file.read(max(CHUNK, len(text) - begin))
            text, begin, at, is_complete = text[begin:] + more, 0, 0, not more
            continue
        yield checked_row(Row(text[begin:end], value, name, number, line, decoder.problem))
        number += 1
        if text[at] == "]":
            break
        at += 1
    if any(part.strip() for part in chain([text[at + 1 :]], file)):
        raise PoolError(
            f"{name} has more text behind the end of its array of {number:,} records. Remove it there."
        )


def behind(characters: re.Pattern[str], text: str, start: int) -> int:
    """The place in a text, from `start` on, behind all that the pattern matches."""
    match = characters.match(text, start)
    return match.end() if match else start


def checked_row(row: Row) -> Row:
    """The row, or a bad one where its text held bytes that are not UTF-8."""
    try:
        row.text.encode("utf-8")
    except UnicodeEncodeError:
        return row._replace(record=None, problem=BROKEN_UTF8)
    return row


def _item(text: str, start: int, decoder: RecordDecoder) -> tuple[Any, int, int]:
    """The item of an array that begins at `start`, where it ends, and where the comma or bracket behind it stands.

    Raises:
        json.JSONDecodeError: it is no JSON, or the text ends before that comma or bracket.
        RecursionError: it is nested too deeply.
    """
    value, end = decoder.decode_at(text, start)
    at = behind(BLANKS, text, end)
    if not text.startswith((",", "]"), at):
        raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
    return value, end, at


def _broken(name: str, number: int, line: int, what: str) -> PoolError:
    return PoolError(
        f"{name} breaks off as JSON behind {number:,} whole records, in the one at line {line}: {what}. "
        "Repair it there, or write it again."
    )
