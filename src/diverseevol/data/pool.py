"""The pool as it lies in a folder: records with their ids, and which of them can be chosen; memory-mapped.

    records.arrow     every good record: its JSON text, id, source, number in the source, format
    index.arrow       what became of each of them: its status, tokens, trained tokens
    quarantine.jsonl  every row that was left out as bad or too long, and why
    duplicates.jsonl, contamination.jsonl  the rows that were left out as such (left_out.py)

A row is a row of the pool everywhere outside this package; a position is a place in records.arrow. Opening a
million rows takes milliseconds, and memory is the operating system's cache and 17 bytes a row.
Shape letters: N pool rows, R records.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ..base.progress import SILENT, Watch
from ..config import PoolConfig, SourceConfig
from ..errors import PoolError
from .formats import Reader
from .ids import N_HASH, OWN_ID
from .sample import RowError, Sample

RECORDS, INDEX = "records.arrow", "index.arrow"
META = b"diverseevol"
READ_AT_ONCE = 32
"""Records in memory while all are looked at, however long they are."""
# A line end in JSON text is always between tokens: inside a string it is written \n.
LINE_ENDS = re.compile(r"[ \t]*[\r\n][ \t\r\n]*")


class Status(IntEnum):
    """What became of a good record; the first are the pool's rows."""

    KEPT = 0
    TOO_LONG = 1
    REFUSED = 2
    DUPLICATE = 3
    CONTAMINATED = 4


@dataclass(frozen=True)
class Records:
    """The good records of all sources, in the order they were read; opened by `Records.open`.

    Attributes:
        table: Columns record, id, source, source_row, format, dialogue (a hash of what is read and trained
            on).
        n_read: Rows read, good and bad, before any were drawn.
        n_bad: Bad rows among them.
        readers: How to read the records of each source.
        notes: What was passed over while they were read, in a line each.
    """

    table: pa.Table
    n_read: int
    n_bad: int
    readers: dict[str, Reader]
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, pool_dir: Path) -> Records:
        """Open what `read_pool` wrote."""
        table = open_table(pool_dir / RECORDS)
        try:
            meta = json.loads(table.schema.metadata[META])
            made = [Reader.of(SourceConfig.model_validate({"path": "", **said})) for said in meta["readers"]]
            readers = {name: made[index] for name, index in meta["sources"].items()}
            return cls(table, meta["n_read"], meta["n_bad"], readers, tuple(meta.get("notes", ())))
        except (LookupError, TypeError, ValueError) as error:
            raise _damaged(pool_dir / RECORDS, error) from None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def value(self, column: str, position: int) -> Any:  # noqa: ANN401 - a text or a number
        """A record's value in a column of the table."""
        return self.table[column][position].as_py()

    def id(self, position: int) -> str:
        """A record's id."""
        return str(self.value("id", position))

    def place(self, position: int) -> dict[str, Any]:
        """Where a record comes from: source (file, folder or Hub id) and source_row, its number there."""
        return {name: self.value(name, position) for name in ("source", "source_row")}

    def position_of(self, sample_id: str) -> int | None:
        """The position of the record of an id; None where there is none."""
        found = pc.index(self.table["id"], sample_id).as_py()
        return found if found >= 0 else None

    def record(self, position: int) -> dict[str, Any]:
        """A record's value."""
        return dict(json.loads(self.value("record", position)))

    def samples(self, start: int, stop: int) -> list[Sample]:
        """The samples of the positions from `start` up to `stop`."""
        part = self.table.slice(start, stop - start)
        pairs = zip(part["record"].to_pylist(), part["source"].to_pylist(), strict=True)
        try:
            return [self.readers[source].read(json.loads(text))[1] for text, source in pairs]
        except RowError as error:
            raise PoolError(
                f"the pool was read by an earlier version, which took a row that is a bad one: {error}. "
                "Give --out a new folder."
            ) from None

    def some(self, is_in: NDArray[np.bool_]) -> Iterator[tuple[int, Sample]]:
        """The positions and samples of the records that count (bool[R]), in order, read few at a time."""
        for start in range(0, len(self), READ_AT_ONCE):
            if is_in[start : start + READ_AT_ONCE].any():
                samples = enumerate(self.samples(start, start + READ_AT_ONCE), start)
                yield from ((position, sample) for position, sample in samples if is_in[position])


