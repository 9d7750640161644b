"""What is left out of a pool, and the files that name it.

quarantine.jsonl     a line a bad row: source, row, line, reason, text
duplicates.jsonl     a line a record that repeats an earlier one, dropped or only found: id, kept_id, kind,
                     similarity, is_dropped, sources, rows
contamination.jsonl  a line a record and question: id, benchmark, question_id, kind, score, matched, role,
                     is_dropped, source, row
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from ..base.files import read_jsonl, remove, replacing
from ..base.progress import Watch
from ..config import PoolConfig
from .contamination import Match, find_contamination, read_benchmarks
from .duplicates import Duplicate, find_duplicates
from .pool import Records, Status
from .row import Row, short

QUARANTINE, DUPLICATES, CONTAMINATION = "quarantine.jsonl", "duplicates.jsonl", "contamination.jsonl"


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


@dataclass(frozen=True)
class Overlap:
    """The duplicates and the questions of benchmarks that were found among the records."""

    duplicates: Sequence[Duplicate]
    matches: Sequence[Match]
    n_benchmarks: int
    dedup: str | bool

    def summary(self) -> list[tuple[str, str]]:
        """What was found and dropped in a few words each, and the name of the file that lists it."""
        texts = []
        if self.n_benchmarks:
            n = len({match.position for match in self.matches})
            texts.append((f"{n:,} left out, which hold questions of benchmarks", CONTAMINATION))
        n_near = sum(one.kind == "near" for one in self.duplicates)
        n_exact = len(self.duplicates) - n_near
        near = f" and {n_near:,} near ones" if self.dedup == "near" else ""
        if self.dedup:
            texts.append((f"{n_exact:,} exact duplicates{near} left out", DUPLICATES))
        elif n_exact:
            found = f"{n_exact:,} of them exact duplicates of others (pool.dedup drops them)"
            texts.append((found, DUPLICATES))
        return texts


def left_out(
    records: Records, is_in: NDArray[np.bool_], config: PoolConfig, pool_dir: Path, watch: Watch
) -> Overlap:
    """Find what `config` asks to leave out of the records that could be chosen, and write the two files.

    Exact duplicates are found and named in any case. A file of what is not asked for is removed.

    Args:
        records: The records.
        is_in: Which of them can be chosen; bool[R].
        config: What to leave out.
        pool_dir: Receives the files.
        watch: Sees the progress.

    Raises:
        PoolError: a benchmark's file is missing or cannot be used.
    """
    benchmarks = read_benchmarks(config.decontaminate)
    matches = find_contamination(records, is_in, benchmarks, watch) if benchmarks else []
    is_clean = is_in.copy()
    is_clean[[match.position for match in matches]] = False
    threshold = config.dedup_similarity if config.dedup == "near" else None
    duplicates = find_duplicates(records, is_clean, threshold, watch)
    remove(pool_dir / CONTAMINATION)
    if benchmarks:
        save_contamination(records, matches, pool_dir / CONTAMINATION, is_dropped=True)
    save_duplicates(records, duplicates, pool_dir / DUPLICATES, is_dropped=bool(config.dedup))
    return Overlap(duplicates, matches, len(benchmarks), config.dedup)


def save_duplicates(records: Records, duplicates: Sequence[Duplicate], file: Path, is_dropped: bool) -> None:
    """Write duplicates.jsonl."""
    lines = (
        {
            "id": records.id(one.position),
            "kept_id": records.id(one.kept),
            "kind": one.kind,
            "similarity": round(one.similarity, 6),
            "is_dropped": is_dropped,
            **records.place(one.position),
            **{f"kept_{key}": value for key, value in records.place(one.kept).items()},
        }
        for one in duplicates
    )
    _write(file, map(_line, lines))


def save_contamination(records: Records, matches: Sequence[Match], file: Path, is_dropped: bool) -> None:
    """Write contamination.jsonl."""
    lines = (
        {
            "id": records.id(match.position),
            "benchmark": match.question.benchmark,
            "question_id": match.question.id,
            "kind": match.kind,
            "score": round(match.score, 6),
            "matched": short(match.matched),
            "role": match.role,
            "is_dropped": is_dropped,
            **records.place(match.position),
        }
        for match in matches
    )
    _write(file, map(_line, lines))


def bad_line(row: Row) -> str:
    """A bad row as a line of the quarantine."""
    place = {"source": row.source, "row": row.number, "line": row.line}
    return _line({**place, "reason": short(row.problem), "text": short(row.text)})


def add_to_quarantine(file: Path, n_before: int, rows: Sequence[Row]) -> None:
    """Write rows behind the first lines, in place of what an earlier call may have added."""
    with file.open(encoding="utf-8") as old:
        lines = [line for _, line in zip(range(n_before), old, strict=False)]
    _write(file, [*lines, *map(bad_line, rows)])


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _write(file: Path, lines: Iterable[str]) -> None:
    with replacing(file) as partial, partial.open("w", encoding="utf-8") as out:
        out.writelines(lines)


def left_out_lines(file: Path, shape: type[_Line]) -> Iterator[dict[str, Any]]:
    """The lines of one of the files; none where nothing was left out and it is not there.

    Raises:
        RunFolderError: a line is damaged.
    """
    if file.exists():
        yield from read_jsonl(file, shape, remedy=f"Delete {file.parent} and run again.")


def why_left_out(pool_dir: Path, records: Records, status: Status, position: int) -> str:
    """Why a record is not in the pool, in a sentence.

    Raises:
        RunFolderError: a line of the file that says it is damaged.
    """
    sample_id, place = records.id(position), records.place(position)
    if status == Status.CONTAMINATED:
        for line in left_out_lines(pool_dir / CONTAMINATION, ContaminationLine):
            if line["id"] == sample_id:
                where = f"question {line['question_id']} of {line['benchmark']}"
                score = line["score"]
                how = (
                    f"holds {score:.0%} of"
                    if line["kind"] == "words"
                    else f"is like (similarity {score:.3f})"
                )
                found = f"the {line['role']}'s turn {how} {where}: {line['matched']!r}"
                return f"left out by pool.decontaminate: {found}"
    if status == Status.DUPLICATE:
        for line in left_out_lines(pool_dir / DUPLICATES, DuplicateLine):
            if line["id"] == sample_id:
                near = f"a near-duplicate (similarity {line['similarity']:.3f})"
                how = "an exact duplicate" if line["kind"] == "exact" else near
                return f"left out by pool.dedup: {how} of {line['kept_id']}"
    for line in left_out_lines(pool_dir / QUARANTINE, BadLine):
        if (line["source"], line["row"]) == (place["source"], place["source_row"]):
            return f"left out before the run: {line['reason']}"
    return f"left out before the run; {pool_dir / QUARANTINE} says why"
