"""A user's list of rows: row numbers or ids, picks of a run (chosen.jsonl), or records (subset.jsonl)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PoolError
from .ids import OWN_ID, content_hash
from .json_files import first_character, json_rows, open_text
from .layouts import recognise
from .pool import Pool
from .sample import Row, RowError

ID = re.compile(r"[0-9a-f]{16}(-[0-9]+)?")


def read_rows_file(file: Path, pool: Pool) -> NDArray[np.int64]:
    """The pool rows that a file lists, in the file's order; a row listed twice appears twice.

    Lines are row numbers (fewer than 16 digits) or ids. JSON, as lines or as an array, holds those, or
    objects: with "_id" or "id" one of ours, else with "row", else a record of the pool, found by its content;
    the k-th of several equal records is the pool's k-th copy.

    Raises:
        PoolError: the file is not there, not readable as one of these, or lists what is not in the pool.
    """
    if not file.is_file():
        raise PoolError(f"no list of rows at {str(file)!r}. Correct the path.")
    named = list(_names(file))
    if not named:
        raise PoolError(f"{file} lists no rows. Give row numbers, ids or records, one a line.")
    for name, _ in named:
        if isinstance(name, int) and not 0 <= name < len(pool):
            raise PoolError(f"{file} lists row {name}; the pool has rows 0 to {len(pool) - 1}.")
    rows = np.array([name if isinstance(name, int) else -1 for name, _ in named], dtype=np.int64)
    by_id = [(name, place) for name, place in named if isinstance(name, str)]
    rows[rows < 0] = pool.rows_of([name for name, _ in by_id], [place for _, place in by_id])
    return rows


def _names(file: Path) -> Iterator[tuple[int | str, str]]:
    """What the file lists, rows as numbers and ids as text, and where each stands."""
    if first_character(file) not in ("{", "["):
        with open_text(file) as text:
            for line, content in enumerate(text, 1):
                if content.strip():
                    place = f"{file} line {line}"
                    yield _name(content.strip(), place), place
        return
    n_copies: Counter[str] = Counter()
    for row in json_rows(file, str(file), split=None):
        name = _name_in(row)
        if name is None:
            content = _content(row)
            name = f"{content}-{n_copies[content]}" if n_copies[content] else content
            n_copies[content] += 1
        yield name, row.place()


def _name(text: str, place: str) -> int | str:
    if text.isdecimal() and len(text) < 16:
        return int(text)
    if ID.fullmatch(text):
        return text
    found = f"{place}: {text[:60]!r} is neither a row number nor an id"
    raise PoolError(f"{found} (16 hexadecimal characters, perhaps -1 behind).")


def _name_in(row: Row) -> int | str | None:
    """The row or the id that an item says; None where it is a record of the pool itself."""
    value = row.record
    if row.problem:
        raise PoolError(f"{row.place()}: {row.problem}. Repair the list.")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _name(value, row.place())
    if not isinstance(value, dict):
        raise PoolError(f"{row.place()}: neither a row number, an id nor an object.")
    is_record = recognise(tuple(value)) is not None
    for key in (OWN_ID,) if is_record else (OWN_ID, "id"):
        if _is_id(value.get(key)):
            return str(value[key])
    return int(value["row"]) if not is_record and isinstance(value.get("row"), int) else None


def _is_id(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, str) and ID.fullmatch(value) is not None


def _content(row: Row) -> str:
    try:
        return f"{content_hash(row.record):016x}"
    except (RowError, RecursionError):
        why = "the record cannot be a row of the pool, for it is no valid JSON"
        raise PoolError(f"{row.place()}: {why}. Repair the list.") from None
