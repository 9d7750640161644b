"""Selection over vectors in files, without a run: what `diverseevol select` does.

Beside the vectors may lie ids.txt (an id a row) and signals.parquet. K-Center's picks are kept as they are
found, a line each, so that a call that was killed goes on behind them: taken as chosen, they lead to the same
next picks. Shape letters: N rows.
"""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..base import dist
from ..base.files import remove, write_jsonl, write_text
from ..base.progress import SILENT, Watch
from ..config import SourceConfig
from ..data import Pool
from ..data.columns import as_column
from ..data.json_files import kind_of, open_text
from ..data.sources import read_source
from ..errors import ConfigError, NonFiniteError, PoolExhaustedError, SelectionError
from ..selection import Selection, Signal, Signals, Strategy
from ..selection.api import select_within
from ..selection.k_center import KCenter, Pick, selection_of
from ..selection.vectors import open_vectors

N_TOKENS = "n_tokens"
"""The column that embedding need not write, for its pool holds it."""
N_HASHED = 256
"""Rows, evenly spread, by whose values the vectors of a killed call are known again."""
N_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Ids:
    """A text file with the rows' ids, one a line, in row order; it is gone through, never held in memory."""

    path: Path

    def lines(self) -> Iterator[str]:
        """All of them, in row order."""
        with open_text(self.path) as text:
            for line in text:
                yield line.rstrip("\r\n")

    def of_rows(self, rows: Collection[int]) -> dict[int, str]:
        """The ids of some rows."""
        return {row: name for row, name in enumerate(self.lines()) if row in rows}

    def rows_of(self, wanted: Collection[str]) -> dict[str, int]:
        """The rows of those that are ids.

        Raises:
            SelectionError: one of them is the id of two rows.
        """
        found: dict[str, int] = {}
        for row, name in enumerate(self.lines()):
            if name in wanted and found.setdefault(name, row) != row:
                raise SelectionError(
                    f"{self.path} gives the id {name!r} to the rows {found[name]} and {row}. Make ids unique."
                )
        return found


def select_files(
    embeddings: str,
    out: Path,
    strategy: Strategy,
    n_new: int | None = None,
    *,
    tokens: int | None = None,
    chosen: Path | None = None,
    ids: Path | None = None,
    columns: Path | None = None,
    seed: int = 0,
    watch: Watch = SILENT,
) -> tuple[int, tuple[int, int]]:
    """Pick rows of vectors in files and write the picks to `out`; every rank calls it.

    Args:
        embeddings: A file or folder of vectors, see `open_vectors`.
        out: JSONL, a line a pick: id, row, rank, and what the strategy knew; what guards kept out lies beside
            it in .skipped.jsonl.
        strategy: Picks.
        n_new: How many; or `tokens`, which the picks' column `n_tokens` may add up to.
        chosen: Rows or ids chosen so far, see `read_chosen`.
        ids: The ids, one a line; None: ids.txt beside the vectors, if it is there.
        columns: Records for strategies that read columns, see `read_columns`.
        seed: For strategies that draw.
        watch: Sees the progress.

    Returns:
        The number of picks, and (N, D).

    Raises:
        DiverseEvolError: a file cannot be read or written, does not fit the others, or the strategy refuses.
    """
    vectors = open_vectors(embeddings, writable_folder(out), watch)
    n_rows, width = vectors.shape
    named = open_ids(ids, vectors.folder, n_rows)
    chosen_rows = read_chosen(chosen, n_rows, named)
    n_left = n_rows - len(chosen_rows)
    if (n_new or 1) > n_left:
        left = f"{n_left} of the {n_rows} rows of {embeddings} are still unchosen"
        raise PoolExhaustedError(f"cannot select {n_new or 'any'} rows: {left}. Lower --n-new.")
    needed = (strategy.needs | ({N_TOKENS} if tokens else set())) - {Signal.EMBEDDING}
    signals = Signals(n_rows, vectors, read_columns(columns, vectors.folder, needed, n_rows), watch=watch)
    journal = Journal.open(out, signals, chosen_rows, strategy) if isinstance(strategy, KCenter) else None

    def pick(n: int) -> Selection:
        try:
            if journal:
                return journal.select(signals, chosen_rows, n)
            return strategy.select(signals, chosen_rows, n, np.random.default_rng(seed))
        except NonFiniteError as error:
            if not error.rows or named is None:
                raise
            bad = named.of_rows(error.rows[:N_SHOWN])
            shown = ", ".join(f"{name} (row {row})" for row, name in bad.items())
            problem = (
                f"NaN or infinite values in the embeddings of {shown}. Embed these anew, or leave them out."
            )
            raise NonFiniteError(problem, error.rows) from None

    if tokens is None:
        picks = pick(n_new or 0)
    else:
        picks = select_within(pick, signals.numbers(N_TOKENS, "--tokens"), n_left, tokens)
    dist.on_main(partial(_write, out, picks, named))
    if journal:
        dist.on_main(partial(remove, journal.file))
    return len(picks.rows), (n_rows, width)


