"""What a line of the pool's lists of left-out rows holds at least, as pydantic checks it when one is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..base.files import read_jsonl


class _Line(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class BadLine(_Line):
    """Of quarantine.jsonl."""

    source: str
    row: int
    reason: str
    text: str


class DuplicateLine(_Line):
    """Of duplicates.jsonl."""

    id: str
    kept_id: str
    kind: str
    similarity: float
    is_dropped: bool


class ContaminationLine(_Line):
    """Of contamination.jsonl."""

    id: str
    benchmark: str
    question_id: Any
    matched: str
    kind: str = ""
    score: float = 0.0
    role: str = ""


def left_out_lines(file: Path, shape: type[_Line]) -> Iterator[dict[str, Any]]:
    """The lines of such a list; none where nothing was left out and the file is not there.

    Raises:
        RunFolderError: a line is damaged.
    """
    if file.exists():
        yield from read_jsonl(file, shape, remedy=f"Delete {file.parent} and run again.")
