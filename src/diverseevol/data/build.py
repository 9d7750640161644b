"""From sources to the pool's folder: read, check, give ids, draw, write. A killed run leaves nothing half-written.

Two passes: the first streams every source into a temporary Arrow file and keeps the hashes, since the counters of equal
records and the draws need all ids; the second copies the rows that stay, with their ids. What the sources were is written
beside the records, so that a second call with the same data and configuration finds them ready.
Memory: some 60 bytes a row, and one batch of records. Shape letters: R records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..base.files import remove, replacing
from ..base.progress import Watch
from ..config import PoolConfig
from ..errors import PoolError
from .checks import check_share
from .first_pass import SCHEMA, FirstPass, bad_line
from .formats import Reader
from .ids import counters, draw, id_texts, priorities
from .row import Row
from .sources import fingerprint
from .store import INDEX, META, QUARANTINE, RECORDS, Pool, Records, open_table
from .unread import notes

NAMES = pa.dictionary(pa.int32(), pa.string())
RECORDS_COLUMNS = [
    ("record", pa.large_string()),
    ("id", pa.string()),
    ("source", NAMES),
    ("source_row", pa.int64()),
    ("format", NAMES),
    ("dialogue", pa.uint64()),
]
INDEX_SCHEMA = pa.schema(
    [("position", pa.int64()), ("id", pa.string()), ("n_tokens", pa.int32()), ("n_trained", pa.int32())]
)
INDEX_ROWS = 1 << 20
VERSION = 3
"""Of the records' file; another one is read anew."""
TOO_LONG = "no token left to train on at max_length"
NO_TOKEN = "it has no token"
MAX_TOO_LONG = 0.5
"""Rows that are too long are nobody's mistake and no sign of a misread file, until they are most of them."""


def read_pool(config: PoolConfig, pool_dir: Path, seed: int, watch: Watch, is_kept: bool = True) -> Records:
    """Read all sources into `pool_dir`, unless an earlier call did so with the same data and configuration.

    Args:
        config: The sources, and the largest share of bad rows.
        pool_dir: Receives records.arrow and quarantine.jsonl.
        seed: Decides, with each row's id, which rows stay where max_rows or weights are set.
        watch: Sees the progress.
        is_kept: Whether `pool_dir` stays, so that an error may name a file in it.

    Raises:
        ConfigError: format, columns or tags cannot be used.
        PoolError: a source is not there or cannot be read, no row of it has a known format, more rows are bad than `max_bad`
            allows, or none is left.
    """
    sources = config.all_sources()
    readers = [Reader.of(source) for source in sources]
    made_of = f"{VERSION} {fingerprint(config)} {config.max_rows} {config.max_bad} {seed}"
    if (pool_dir / RECORDS).exists() and _meta(open_table(pool_dir / RECORDS)).get("made_of") == made_of:
        return Records.open(pool_dir)
    remove(pool_dir / INDEX)
    pool_dir.mkdir(parents=True, exist_ok=True)
    first_file = pool_dir / f"{RECORDS}.first"
    try:
        with (
            replacing(pool_dir / QUARANTINE) as quarantine,
            quarantine.open("w", encoding="utf-8") as bad_rows,
            pa.OSFile(str(first_file), "wb") as out,
            pa.ipc.new_file(out, SCHEMA) as writer,
        ):
            first = FirstPass(writer, bad_rows)
            for group, (source, reader) in enumerate(zip(sources, readers, strict=True)):
                first.read(source, reader, group, watch)
        if not first.n_read:
            raise PoolError(
                f"the pool is empty: no row in {', '.join(source.path for source in sources)}. Correct pool.path."
            )
        limit = config.max_bad if first.n_bad < first.n_read else -1
        bad_file = pool_dir / QUARANTINE if is_kept else None
        check_share(first.n_bad, first.n_read, first.n_bad / first.n_read, limit, first.first_bad, bad_file)
        _second_pass(first_file, pool_dir / RECORDS, first, config, seed, made_of)
    finally:
        remove(first_file)
    return Records.open(pool_dir)


