"""From sources to the pool's folder: read, check, give ids, draw, write; a kill leaves nothing half-written.

Two passes: the first streams every source into a temporary Arrow file, since the counters of equal records
and the draws need all ids; the second copies the rows that stay, with their ids. What the sources were is
written beside the records, so that a second call with the same data and configuration finds them ready. A
format or a mapping that fits none of a source's first thousand rows is given up there, not at the end of a
long file.
Memory: some 60 bytes a row, and one batch of records. Shape letters: R records.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..base.files import remove, replacing
from ..base.progress import SILENT, Watch
from ..base.text import nearest
from ..config import PoolConfig, SourceConfig
from ..errors import PoolError
from .contamination import find_contamination, read_benchmarks
from .duplicates import find_duplicates
from .formats import Reader, looks_like_other
from .ids import content_hash, counters, dialogue_hash, draw, id_texts, priorities
from .left_out import CONTAMINATION, DUPLICATES, QUARANTINE, bad_line, save_contamination, save_duplicates
from .pool import INDEX, META, RECORDS, Records, Status, numbers, open_table
from .sample import Row, RowError, UnknownRowError
from .sources import fingerprint, read_source
from .unread import notes, undeclared_tools, unread_keys

BATCH_ROWS, BATCH_CHARACTERS = 4096, 1 << 23
N_TRIED = 1000
N_SHOWN = 5
# Of the first pass; sources and formats by their numbers. A source of the configuration is a group, also a
# folder of many files.
READ_COLUMNS = {
    "record": pa.large_string(),
    "source": pa.int32(),
    "source_row": pa.int64(),
    "format": pa.int32(),
    "group": pa.int32(),
    "hash": pa.uint64(),
    "dialogue": pa.uint64(),
}
NAMES = pa.dictionary(pa.int32(), pa.string())
RECORDS_COLUMNS = {
    "record": pa.large_string(),
    "id": pa.string(),
    "source": NAMES,
    "source_row": pa.int64(),
    "format": NAMES,
    "dialogue": pa.uint64(),
}
VERSION = 3
"""Of the records' file; another one is read anew."""
MAX_TOO_LONG = 0.5
"""Rows that are too long are nobody's mistake and no sign of a misread file, until they are most of them."""
KNOWN = (
    "alpaca {instruction, input, output}, dolly {instruction, context, response}, sharegpt {conversations}, "
    "messages {messages}, prompt_completion {prompt, completion} and pairs such as {question, answer}"
)


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
        PoolError: a source is not there or cannot be read, no row of it has a known format, more rows are bad
            than `max_bad` allows, or none is left.
    """
    sources = config.all_sources()
    readers = [Reader.of(source) for source in sources]
    made_of = f"{VERSION} {fingerprint(config)} {config.max_rows} {config.max_bad} {seed}"
    if (pool_dir / RECORDS).exists():
        meta = (open_table(pool_dir / RECORDS).schema.metadata or {}).get(META, b"{}")
        if json.loads(meta).get("made_of") == made_of:
            return Records.open(pool_dir)
    remove(pool_dir / INDEX)
    pool_dir.mkdir(parents=True, exist_ok=True)
    first_file = pool_dir / f"{RECORDS}.first"
    try:
        with (
            replacing(pool_dir / QUARANTINE) as quarantine,
            quarantine.open("w", encoding="utf-8") as bad_rows,
            pa.OSFile(str(first_file), "wb") as out,
            pa.ipc.new_file(out, pa.schema(READ_COLUMNS)) as writer,
        ):
            first = _FirstPass(writer, bad_rows)
            for group, (source, reader) in enumerate(zip(sources, readers, strict=True)):
                first.read(source, reader, group, watch)
        if not first.n_read:
            paths = ", ".join(source.path for source in sources)
            raise PoolError(f"the pool is empty: no row in {paths}. Correct pool.path.")
        bad_file, share = pool_dir / QUARANTINE if is_kept else None, first.n_bad / first.n_read
        _check_share(first.n_bad, first.n_read, share, config.max_bad, first.first_bad, bad_file)
        _second_pass(first_file, pool_dir / RECORDS, first, config, seed, made_of)
    finally:
        remove(first_file)
    return Records.open(pool_dir)


def finish_pool(
    pool_dir: Path,
    config: PoolConfig,
    n_tokens: NDArray[np.int32],
    n_trained: NDArray[np.int32],
    refused: Mapping[int, str] | None = None,
    watch: Watch = SILENT,
) -> list[tuple[str, str]]:
    """Decide what becomes of each record, and write the pool's index and the lists of what is left out.

    Records without a trained token go first, then those that hold questions of benchmarks, so that none of
    them is kept in the place of its clean copies, then duplicates. Exact ones are found and named in any
    case.

    Args:
        pool_dir: Where `read_pool` wrote.
        config: What to leave out, and the largest share of bad rows, with those that the template refuses.
        n_tokens: Tokens of each record; int32[R].
        n_trained: Trained tokens of each record; int32[R].
        refused: Why the template refuses a record, by its position.
        watch: Sees the progress.

    Returns:
        What was found of duplicates and benchmarks, in a few words each, and the name of the file that lists
        it.

    Raises:
        PoolError: more rows are bad than allowed, most records are too long, the numbers are not this pool's,
            a benchmark's file cannot be used, or no record is left.
    """
    records = Records.open(pool_dir)
    if not len(records) == len(n_tokens) == len(n_trained):
        found = f"{pool_dir} has {len(records)} records, but {len(n_tokens)} were tokenised"
        raise PoolError(f"{found}. Delete {pool_dir} and run again.")
    status = np.full(len(records), Status.KEPT, dtype=np.uint8)
    status[n_trained == 0] = Status.TOO_LONG
    status[n_tokens == 0] = Status.REFUSED
    _put_aside(records, status, config.max_bad, refused or {}, pool_dir)
    said = []
    remove(pool_dir / CONTAMINATION)
    if benchmarks := read_benchmarks(config.decontaminate):
        matches = find_contamination(records, status == Status.KEPT, benchmarks, watch)
        save_contamination(records, matches, pool_dir / CONTAMINATION, is_dropped=True)
        status[[match.position for match in matches]] = Status.CONTAMINATED
        n = int((status == Status.CONTAMINATED).sum())
        if not (status == Status.KEPT).any():
            found = f"{n:,} of {len(records):,} hold questions of benchmarks"
            raise PoolError(f"no row is left: {found}. Correct pool.decontaminate.")
        said.append((f"{n:,} left out, which hold questions of benchmarks", CONTAMINATION))
    threshold = config.dedup_similarity if config.dedup == "near" else None
    duplicates = find_duplicates(records, status == Status.KEPT, threshold, watch)
    save_duplicates(records, duplicates, pool_dir / DUPLICATES, is_dropped=bool(config.dedup))
    n_exact = sum(one.kind == "exact" for one in duplicates)
    if config.dedup:
        status[[duplicate.position for duplicate in duplicates]] = Status.DUPLICATE
        near = f" and {len(duplicates) - n_exact:,} near ones" if config.dedup == "near" else ""
        said.append((f"{n_exact:,} exact duplicates{near} left out", DUPLICATES))
    elif n_exact:
        said.append((f"{n_exact:,} of them exact duplicates of others (pool.dedup drops them)", DUPLICATES))
    index = pa.table({"status": status, "n_tokens": n_tokens, "n_trained": n_trained})
    with replacing(pool_dir / INDEX) as file, pa.ipc.new_file(str(file), index.schema) as writer:
        writer.write_table(index)
    return said


def _put_aside(
    records: Records, status: NDArray[np.uint8], max_bad: float, reasons: Mapping[int, str], pool_dir: Path
) -> None:
    """Write the records that are too long, or that the template refuses, into the quarantine."""
    rows: dict[Status, list[Row]] = {}
    for of, why in (
        (Status.REFUSED, "it has no token"),
        (Status.TOO_LONG, "no token left to train on at max_length"),
    ):
        rows[of] = []
        for position in np.flatnonzero(status == of).tolist():
            text, place = records.value("record", position), records.place(position)
            row = Row(text, None, place["source"], place["source_row"], problem=reasons.get(position, why))
            rows[of].append(row)
    refused, too_long = rows.values()
    file = pool_dir / QUARANTINE
    with file.open(encoding="utf-8") as old:
        # In place of what an earlier call may have added.
        lines = [line for _, line in zip(range(records.n_bad), old, strict=False)]
    with replacing(file) as partial, partial.open("w", encoding="utf-8") as out:
        out.writelines([*lines, *map(bad_line, [*refused, *too_long])])
    if refused:
        # Where rows were drawn, the tokenised ones stand for all.
        share_read = records.n_bad / records.n_read
        share = share_read + (1 - share_read) * len(refused) / len(records)
        first = [f"{row.place()}: {row.problem}" for row in refused]
        _check_share(len(refused) + records.n_bad, records.n_read, share, max_bad, first, file)
    if len(too_long) > MAX_TOO_LONG * len(records):
        raise PoolError(
            f"{len(too_long):,} of {len(records):,} rows have no token left to train on: their prompts fill "
            f"prompt.max_length. Raise prompt.max_length; the first is {too_long[0].place()}."
        )


def _check_share(
    n_bad: int, n_read: int, share: float, max_bad: float, first: Sequence[str], file: Path | None
) -> None:
    """Stop where more rows are bad than allowed, or all are; `file` lists them, if it stays."""
    are_all_bad = share > 1 - 1e-9
    if n_bad == 0 or (share <= max_bad and not are_all_bad):
        return
    lines = "".join(f"\n  {line}" for line in first[:N_SHOWN])
    shown = f"{'The first five' if n_bad > N_SHOWN else 'They are'}:{lines}"
    if are_all_bad:
        repair = "Repair them, or set pool.format or pool.columns."
        raise PoolError(f"not one of {n_read:,} rows is good. {shown}\n{repair}")
    see = f"; all of them are in {file}" if file else ""
    raise PoolError(
        f"{n_bad:,} of {n_read:,} rows are bad ({share:.1%}); pool.max_bad allows {max_bad:.1%}. "
        f"{shown}\nRepair or remove them, or raise pool.max_bad{see}."
    )


@dataclass
class _FirstPass:
    """What has been read so far: good rows go to a file, bad ones to the quarantine.

    `unread` and `undeclared` count the good rows with each column that is in no prompt, and with each tool
    that is called undeclared.
    """

    writer: pa.ipc.RecordBatchWriter
    bad_rows: TextIO
    n_read: int = 0
    n_bad: int = 0
    first_bad: list[str] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    group_of: dict[str, int] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    undeclared: Counter[str] = field(default_factory=Counter)
    _batch: list[tuple[str, int, int, int, int, int, int]] = field(default_factory=list)
    _n_characters: int = 0

    def read(self, source: SourceConfig, reader: Reader, group: int, watch: Watch) -> None:
        """Stream one source."""
        seen, needed = _Seen(), reader.fixed.needed() if reader.fixed else ()
        with watch.task("reading the pool", None, "rows") as task:
            for n, row in enumerate(read_source(source, watch), 1):
                self.n_read += 1
                self._take(row, reader, group, seen)
                if len(self._batch) >= BATCH_ROWS or self._n_characters >= BATCH_CHARACTERS:
                    task.advance(self._write())
                if n == N_TRIED:
                    seen.check(source, needed, f"the first {N_TRIED:,} rows")
            task.advance(self._write())
        seen.check(source, (*needed, *source.columns.values()), "the rows")

    def _take(self, row: Row, reader: Reader, group: int, seen: _Seen) -> None:
        problem, record = row.problem, row.record
        if not problem:
            try:
                if isinstance(record, dict):
                    seen.n_objects += 1
                    seen.keys.update(dict.fromkeys(record))
                format_name, sample = reader.read(record)
                hashed, dialogue = content_hash(record), dialogue_hash(sample)
                if layout := reader.layout(record):
                    self.unread.update(unread_keys(record, layout))
                self.undeclared.update(undeclared_tools(sample))
            except RowError as error:
                problem = str(error)
                if isinstance(error, UnknownRowError):
                    seen.n_unknown += 1
                    seen.looks = seen.looks or looks_like_other(record)
            except RecursionError:
                problem = "nested too deeply"
        if problem:
            self.n_bad += 1
            self.bad_rows.write(bad_line(row._replace(problem=problem)))
            if len(self.first_bad) < N_SHOWN:
                self.first_bad.append(f"{row.place()}: {problem}")
            return
        code = self.sources.setdefault(row.source, len(self.sources))
        self.group_of.setdefault(row.source, group)
        format_code = self.formats.setdefault(format_name, len(self.formats))
        self._batch.append((row.text, code, row.number, format_code, group, hashed, dialogue))
        self._n_characters += len(row.text)

    def _write(self) -> int:
        """Write what is at hand; return how many rows that are."""
        n, columns = len(self._batch), zip(*self._batch, strict=True)
        if n:
            pairs = zip(columns, READ_COLUMNS.values(), strict=True)
            arrays = [pa.array(column, kind) for column, kind in pairs]
            self.writer.write_batch(pa.record_batch(arrays, schema=pa.schema(READ_COLUMNS)))
        self._batch, self._n_characters = [], 0
        return n


@dataclass
class _Seen:
    """What a source's records have had so far, to notice a format or a mapping that fits none of them."""

    n_objects: int = 0
    n_unknown: int = 0
    keys: dict[str, None] = field(default_factory=dict)
    looks: str = ""

    def check(self, source: SourceConfig, columns: Iterable[str], which: str) -> None:
        """Give up where no record is of a known format, or has one of the columns."""
        if not self.n_objects:
            return
        found = ", ".join(list(self.keys)[:12]) or "none"
        if missing := sorted(set(columns) - self.keys.keys()):
            part = next((part for part, name in source.columns.items() if name == missing[0]), None)
            said = f"columns maps {part} to" if part else f"format {source.format} needs a column"
            raise PoolError(
                f"pool.{said} {missing[0]!r}, which none of {which} of {source.path} has. "
                f"{nearest(missing[0], list(self.keys))}Their keys: {found}."
            )
        if self.n_unknown == self.n_objects:
            raise PoolError(
                f"none of {which} of {source.path} is of a known format{self.looks}. Their keys: {found}. "
                f"Known: {KNOWN}. Say which column plays which part: "
                "pool.columns={prompt: YOURS, response: YOURS}, or {messages: YOURS}."
            )