def writable_folder(out: Path) -> Path:
    """The folder that `out` is in or, until it is made, the one that it will be made in."""
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder. Give a file, such as {out / 'picks.jsonl'}.")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        found = f"--out {out} cannot be written: {folder}: {error.strerror}"
        raise ConfigError(f"{found}. Give another place.") from None
    return folder


def _write(out: Path, picks: Selection, ids: Ids | None) -> None:
    nearest = picks.columns["nearest_row"].tolist() if "nearest_row" in picks.columns else []
    guarded = {row for rows in picks.skipped.values() for row in rows.tolist()}
    names = ids.of_rows({*picks.rows.tolist(), *nearest, *guarded}) if ids else {}

    def named(row: int) -> dict[str, Any]:
        return {"id": names[row], "row": row} if ids else {"row": row}

    lines = []
    for rank, row in enumerate(picks.rows.tolist()):
        line = {**named(row), "rank": rank}
        for name, column in picks.columns.items():
            value = column[rank].item()
            line[name] = None if isinstance(value, float) and not math.isfinite(value) else value
        if ids and nearest:
            line["nearest_id"] = names.get(nearest[rank])
        lines.append(line)
    write_jsonl(out, lines)
    skipped_file = out.with_suffix(".skipped.jsonl")
    remove(skipped_file)
    skipped = [
        named(row) | {"guard": guard} for guard, rows in picks.skipped.items() for row in rows.tolist()
    ]
    if skipped:
        write_jsonl(skipped_file, skipped)


# --- the files beside the vectors


def open_ids(file: Path | None, folder: Path, n_rows: int) -> Ids | None:
    """The ids in `file` or, if none is given, in the folder's ids.txt; None if there is neither.

    Raises:
        SelectionError: there is not one id a row.
        PoolError: the file cannot be read.
    """
    ids = Ids(file or folder / "ids.txt")
    if file is None and not ids.path.exists():
        return None
    n_ids = sum(1 for _ in ids.lines())
    if n_ids != n_rows:
        found = f"{ids.path} holds {n_ids:,} ids for {n_rows:,} rows"
        raise SelectionError(f"{found}. Give the ids of these vectors with --ids.")
    return ids


def read_chosen(file: Path | None, n_rows: int, ids: Ids | None) -> np.ndarray:
    """Read the rows that are chosen already, in the file's order, int64; none without a file.

    A line is a row number, an id, or JSON with `id` (or `_id`) or `row`; where ids are known, the id counts.
    If any bare line is an id, all of them are: an id may look like a number.

    Raises:
        SelectionError: a line is none of these, an unknown id, a row outside 0 … n_rows - 1, or a row named
            before.
        PoolError: the file cannot be read.
    """
    if file is None:
        return np.empty(0, dtype=np.int64)
    with open_text(file) as text:
        lines = {number: line.strip() for number, line in enumerate(text, 1) if line.strip()}
    named = {at: _named(f"{file} line {at}", line, ids is not None) for at, line in lines.items()}
    known = ids.rows_of({name for name, _ in named.values() if name is not None}) if ids else {}
    seen: dict[int, int] = {}
    for at, (name, row) in named.items():
        if name is not None and (known or row is None):
            row = known.get(name, -1)
            unknown = f"is not in {ids.path}" if ids else "is no row number, and no ids are known: give --ids"
            if row < 0:
                raise SelectionError(f"{file} line {at}: the id {name!r} {unknown}. Correct the line.")
        if row is None or not 0 <= row < n_rows:
            found = f"{file} line {at}: row {row} is outside 0..{n_rows - 1}"
            raise SelectionError(f"{found}. Are they other vectors' rows?")
        if seen.setdefault(row, at) != at:
            found = f"{file} line {at}: row {row} is chosen already in line {seen[row]}"
            raise SelectionError(f"{found}. Name each row once.")
    return np.array(list(seen), dtype=np.int64)


def _named(place: str, line: str, has_ids: bool) -> tuple[str | None, int | None]:
    """A line's id, if it may be one, and its row, if it may be one."""
    if not line.startswith("{"):
        return line, int(line) if line.isdecimal() else None
    try:
        record = json.loads(line)
    except ValueError as error:
        raise SelectionError(f"{place} is no JSON: {error}. Correct the line.") from None
    name, row = record.get("_id", record.get("id")), record.get("row")
    if name is not None and (has_ids or row is None):
        return str(name), None
    if type(row) is int:
        return None, row
    raise SelectionError(f"{place} has neither `row` (a number) nor `id`. Correct the line.")