@dataclass(frozen=True)
class Pool:
    """The rows that can be chosen; opened by `Pool.open`, or made from a path by `Pool.read`.

    Attributes:
        records: The records, of which the rows are some.
        status: What became of each record, a `Status`; uint8[R].
        positions: Each row's position among the records, ascending; int64[N].
        n_tokens: Each row's tokens; int32[N].
        n_trained: Each row's trained tokens; int32[N].
    """

    records: Records
    status: NDArray[np.uint8]
    positions: NDArray[np.int64]
    n_tokens: NDArray[np.int32]
    n_trained: NDArray[np.int32]

    @classmethod
    def open(cls, pool_dir: Path) -> Pool:
        """Open what `finish_pool` wrote."""
        records, index = Records.open(pool_dir), open_table(pool_dir / INDEX)
        try:
            status, *counts = (numbers(index[name], np.int32) for name in ("status", "n_tokens", "n_trained"))
        except LookupError as error:
            raise _damaged(pool_dir / INDEX, error) from None
        rows = np.flatnonzero(status == Status.KEPT)
        return cls(records, status.astype(np.uint8), rows, counts[0][rows], counts[1][rows])

    @classmethod
    def read(
        cls,
        pool: str | Path | PoolConfig,
        seed: int = 0,
        pool_dir: Path | None = None,
        watch: Watch = SILENT,
        is_kept: bool = True,
    ) -> Pool:
        """Read a pool without a run and without a tokenizer: `n_tokens` and `n_trained` are -1.

        Args:
            pool: A path or Hub id, or a whole configuration.
            seed: Decides which rows stay where max_rows or weights are set.
            pool_dir: Where the pool's files go; a temporary folder that vanishes by itself where none is
                given.
            watch: Sees the progress.
            is_kept: Whether `pool_dir` stays, so that an error may name a file in it.

        Raises:
            PoolError: the data cannot be used.
        """
        from .build import finish_pool, read_pool

        config = pool if isinstance(pool, PoolConfig) else PoolConfig(path=str(pool))
        if pool_dir is None:
            # What is mapped stays readable after its name is gone.
            with tempfile.TemporaryDirectory(prefix="diverseevol-") as folder:
                return cls.read(config, seed, Path(folder), watch, is_kept=False)
        unknown = np.full(len(read_pool(config, pool_dir, seed, watch, is_kept)), -1, dtype=np.int32)
        finish_pool(pool_dir, config, unknown, unknown, watch=watch)
        return cls.open(pool_dir)

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """The ids of all rows."""
        return np.array(self._ids().to_pylist(), dtype=np.str_)

    @cached_property
    def n_characters(self) -> NDArray[np.int64]:
        """Each row's characters of JSON text; int64[N]."""
        return numbers(pc.utf8_length(self.records.table["record"]), np.int64)[self.positions]

    def id(self, row: int) -> str:
        """A row's id."""
        return self.records.id(self._position(row))

    def place(self, row: int) -> dict[str, Any]:
        """Where a row comes from: source (file, folder or Hub id) and source_row, its number there."""
        return self.records.place(self._position(row))

    def format(self, row: int) -> str:
        """The name of the format that a row was read as."""
        return str(self.records.value("format", self._position(row)))

    def record_text(self, row: int) -> str:
        """A row's JSON text, as its source had it."""
        return str(self.records.value("record", self._position(row)))

    def record(self, row: int) -> dict[str, Any]:
        """A row's value."""
        return self.records.record(self._position(row))

    def sample(self, row: int) -> Sample:
        """A row as a sample."""
        position = self._position(row)
        return self.records.samples(position, position + 1)[0]

    def line(self, row: int) -> str:
        """A row's JSON text on one line, without its end; nothing but blanks between tokens is changed."""
        return LINE_ENDS.sub(" ", self.record_text(row))

    def line_with_id(self, row: int) -> str:
        """A row as a line of JSONL, its record unchanged and "_id" behind; an "_id" that it had gives way."""
        text, record, name = self.line(row), self.record(row), self.id(row)
        if OWN_ID in record:
            return json.dumps({**record, OWN_ID: name}, ensure_ascii=False) + "\n"
        return f'{text[:-1].rstrip()}, "{OWN_ID}": {json.dumps(name)}}}\n'

    def rows_of(self, ids: Iterable[str], places: Sequence[str] = ()) -> NDArray[np.int64]:
        """The rows of ids, in their order; `places` say where each stands, for the error.

        Raises:
            PoolError: some are not the pool's; the first is named, with what became of its record.
        """
        asked = [str(name) for name in ids]
        found = pc.index_in(pa.array(asked, pa.string()), value_set=self.records.table["id"])
        positions = numbers(pc.fill_null(found, -1), np.int64)
        is_missing = ~np.isin(positions, self.positions)
        if is_missing.any():
            first, n = int(is_missing.argmax()), int(is_missing.sum())
            at = f" ({places[first]})" if places else ""
            more = f" and {n - 1:,} more" if n > 1 else ""
            fate = Status(self.status[positions[first]] if positions[first] >= 0 else Status.KEPT)
            why = f"; it was left out: {fate.name.lower().replace('_', ' ')}" if fate else ""
            raise PoolError(
                f"id {asked[first]}{at}{more} of {len(asked):,} not found in the pool of {len(self):,} rows"
                f"{why}. Take the list from a run on the same data."
            )
        return np.searchsorted(self.positions, positions)

    def take(self, rows: NDArray[np.int64]) -> Pool:
        """Some of the rows, ascending, as a pool of their own: its row i is rows[i]."""
        counts = self.n_tokens[rows], self.n_trained[rows]
        return Pool(self.records, self.status, self.positions[rows], *counts)

    def rows_also_in(self, other: Pool) -> NDArray[np.int64]:
        """The rows whose content is also a row of `other`."""
        own, others = (pc.utf8_slice_codeunits(pool._ids(), 0, N_HASH) for pool in (self, other))
        return np.flatnonzero(pc.is_in(own, value_set=others.combine_chunks()).to_numpy())

    def _ids(self) -> pa.ChunkedArray:
        return self.records.table["id"].take(pa.array(self.positions))

    def _position(self, row: int) -> int:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} is not in the pool: it has rows 0 to {len(self) - 1}")
        return int(self.positions[row])


def open_table(file: Path) -> pa.Table:
    """Map an Arrow file of ours."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    except FileNotFoundError:
        missing = f"no pool in {file.parent}: there is no {file.name}"
        raise PoolError(f"{missing}. Give a folder that a run made.") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(file, error) from None


def _damaged(file: Path, error: Exception) -> PoolError:
    return PoolError(f"{file} is damaged: {error}. Delete {file.parent} and run again.")


def numbers(column: pa.ChunkedArray | pa.Array, dtype: type[np.generic]) -> NDArray[Any]:
    """A column of numbers as an array."""
    return np.asarray(column.to_numpy(), dtype=dtype)
