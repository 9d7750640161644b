"""The files that name what is left out of a pool.

quarantine.jsonl     a line a bad row: source, row, line, reason, text
duplicates.jsonl     a line a record that repeats an earlier one, dropped or only found: id, kept_id, kind,
                     similarity, is_dropped, sources, rows
contamination.jsonl  a line a record and question: id, benchmark, question_id, kind, score, matched, role,
                     is_dropped, source, row
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..base.files import damaged, read_jsonl, write_jsonl
from .contamination import Match
from .duplicates import Duplicate
from .pool import Pool, Records, Status
from .sample import Row, short

QUARANTINE, DUPLICATES, CONTAMINATION = "quarantine.jsonl", "duplicates.jsonl", "contamination.jsonl"


NEEDED = {
    QUARANTINE: {"source", "row", "reason", "text"},
    DUPLICATES: {"id", "kept_id", "kind", "similarity", "is_dropped"},
    CONTAMINATION: {"id", "benchmark", "question_id", "kind", "score", "matched", "role"},
}


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
    write_jsonl(file, lines)


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
    write_jsonl(file, lines)


def bad_line(row: Row) -> str:
    """A bad row as a line of the quarantine."""
    said = {"source": row.source, "row": row.number, "line": row.line, "reason": short(row.problem)}
    return json.dumps({**said, "text": short(row.text)}, ensure_ascii=False) + "\n"


def left_out_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of one of the files; none where nothing was left out and it is not there."""
    remedy = f"Delete {file.parent} and run again."
    for number, line in enumerate(read_jsonl(file, remedy=remedy) if file.exists() else (), 1):
        if missing := NEEDED[file.name] - line.keys():
            raise damaged(f"{file} line {number}", f"it has no {min(missing)}", remedy)
        yield line


def why_left_out(pool_dir: Path, pool: Pool, position: int) -> str:
    """Why a record is not in the pool, in a sentence."""
    status, place = pool.status[position], pool.records.place(position)
    file = {Status.CONTAMINATED: CONTAMINATION, Status.DUPLICATE: DUPLICATES}.get(status, QUARANTINE)
    for line in left_out_lines(pool_dir / file):
        if file == QUARANTINE:
            if (line["source"], line["row"]) == (place["source"], place["source_row"]):
                return f"left out before the run: {line['reason']}"
        elif line["id"] != pool.records.id(position):
            continue
        elif file == CONTAMINATION:
            similar = f"is like (similarity {line['score']:.3f})"
            how = f"holds {line['score']:.0%} of" if line["kind"] == "words" else similar
            where = f"question {line['question_id']} of {line['benchmark']}: {line['matched']!r}"
            return f"left out by pool.decontaminate: the {line['role']}'s turn {how} {where}"
        else:
            near = f"a near-duplicate (similarity {line['similarity']:.3f})"
            how = "an exact duplicate" if line["kind"] == "exact" else near
            return f"left out by pool.dedup: {how} of {line['kept_id']}"
    return f"left out before the run; {pool_dir / QUARANTINE} says why"
