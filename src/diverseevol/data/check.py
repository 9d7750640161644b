"""What a pool holds twice or shares with benchmarks, as a report; nothing is removed."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base.files import read_jsonl
from ..base.progress import SILENT, Watch
from ..config import PoolConfig
from .build import read_pool
from .contamination import find_contamination, read_benchmarks
from .duplicates import find_duplicates
from .left_out import QUARANTINE, save_contamination, save_duplicates

N_SHOWN = 5


@dataclass(frozen=True)
class PoolCheck:
    """Rows by what is wrong with them.

    Attributes:
        n_rows: Good rows, among which the others were looked for; `bad`: how many others, by their reason.
        n_exact: Duplicates; `n_near`: near ones.
        benchmarks: By name `n_questions`, `n_questions_found` and `n_rows` that hold them.
        examples: The least alike near-duplicates and the first matches, in words.
    """

    n_rows: int
    n_exact: int
    n_near: int
    benchmarks: dict[str, dict[str, int]]
    bad: dict[str, int]
    examples: tuple[str, ...]


def check(config: PoolConfig, out: Path | None = None, watch: Watch = SILENT) -> PoolCheck:
    """Find bad rows, duplicates, near-duplicates and benchmark questions in a pool.

    Args:
        config: The pool; `decontaminate` names the benchmarks.
        out: Where duplicates.jsonl and contamination.jsonl go, with ids and rows.
        watch: Sees the progress.

    Raises:
        PoolError: the pool or a benchmark cannot be read.
    """
    benchmarks = read_benchmarks(config.decontaminate)
    with tempfile.TemporaryDirectory(prefix="diverseevol-") as folder:
        records = read_pool(config, Path(folder), 0, watch, is_kept=False)
        everything = np.ones(len(records), dtype=bool)
        found = find_duplicates(records, everything, config.dedup_similarity, watch)
        matches = find_contamination(records, everything, benchmarks, watch) if benchmarks else []
        if out is not None:
            save_duplicates(records, found, out / "duplicates.jsonl", is_dropped=False)
            save_contamination(records, matches, out / "contamination.jsonl", is_dropped=False)
        bad = Counter(line["reason"] for line in read_jsonl(Path(folder) / QUARANTINE))
        near = sorted((one for one in found if one.kind == "near"), key=lambda one: one.similarity)
        examples = []
        for one in near[:N_SHOWN]:
            examples.append(f"{one.similarity:.3f} {records.id(one.position)} like {records.id(one.kept)}")
        for match in matches[:N_SHOWN]:
            question = f"question {match.question.id} of {match.question.benchmark}"
            examples.append(f"{match.score:.0%} {match.kind} {records.id(match.position)}: {question}")
    by_name = {}
    for benchmark in benchmarks:
        own = [match for match in matches if match.question.benchmark == benchmark.name]
        by_name[benchmark.name] = {
            "n_questions": len(benchmark.questions),
            "n_questions_found": len({match.question for match in own}),
            "n_rows": len({match.position for match in own}),
        }
    n_exact, reasons = len(found) - len(near), dict(bad.most_common())
    return PoolCheck(len(records), n_exact, len(near), by_name, reasons, tuple(examples))