def _second_pass(
    first_file: Path, file: Path, first: _FirstPass, config: PoolConfig, seed: int, made_of: str
) -> None:
    """Copy the rows that stay, with their ids."""
    sources, table = config.all_sources(), open_table(first_file)
    hashes = numbers(table["hash"], np.uint64)
    counts = counters(hashes)
    caps, weights = [source.max_rows for source in sources], [source.weight for source in sources]
    ranks = priorities(hashes, counts, seed)
    is_kept = draw(numbers(table["group"], np.int32), ranks, caps, weights, config.max_rows)
    meta = {
        "made_of": made_of,
        "n_read": first.n_read,
        "n_bad": first.n_bad,
        "readers": [source.model_dump(include={"format", "columns", "tags"}) for source in sources],
        "sources": first.group_of,
        "notes": notes(first.unread, first.undeclared),
    }
    schema = pa.schema(RECORDS_COLUMNS, metadata={META: json.dumps(meta).encode()})
    codes = {"source": first.sources, "format": first.formats}
    names = {name: pa.array(list(of), pa.string()) for name, of in codes.items()}
    start = 0
    with replacing(file) as partial, pa.ipc.new_file(str(partial), schema) as writer:
        for batch in table.to_batches():
            rows = np.flatnonzero(is_kept[start : start + len(batch)])
            at, start = start + rows, start + len(batch)
            part = batch.take(pa.array(rows))
            columns = {name: part[name] for name in ("record", "source_row", "dialogue")}
            columns |= {name: pa.DictionaryArray.from_arrays(part[name], of) for name, of in names.items()}
            columns["id"] = pa.array(id_texts(hashes[at], counts[at]), pa.string())
            writer.write_batch(pa.record_batch([columns[name] for name in RECORDS_COLUMNS], schema=schema))
