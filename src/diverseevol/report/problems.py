"""What was wrong with the data: rows put aside, duplicates, questions of benchmarks among them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..pool.shapes import BadLine, ContaminationLine, DuplicateLine, left_out_lines
from .runs import RunData
from .text import plain

N_EXAMPLES = 8
N_KINDS = 12
LONGEST = 200
CHANGING = re.compile(r"\d[\d,]*|'[^']*'|\"[^\"]*\"")
"""What differs between two reasons of one kind: numbers and quoted values."""


@dataclass(frozen=True)
class Problem:
    """One kind of problem.

    Attributes:
        title: What it is.
        says: How many, in a sentence.
        headings, rows: A table: kinds with their counts, or examples.
    """

    title: str
    says: str
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def problems_of(run: RunData) -> list[Problem]:
    """Everything that the run's pool folder says was wrong, also that nothing was."""
    folder = run.folder.pool_dir
    return [
        _quarantine(folder / "quarantine.jsonl"),
        _duplicates(folder / "duplicates.jsonl"),
        _contamination(folder / "contamination.jsonl"),
    ]


def _quarantine(file: Path) -> Problem:
    kinds: Counter[str] = Counter()
    first: dict[str, dict[str, Any]] = {}
    for line in left_out_lines(file, BadLine):
        kind = CHANGING.sub("…", line["reason"])
        kinds[kind] += 1
        first.setdefault(kind, line)
    if not kinds:
        return Problem("Quarantine", "Every row could be read and used.")
    columns = {"rows": "{n:,}", "reason, of the first": "{reason}", "where": "row {row}", "begins": "{text}"}
    examples = [first[kind] | {"n": n} for kind, n in kinds.most_common(N_KINDS)]
    return _problem("Quarantine", f"{_rows(kinds.total())} put aside and never chosen.", columns, examples)


def _duplicates(file: Path) -> Problem:
    n_of: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []
    for line in left_out_lines(file, DuplicateLine):
        what = "left out" if line["is_dropped"] else "found and kept (pool.dedup drops them)"
        n_of[f"{line['kind']} {what}"] += 1
        if len(examples) < N_EXAMPLES:
            examples.append(line)
    if not n_of:
        return Problem("Duplicates", "None found.")
    columns = {"id": "{id}", "same as": "{kept_id}", "kind": "{kind}", "similarity": "{similarity}"}
    return _problem("Duplicates", "; ".join(f"{n:,} {what}" for what, n in n_of.items()) + ".", columns, examples)


def _contamination(file: Path) -> Problem:
    if not file.exists():
        remedy = "`diverseevol run … pool.decontaminate=[NAME=FILE]` compares the pool with benchmarks."
        return Problem("Contamination", f"Not looked for: {remedy}")
    lines = list(left_out_lines(file, ContaminationLine))
    if not lines:
        return Problem("Contamination", "No row holds a question of the benchmarks that were given.")
    columns = {"id": "{id}", "question": "{benchmark}, question {question_id}", "matched": "{matched}"}
    says = f"{_rows(len({line['id'] for line in lines}))} left out: they hold questions of benchmarks."
    return _problem("Contamination", says, columns, lines[:N_EXAMPLES])


def _problem(title: str, says: str, columns: Mapping[str, str], lines: Sequence[Mapping[str, Any]]) -> Problem:
    """A sentence and a table of some lines; a column is its heading and what is shown of a line."""
    rows = tuple(tuple(plain(shown.format_map(line), LONGEST) for shown in columns.values()) for line in lines)
    return Problem(title, says, tuple(columns), rows)


def _rows(n: int) -> str:
    return f"{n:,} row was" if n == 1 else f"{n:,} rows were"
