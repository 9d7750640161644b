"""What was wrong with the data: rows put aside, duplicates, questions of benchmarks among them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .runs import RunData
from .text import plain

N_EXAMPLES = 8
N_KINDS = 12
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
    found = [_quarantine(folder / "quarantine.jsonl"), _duplicates(folder / "duplicates.jsonl")]
    if (folder / "contamination.jsonl").exists():
        found.append(_contamination(folder / "contamination.jsonl"))
    else:
        found.append(
            Problem(
                "Contamination",
                "Not looked for: `diverseevol run … pool.decontaminate=[NAME=FILE]` compares the pool with benchmarks.",
            )
        )
    return found


def _quarantine(file: Path) -> Problem:
    kinds: Counter[str] = Counter()
    example: dict[str, dict[str, Any]] = {}
    for line in _lines(file):
        kind = CHANGING.sub("…", str(line.get("reason", "?")))
        kinds[kind] += 1
        example.setdefault(kind, line)
    if not kinds:
        return Problem("Quarantine", "Every row could be read and used.")
    rows = tuple(
        (
            f"{n:,}",
            plain(str(example[kind].get("reason")), 300),
            f"row {example[kind].get('row')}",
            plain(_head(example[kind]), 200),
        )
        for kind, n in kinds.most_common(N_KINDS)
    )
    total = kinds.total()
    return Problem(
        "Quarantine",
        f"{total:,} {_rows(total)} put aside and never chosen.",
        ("rows", "reason, of the first", "where", "begins"),
        rows,
    )


def _duplicates(file: Path) -> Problem:
    n_of: Counter[tuple[str, bool]] = Counter()
    examples: list[tuple[str, ...]] = []
    for line in _lines(file):
        n_of[str(line.get("kind")), bool(line.get("is_dropped"))] += 1
        if len(examples) < N_EXAMPLES:
            examples.append(tuple(plain(str(line.get(key)), 80) for key in ("id", "kept_id", "kind", "similarity")))
    if not n_of:
        return Problem("Duplicates", "None found.")
    texts = [
        f"{n:,} {kind} {'left out' if is_dropped else 'found and kept (pool.dedup drops them)'}"
        for (kind, is_dropped), n in n_of.items()
    ]
    return Problem("Duplicates", f"{'; '.join(texts)}.", ("id", "same as", "kind", "similarity"), tuple(examples))


def _contamination(file: Path) -> Problem:
    lines = list(_lines(file))
    if not lines:
        return Problem("Contamination", "No row holds a question of the benchmarks that were given.")
    n = len({line.get("id") for line in lines})
    rows = tuple(
        (
            plain(str(line.get("id")), 80),
            plain(f"{line.get('benchmark')}, question {line.get('question_id')}", 120),
            plain(str(line.get("matched")), 200),
        )
        for line in lines[:N_EXAMPLES]
    )
    return Problem(
        "Contamination", f"{n:,} {_rows(n)} left out: they hold questions of benchmarks.", ("id", "question", "matched"), rows
    )


def _rows(n: int) -> str:
    return "row was" if n == 1 else "rows were"


def _head(line: dict[str, Any]) -> str:
    """The first characters of a bad row, whatever the line calls them."""
    known = {"source", "row", "line", "reason"}
    return next((str(value) for key, value in line.items() if key not in known and value), "")


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if file.exists():
        with file.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines)
