"""What was wrong with the data: rows put aside, duplicates, questions of benchmarks, by their kinds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..data.left_out import BadLine, ContaminationLine, DuplicateLine, left_out_lines
from .runs import RunData

N_KINDS = 12
CHANGING = re.compile(r"\d[\d,]*|'[^']*'|\"[^\"]*\"")
"""What differs between two reasons of one kind: numbers and quoted values."""
LISTS: dict[str, tuple[Any, str, str]] = {
    "quarantine": (BadLine, "{reason}", "row {row}: {text}"),
    "duplicates": (DuplicateLine, "{kind}, {fate}", "{id}, like {kept_id} ({similarity})"),
    "contamination": (
        ContaminationLine,
        "a question of {benchmark}",
        "{id}, like question {question_id}: {matched}",
    ),
}
"""The pool folder's lists: the shape of a line, its kind, and what is shown of the first of a kind."""


@dataclass(frozen=True)
class Problem:
    """One of the lists, and whether anybody looked.

    Attributes:
        n: Its lines.
        rows: The most frequent kinds: how many, the kind, the first of it.
    """

    name: str
    is_known: bool
    n: int
    rows: list[tuple[str, str, str]]


def problems_of(run: RunData) -> list[Problem]:
    """Everything that the run's pool folder says was wrong, also that nothing was."""
    found = []
    for name, (shape, kind, example) in LISTS.items():
        file = run.folder.pool_dir / f"{name}.jsonl"
        first: dict[str, dict[str, Any]] = {}
        for line in left_out_lines(file, shape):
            line["fate"] = "left out" if line.get("is_dropped") else "kept (pool.dedup drops them)"
            text = kind.format_map(line)
            first.setdefault(CHANGING.sub("…", text), line | {"what": text, "n": 0})["n"] += 1
        kinds = sorted(first.values(), key=lambda line: -line["n"])
        rows = [(f"{line['n']:,}", line["what"], example.format_map(line)) for line in kinds[:N_KINDS]]
        found.append(Problem(name, file.exists(), sum(line["n"] for line in kinds), rows))
    return found