def read_columns(
    file: Path | None, folder: Path, names: frozenset[str], n_rows: int, asked_by: str = "the strategy"
) -> dict[str, np.ndarray]:
    """Read columns from a file of records, and what it lacks from what an embedding left in the folder.

    That is signals.parquet, and the pool's tokens a row.

    Returns:
        By name, float64[N] where every value is a number (NaN: none), else text.

    Raises:
        SelectionError: neither has such a column, or one does not have a record a row.
        PoolError: a file cannot be read.
    """
    if file is not None and not file.is_file():
        raise SelectionError(f"there are no columns at {str(file)!r}: no such file. Correct --columns.")
    found: dict[str, np.ndarray] = {}
    known: dict[str, None] = {}
    beside = folder / "signals.parquet"
    for path in [each for each in (file, beside) if names and each and each.is_file()]:
        read = _parquet_columns if kind_of(path) == ".parquet" else _record_columns
        for name, column in read(path, names - found.keys(), known).items():
            if len(column) != n_rows:
                problem = f"{path} has {len(column):,} records for {n_rows:,} rows"
                raise SelectionError(f"{problem}. Give one a row, in row order.")
            found[name] = column
    if N_TOKENS in names - found.keys() and (folder / "pool/index.arrow").is_file():
        pool = Pool.open(folder / "pool")
        found |= {N_TOKENS: pool.n_tokens.astype(np.float64)} if len(pool) == n_rows else {}
    for name in sorted(names - found.keys()):
        has = f"Known: {', '.join(known)}" if known else "No columns are known"
        signal = f", and `--pool POOL --compute {name}` computes it" if name in set(Signal) else ""
        problem = f"{asked_by} needs a column {str(name)!r}, which is not there"
        raise SelectionError(f"{problem}. {has}; --columns gives more{signal}.")
    return found


def _parquet_columns(file: Path, names: frozenset[str], known: dict[str, None]) -> dict[str, np.ndarray]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
        table = pq.read_table(file, columns=[name for name in schema.names if name in names])
    except (pa.ArrowException, OSError) as error:
        raise SelectionError(f"cannot read {file}: {error}. Copy or write it again.") from None
    known.update(dict.fromkeys(schema.names))
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        columns[name] = column.cast(pa.float64()).to_numpy() if is_number else as_column(column.to_pylist())
    return columns


def _record_columns(file: Path, names: frozenset[str], known: dict[str, None]) -> dict[str, np.ndarray]:
    values: dict[str, list[Any]] = {name: [] for name in names}
    for row in read_source(SourceConfig(path=str(file))):
        if row.problem or not isinstance(row.record, dict):
            raise SelectionError(f"{row.place()}: {row.problem or 'not an object'}. Repair it.")
        known.update(dict.fromkeys(row.record))
        for name, column in values.items():
            column.append(row.record.get(name))
    columns = {}
    for name in values.keys() & known.keys():
        try:  # cells of a table are texts: where all of them are numbers, they are meant as numbers
            is_table = kind_of(file) in (".csv", ".tsv")
            cells = [float(cell) if cell else None for cell in values[name]] if is_table else values[name]
        except ValueError:
            cells = values[name]
        columns[name] = as_column(cells)
    return columns


# --- going on after a kill


@dataclass
class Journal:
    """K-Center with the picks found so far, those of killed calls included, in a file beside `out`.

    Its first line says which selection it is; how many picks are asked for is not part of that.
    """

    strategy: KCenter
    file: Path
    header: dict[str, Any]
    picks: list[Pick]

    @classmethod
    def open(cls, out: Path, signals: Signals, chosen_rows: np.ndarray, strategy: KCenter) -> Journal:
        """Find what a killed call with the same vectors, chosen rows and metric left."""
        assert signals.embeddings is not None
        some = np.unique(np.linspace(0, signals.n_rows - 1, N_HASHED).astype(np.int64))
        header = {
            "shape": list(signals.embeddings.shape),
            "vectors": _hash(np.asarray(signals.embeddings[some])),
            "chosen": _hash(np.sort(chosen_rows)),
            "metric": strategy.metric,
        }
        file = out.with_name(out.name + ".unfinished")

        def read() -> list[Pick]:
            # A line without its end was cut off by the kill.
            first, *lines = (file.read_text("utf-8").split("\n")[:-1] if file.exists() else []) or [""]
            if first != json.dumps(header):
                return []
            return [(float(distance), int(row), int(near)) for distance, row, near in map(json.loads, lines)]

        return cls(strategy, file, header, dist.on_main(read))

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int) -> Selection:
        """The strategy's first `n_new` picks; those that are not here yet are found now, and kept."""
        so_far = np.concatenate([chosen_rows, np.array([row for _, row, _ in self.picks], dtype=np.int64)])
        n_left = n_new - len(self.picks)
        stored = "".join(json.dumps(line) + "\n" for line in [self.header, *self.picks])
        is_main = dist.is_main()
        try:
            dist.on_main(partial(write_text, self.file, stored))
            with self.file.open("a", encoding="utf-8", buffering=1) if is_main else nullcontext() as lines:
                for pick in self.strategy.traverse(signals, so_far, n_left) if n_left > 0 else ():
                    self.picks.append(pick)
                    if lines:
                        lines.write(json.dumps(pick) + "\n")
        finally:
            if not self.picks and is_main:
                remove(self.file)
        return selection_of(self.picks[:n_new])


def _hash(values: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=8).hexdigest()
