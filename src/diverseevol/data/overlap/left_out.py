"""What a pool's configuration leaves out because it is there twice or lies in a benchmark, and the two files that name it.

    duplicates.jsonl     a line a record that repeats an earlier one, dropped or only found: id, kept_id, kind, similarity, is_dropped, sources, rows
    contamination.jsonl  a line a record and question: id, benchmark, question_id, kind, score, matched, role, is_dropped, source, row

Contaminated records go first, so that none of them is kept in the place of its clean copies.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...base.files import remove, replacing
from ...base.progress import Watch
from ...config import PoolConfig
from ..row import short
from ..shapes import ContaminationLine, DuplicateLine, left_out_lines
from ..store import Records
from .benchmarks import read_benchmarks
from .contamination import Match, find_contamination
from .duplicates import Duplicate, find_duplicates

DUPLICATES, CONTAMINATION = "duplicates.jsonl", "contamination.jsonl"


@dataclass(frozen=True)
class Overlap:
    """What was found among the records; `is_dropped` says which of them leave the pool, bool[R]."""

    is_dropped: NDArray[np.bool_]
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
            texts.append(
                (f"{n_exact:,} of them exact duplicates of others (pool.dedup drops them)", DUPLICATES)
            )
        return texts


def left_out(
    records: Records, is_in: NDArray[np.bool_], config: PoolConfig, pool_dir: Path, watch: Watch
) -> Overlap:
    """Find what `config` asks to leave out of the records that could be chosen, and write the two files.

    Exact duplicates are found and named in any case. Files of what is not asked for are removed.

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
    is_dropped = np.zeros(len(records), dtype=bool)
    is_dropped[[match.position for match in matches]] = True
    threshold = config.dedup_similarity if config.dedup == "near" else None
    duplicates = find_duplicates(records, is_in & ~is_dropped, threshold, watch)
    if config.dedup:
        is_dropped[[duplicate.position for duplicate in duplicates]] = True
    remove(pool_dir / CONTAMINATION)
    if benchmarks:
        save_contamination(records, matches, pool_dir / CONTAMINATION, is_dropped=True)
    save_duplicates(records, duplicates, pool_dir / DUPLICATES, is_dropped=bool(config.dedup))
    return Overlap(is_dropped, duplicates, matches, len(benchmarks), config.dedup)


def save_duplicates(records: Records, duplicates: Sequence[Duplicate], file: Path, is_dropped: bool) -> None:
    """Write duplicates.jsonl."""
    _write(
        file,
        (
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
        ),
    )


def save_contamination(records: Records, matches: Sequence[Match], file: Path, is_dropped: bool) -> None:
    """Write contamination.jsonl."""
    _write(
        file,
        (
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
        ),
    )


def why_dropped(pool_dir: Path, sample_id: str) -> str | None:
    """Why a record was left out as a duplicate or as contaminated, in a sentence; None where it was not."""
    for line in _lines_of(pool_dir / CONTAMINATION, sample_id):
        where = f"question {line['question_id']} of {line['benchmark']}"
        how = (
            f"holds {line['score']:.0%} of"
            if line["kind"] == "words"
            else f"is like (similarity {line['score']:.3f})"
        )
        return f"left out by pool.decontaminate: the {line['role']}'s turn {how} {where}: {line['matched']!r}"
    for line in _lines_of(pool_dir / DUPLICATES, sample_id):
        if line["is_dropped"]:
            how = (
                "an exact duplicate"
                if line["kind"] == "exact"
                else f"a near-duplicate (similarity {line['similarity']:.3f})"
            )
            return f"left out by pool.dedup: {how} of {line['kept_id']}"
    return None


def count_left_out(pool_dir: Path) -> dict[str, int]:
    """Counts of what the two files name: duplicates, those of them that are dropped, and records dropped as contaminated."""
    counts = {"n_duplicates": 0, "n_duplicates_dropped": 0}
    for line in _all_lines(pool_dir / DUPLICATES):
        counts["n_duplicates"] += 1
        counts["n_duplicates_dropped"] += bool(line["is_dropped"])
    return {**counts, "n_contaminated": len({line["id"] for line in _all_lines(pool_dir / CONTAMINATION)})}


def _all_lines(file: Path) -> Iterable[dict[str, Any]]:
    return left_out_lines(file, DuplicateLine if file.name == DUPLICATES else ContaminationLine)


def _lines_of(file: Path, sample_id: str) -> Iterable[dict[str, Any]]:
    return (line for line in _all_lines(file) if line["id"] == sample_id)


def _write(file: Path, lines: Iterable[dict[str, Any]]) -> None:
    with replacing(file) as partial, partial.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
