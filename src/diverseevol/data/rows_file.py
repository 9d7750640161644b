"""A user's list of rows: row numbers or ids a line, picks of a run (chosen.jsonl), or records themselves (subset.jsonl)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..errors import PoolError
from .files_in import first_character, open_text
from .ids import N_HASH, OWN_ID, content_hash
from .json_files import json_rows
from .layouts import recognise
from .row import Row
from .store import Pool, check_found

ID = re.compile(r"[0-9a-f]{16}(-[0-9]+)?")


def read_rows_file(file: Path, pool: Pool) -> NDArray[np.int64]:
    """The pool rows that a file lists, in the file's order; a row listed twice appears twice.

    Lines are row numbers (fewer than 16 digits) or ids. JSON, as lines or as an array, holds those, or objects: with "_id"
    or "id" one of ours, else with "row", else a record of the pool, found by its content. The k-th of several equal
    records is the pool's k-th copy; more copies than the pool has are its first.

    Raises:
        PoolError: the file is not there, not readable as one of these, or lists what is not in the pool.
    """
    if not file.is_file():
        raise PoolError(f"no list of rows at {str(file)!r}. Correct the path.")
    names = list(_names(file))
    if not names:
        raise PoolError(f"{file} lists no rows. Give row numbers, ids or records, one a line.")
    return _rows_of(names, pool, str(file))


def _names(file: Path) -> Iterator[int | str]:
    """What the file lists: rows as numbers, ids as text, contents as `=` and a hash."""
    if first_character(file) in ("{", "["):
        yield from (_name_in(row) for row in json_rows(file, str(file), split=None))
        return
    with open_text(file) as text:
        for line, content in enumerate(text, 1):
            if content.strip():
                yield _name(content.strip(), f"{file} line {line}")


def _name(text: str, place: str) -> int | str:
    if text.isdecimal() and len(text) < 16:
        return int(text)
    if ID.fullmatch(text):
        return text
    raise PoolError(
        f"{place}: {text[:60]!r} is neither a row number nor an id (16 hexadecimal characters, perhaps -1 behind)."
    )


def _name_in(row: Row) -> int | str:
    value = row.record
    if row.problem:
        raise PoolError(f"{row.place()}: {row.problem}. Repair the list.")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _name(value, row.place())
    if not isinstance(value, dict):
        raise PoolError(f"{row.place()}: neither a row number, an id nor an object.")
    if _is_id(value.get(OWN_ID)):
        return str(value[OWN_ID])
    if recognise(tuple(value)):
        return _content(row)
    if _is_id(value.get("id")):
        return str(value["id"])
    if isinstance(value.get("row"), int):
        return int(value["row"])
    return _content(row)


def _is_id(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, str) and ID.fullmatch(value) is not None


def _content(row: Row) -> str:
    try:
        return f"={content_hash(row.record):016x}"
    except (ValueError, RecursionError):
        raise PoolError(
            f"{row.place()}: the record cannot be a row of the pool, for it is no valid JSON. Repair the list."
        ) from None


def _rows_of(names: list[int | str], pool: Pool, where: str) -> NDArray[np.int64]:
    """The rows of what a list names, in its order."""
    rows = np.empty(len(names), dtype=np.int64)
    ids: dict[int, str] = {}
    hashes: dict[int, str] = {}
    for at, name in enumerate(names):
        if isinstance(name, str):
            (hashes if name.startswith("=") else ids)[at] = name.removeprefix("=")
        elif 0 <= name < len(pool):
            rows[at] = name
        else:
            raise PoolError(f"{where} lists row {name}; the pool has rows 0 to {len(pool) - 1}.")
    if ids:
        rows[list(ids)] = pool.rows_of(ids.values())
    if hashes:
        rows[list(hashes)] = _rows_by_content(list(hashes.values()), pool, where)
    return rows


def _rows_by_content(hashes: list[str], pool: Pool, where: str) -> list[int]:
    own = pc.utf8_slice_codeunits(pool.index["id"], 0, N_HASH)
    is_asked = pc.is_in(own, value_set=pa.array(set(hashes), pa.string())).to_numpy(zero_copy_only=False)
    copies: dict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(is_asked).tolist():
        copies[own[row].as_py()].append(row)
    places = [f"number {at} of {where}" for at in range(len(hashes))]
    check_found(places, np.array([name not in copies for name in hashes]), "record", len(pool))
    n_taken: Counter[str] = Counter()
    rows = []
    for name in hashes:
        rows.append(copies[name][n_taken[name] if n_taken[name] < len(copies[name]) else 0])
        n_taken[name] += 1
    return rows