def finish_pool(
    pool_dir: Path,
    n_tokens: NDArray[np.int32],
    n_trained: NDArray[np.int32],
    max_bad: float = 1.0,
    refused: Mapping[int, str] | None = None,
    is_dropped: NDArray[np.bool_] | None = None,
) -> Pool:
    """Leave out the records without a trained token, and write the index of the pool's rows.

    Args:
        pool_dir: Where `read_pool` wrote.
        n_tokens: Tokens of each record; int32[R].
        n_trained: Trained tokens of each record; int32[R].
        max_bad: The largest share of bad rows: those of `read_pool`, and those without any token, which the template refuses.
        refused: Why the template refuses a record, by its position.
        is_dropped: Records that are left out as duplicates or as contaminated, and named elsewhere (overlap/); bool[R].

    Raises:
        PoolError: more rows are bad than that, or most records are too long.
        PoolError: the numbers are not this pool's, or no record is left.
    """
    records = Records.open(pool_dir)
    if not len(records) == len(n_tokens) == len(n_trained):
        raise PoolError(
            f"{pool_dir} has {len(records)} records, but {len(n_tokens)} were tokenised. Delete {pool_dir} and run again."
        )
    reasons = refused or {}
    empty = [
        _left_out(records, at, reasons.get(at, NO_TOKEN)) for at in np.flatnonzero(n_tokens == 0).tolist()
    ]
    too_long = [
        _left_out(records, at, TOO_LONG) for at in np.flatnonzero((n_trained == 0) & (n_tokens != 0)).tolist()
    ]
    _add_to_quarantine(pool_dir / QUARANTINE, records.n_bad, [*empty, *too_long])
    # Where rows were drawn, the tokenised ones stand for all.
    share_read = records.n_bad / records.n_read
    share = share_read + (1 - share_read) * len(empty) / len(records)
    first = [f"{row.place()}: {row.problem}" for row in empty]
    if empty:
        limit = max_bad if len(empty) < len(records) else -1
        check_share(len(empty) + records.n_bad, records.n_read, share, limit, first, pool_dir / QUARANTINE)
    if len(too_long) > MAX_TOO_LONG * len(records):
        raise PoolError(
            f"{len(too_long):,} of {len(records):,} rows have no token left to train on: their prompts fill prompt.max_length. "
            f"Raise prompt.max_length; the first is {too_long[0].place()}."
        )
    positions = np.flatnonzero((n_trained != 0) & (True if is_dropped is None else ~is_dropped))
    if is_dropped is not None and not len(positions):
        raise PoolError(
            f"no row is left: {is_dropped.sum():,} of {len(records):,} hold questions of benchmarks. Correct pool.decontaminate."
        )
    with (
        replacing(pool_dir / INDEX) as file,
        pa.OSFile(str(file), "wb") as out,
        pa.ipc.new_file(out, INDEX_SCHEMA) as writer,
    ):
        # In parts: a column of names may not hold more than 2 GB in one piece.
        for start in range(0, len(positions), INDEX_ROWS):
            part = positions[start : start + INDEX_ROWS]
            ids = records.table["id"].take(pa.array(part)).combine_chunks()
            arrays = [
                pa.array(part),
                ids,
                pa.array(n_tokens[part], pa.int32()),
                pa.array(n_trained[part], pa.int32()),
            ]
            writer.write_batch(pa.record_batch(arrays, schema=INDEX_SCHEMA))
    return Pool.open(pool_dir)


def _second_pass(
    first_file: Path, file: Path, first: FirstPass, config: PoolConfig, seed: int, made_of: str
) -> None:
    """Copy the rows that stay, with their ids."""
    sources = config.all_sources()
    hashes, first_dialogues = np.concatenate(first.hashes), np.concatenate(first.dialogues)
    counts = counters(hashes)
    caps, weights = [source.max_rows for source in sources], [source.weight for source in sources]
    is_kept = draw(
        np.concatenate(first.groups), priorities(hashes, counts, seed), caps, weights, config.max_rows
    )
    meta = {
        "made_of": made_of,
        "n_read": first.n_read,
        "n_bad": first.n_bad,
        "readers": [source.model_dump(include={"format", "columns", "tags"}) for source in sources],
        "sources": first.group_of,
        "notes": notes(first.unread, first.undeclared),
    }
    schema = pa.schema(RECORDS_COLUMNS, metadata={META: json.dumps(meta).encode()})
    source_names, format_names = (
        pa.array(list(first.sources), pa.string()),
        pa.array(list(first.formats), pa.string()),
    )
    with (
        pa.OSFile(str(first_file), "rb") as copied,
        replacing(file) as partial,
        pa.OSFile(str(partial), "wb") as out,
        pa.ipc.new_file(out, schema) as writer,
    ):
        reader, start = pa.ipc.open_file(copied), 0
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            rows = slice(start, start + batch.num_rows)
            start += batch.num_rows
            batch, ids = (
                batch.filter(pa.array(is_kept[rows])),
                id_texts(hashes[rows][is_kept[rows]], counts[rows][is_kept[rows]]),
            )
            names = pa.DictionaryArray.from_arrays(batch["source"], source_names)
            formats = pa.DictionaryArray.from_arrays(batch["format"], format_names)
            dialogues = pa.array(first_dialogues[rows][is_kept[rows]])
            columns = [
                batch["record"],
                pa.array(ids, pa.string()),
                names,
                batch["source_row"],
                formats,
                dialogues,
            ]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _left_out(records: Records, position: int, why: str) -> Row:
    table = records.table
    source, number = table["source"][position].as_py(), table["source_row"][position].as_py()
    return Row(records.record_text(position), None, source, number, problem=why)


def _add_to_quarantine(file: Path, n_before: int, rows: Sequence[Row]) -> None:
    """Write rows behind those of the first pass, in place of what an earlier call may have added."""
    with file.open(encoding="utf-8") as old:
        lines = [line for _, line in zip(range(n_before), old, strict=False)]
    with replacing(file) as partial, partial.open("w", encoding="utf-8") as out:
        out.writelines(lines)
        out.writelines(bad_line(row) for row in rows)


def _meta(table: pa.Table) -> dict[str, object]:
    return dict(json.loads((table.schema.metadata or {}).get(META, b"{}")))
