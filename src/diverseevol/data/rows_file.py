"""A user's list of rows: row numbers or ids, picks of a run (chosen.jsonl), or records (subset.jsonl)."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PoolError
from .ids import OWN_ID, content_hash
from .json_files import first_character, json_rows, open_text
from .layouts import recognise
from .pool import Pool
from .sample import RowError

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
    places: list[str] = []
    names: list[int | str | None] = []
    if first_character(file) not in ("{", "["):
        with open_text(file) as text:
            lines = [(f"{file} line {n}", line.strip()) for n, line in enumerate(text, 1) if line.strip()]
        places, names = [place for place, _ in lines], [_named(line, place) for place, line in lines]
    else:
        n_copies: Counter[str] = Counter()
        for row in json_rows(file, str(file), split=None):
            if row.problem:
                raise PoolError(f"{row.place()}: {row.problem}. Repair the list.")
            name = _named(row.record, row.place())
            if name is None:
                try:
                    content = f"{content_hash(row.record):016x}"
                except (RowError, RecursionError):
                    why = "the record cannot be a row of the pool, for it is no valid JSON"
                    raise PoolError(f"{row.place()}: {why}. Repair the list.") from None
                name = f"{content}-{n_copies[content]}" if n_copies[content] else content
                n_copies[content] += 1
            places.append(row.place())
            names.append(name)
    if not names:
        raise PoolError(f"{file} lists no rows. Give row numbers, ids or records, one a line.")
    for name in names:
        if isinstance(name, int) and not 0 <= name < len(pool):
            raise PoolError(f"{file} lists row {name}; the pool has rows 0 to {len(pool) - 1}.")
    rows = np.array([name if isinstance(name, int) else -1 for name in names], dtype=np.int64)
    by_id = [(name, place) for name, place in zip(names, places, strict=True) if isinstance(name, str)]
    rows[rows < 0] = pool.rows_of([name for name, _ in by_id], [place for _, place in by_id])
    return rows


def _named(value: Any, place: str) -> int | str | None:  # noqa: ANN401 - any JSON value
    """The row or the id that an item says; None where it is a record of the pool itself."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value.isdecimal() and len(value) < 16:
            return int(value)
        if ID.fullmatch(value):
            return value
        found = f"{place}: {value[:60]!r} is neither a row number nor an id"
        raise PoolError(f"{found} (16 hexadecimal characters, perhaps -1 behind).")
    if not isinstance(value, dict):
        raise PoolError(f"{place}: neither a row number, an id nor an object.")
    is_record = recognise(tuple(value)) is not None
    for key in (OWN_ID,) if is_record else (OWN_ID, "id"):
        if isinstance(value.get(key), str) and ID.fullmatch(value[key]):
            return str(value[key])
    return int(value["row"]) if not is_record and isinstance(value.get("row"), int) else None
