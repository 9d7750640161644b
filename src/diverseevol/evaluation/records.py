"""The records of a file of questions or answers: JSONL or a JSON array, packed or not. Nothing is mended or left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DiverseEvolError
from ..pool.files_in import open_text
from ..pool.row import RecordDecoder


def records_in(file: Path, error: type[DiverseEvolError]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each record stands, for people, and the record: a line each, or the items of one array.

    Raises:
        DiverseEvolError: an `error`: a record is not JSON, no object, or holds text that could be neither stored nor sent.
        PoolError: the file cannot be read or unpacked.
    """
    with open_text(file) as opened:
        text = opened.read()
    if text.lstrip().startswith("["):
        found = [(f"{file} item {number}", item) for number, item in enumerate(_decoded(text, str(file), error), 1)]
    else:
        lines = [(f"{file} line {number}", line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        found = [(place, _decoded(line, place, error)) for place, line in lines]
    for place, record in found:
        if not isinstance(record, dict):
            raise error(f"{place} is no object. Give a file of records, an object each.")
        yield place, record


def _decoded(text: str, place: str, error: type[DiverseEvolError]) -> Any:  # noqa: ANN401 - any JSON value
    decoder = RecordDecoder()
    try:
        value = decoder.decode(text.strip())
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as broken:
        raise error(f"{place} is not JSON: {broken.msg} at column {broken.colno}. Repair the file.") from None
    except UnicodeEncodeError:
        raise error(f"{place} holds broken text (half a surrogate pair, or bytes that are not UTF-8). Repair it.") from None
    except RecursionError:
        raise error(f"{place} is nested too deeply. Repair the file.") from None
    if decoder.problem:
        raise error(f"{place}: {decoder.problem}. Repair the file.")
    return value
