"""The records of a file of questions or answers: JSONL or a JSON array, packed or not. Nothing is mended or left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DiverseEvolError
from .json_files import json_rows


def records_in(file: Path, error: type[DiverseEvolError]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each record stands, for people, and the record: a line each, or the items of one array.

    Raises:
        DiverseEvolError: an `error`: a record is not JSON, no object, or holds text that could be neither stored nor sent.
        PoolError: the file cannot be read or unpacked, or its array breaks off.
    """
    for row in json_rows(file, str(file), split=None):
        place = row.place()
        if row.problem:
            raise error(f"{place}: {row.problem}. Repair the file.")
        if not isinstance(row.record, dict):
            raise error(f"{place} is no object. Give a file of records, an object each.")
        try:
            json.dumps(row.record, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise error(f"{place} holds broken text (half a surrogate pair). Repair it.") from None
        yield place, row.record
