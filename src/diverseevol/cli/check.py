"""`check`: what a pool holds twice or shares with benchmarks, as a report; nothing is removed."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as o

if TYPE_CHECKING:
    from ..data import Records
    from ..data.contamination import Benchmark, Match
    from ..data.duplicates import Duplicate

N_SHOWN = 5
JsonOption = Annotated[bool, typer.Option("--json", help="For scripts.")]


def check(
    words: o.Words = None,
    pool: o.PoolOption = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            "--benchmark", help="A known NAME, NAME=FILE or NAME=FILE:FIELD with questions; may be repeated."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for duplicates.jsonl and contamination.jsonl.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find bad rows, duplicates, near-duplicates and benchmark questions in a pool; nothing is removed."""
    given = {
        "pool": pool,
        "pool.decontaminate": benchmark,
        "model": "-",
        "out": "-",
    }
    config = o.config_from(words, None, given, defaults={"pool": {"max_bad": 1.0}}).pool
    import numpy as np

    from ..base.files import read_jsonl
    from ..data import read_pool
    from ..data.contamination import find_contamination, read_benchmarks
    from ..data.duplicates import find_duplicates
    from ..data.left_out import QUARANTINE, save_contamination, save_duplicates
    from .watch import open_watch

    watch = open_watch()
    benchmarks = read_benchmarks(config.decontaminate)
    with tempfile.TemporaryDirectory(prefix="diverseevol-") as folder:
        records = read_pool(config, Path(folder), 0, watch, is_kept=False)
        everything = np.ones(len(records), dtype=bool)
        found = find_duplicates(records, everything, config.dedup_similarity, watch)
        matches = find_contamination(records, everything, benchmarks, watch) if benchmarks else []
        if out is not None:
            save_duplicates(records, found, out / "duplicates.jsonl", is_dropped=False)
            save_contamination(records, matches, out / "contamination.jsonl", is_dropped=False)
        reasons = Counter(line["reason"] for line in read_jsonl(Path(folder) / QUARANTINE))
        counts = {**_counts(records, found, matches, benchmarks), "bad": dict(reasons.most_common())}
        if as_json:
            typer.echo(json.dumps(counts, ensure_ascii=False))
            return
        typer.echo(_text(counts, config.dedup_similarity))
        for line in [*_examples(records, found), *_matched(records, matches)]:
            typer.echo(f"  {line}")
    typer.echo(
        f"All of them: {out}/duplicates.jsonl, contamination.jsonl"
        if out
        else "--out DIR writes all of them, with ids and rows."
    )
    typer.echo("In a run, pool.dedup=near (or exact) and pool.decontaminate=[NAME=FILE] leave them out.")


def _counts(
    records: Records, found: list[Duplicate], matches: list[Match], benchmarks: list[Benchmark]
) -> dict[str, Any]:
    by_name: dict[str, Any] = {}
    for one in benchmarks:
        own = [match for match in matches if match.question.benchmark == one.name]
        by_name[one.name] = {
            "n_questions": len(one.questions),
            "n_questions_found": len({match.question for match in own}),
            "n_rows": len({match.position for match in own}),
        }
    n_exact = sum(one.kind == "exact" for one in found)
    return {"n_rows": len(records), "n_exact": n_exact, "n_near": len(found) - n_exact, "benchmarks": by_name}


def _text(counts: dict[str, Any], similarity: float) -> str:
    lines = [
        f"{counts['n_rows']:,} rows; besides {sum(counts['bad'].values()):,} bad ones, which a run puts "
        "aside",
        *(f"  {n:,}: {reason}" for reason, n in list(counts["bad"].items())[:N_SHOWN]),
        f"exact duplicates: {counts['n_exact']:,} found, none removed",
        f"near-duplicates (similarity ≥ {similarity:g}): {counts['n_near']:,} found, none removed",
    ]
    for name, one in counts["benchmarks"].items():
        of = f"{one['n_questions_found']} of {one['n_questions']} questions"
        lines.append(f"benchmark {name}: {of} found in {one['n_rows']:,} rows, none removed")
    return "\n".join(lines)


def _examples(records: Records, found: list[Duplicate]) -> list[str]:
    near = sorted((one for one in found if one.kind == "near"), key=lambda one: one.similarity)
    return [
        f"{one.similarity:.3f} {records.id(one.position)} like {records.id(one.kept)}"
        for one in near[:N_SHOWN]
    ]


def _matched(records: Records, matches: list[Match]) -> list[str]:
    return [
        f"{match.score:.0%} {match.kind} {records.id(match.position)}: question {match.question.id} of "
        f"{match.question.benchmark}"
        for match in matches[:N_SHOWN]
    ]
