"""The first pass over the sources: every row is read, checked and hashed; good ones go to a file, bad ones to the quarantine.

A format or a mapping that fits none of a source's first thousand rows is given up there, not at the end of a long file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..base.progress import Watch
from ..base.text import nearest
from ..config import SourceConfig
from ..errors import PoolError
from .checks import N_SHOWN, RowError, UnknownRowError
from .formats import Reader, looks_like_other
from .ids import content_hash, dialogue_hash
from .row import Row, short
from .sources import read_source
from .unread import undeclared_tools

BATCH_ROWS, BATCH_CHARACTERS = 4096, 1 << 23
N_TRIED = 1000
SCHEMA = pa.schema(
    [
        ("record", pa.large_string()),
        ("source", pa.int32()),
        ("source_row", pa.int64()),
        ("format", pa.int32()),
    ]
)
KNOWN = (
    "alpaca {instruction, input, output}, dolly {instruction, context, response}, sharegpt {conversations}, messages {messages}, "
    "prompt_completion {prompt, completion} and pairs such as {question, answer}"
)


def bad_line(row: Row) -> str:
    """A bad row as a line of the quarantine."""
    shown = {
        "source": row.source,
        "row": row.number,
        "line": row.line,
        "reason": short(row.problem),
        "text": short(row.text),
    }
    return json.dumps(shown, ensure_ascii=False) + "\n"


@dataclass
class FirstPass:
    """What has been read so far; `hashes`, `dialogues` and `groups` have an entry a good row, in the order of the file.

    `unread` and `undeclared` count the good rows with each column that is in no prompt, and with each tool that is called undeclared.

    A source of the configuration is a group: a folder is one group, and each of its files a source by name.
    """

    writer: pa.ipc.RecordBatchWriter
    bad_rows: TextIO
    n_read: int = 0
    n_bad: int = 0
    first_bad: list[str] = field(default_factory=list)
    hashes: list[NDArray[np.uint64]] = field(default_factory=list)
    dialogues: list[NDArray[np.uint64]] = field(default_factory=list)
    groups: list[NDArray[np.int32]] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    group_of: dict[str, int] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    undeclared: Counter[str] = field(default_factory=Counter)
    _batch: list[tuple[str, int, int, int, int, int]] = field(default_factory=list)
    _n_characters: int = 0

    def read(self, source: SourceConfig, reader: Reader, group: int, watch: Watch) -> None:
        """Stream one source.

        Raises:
            PoolError: it cannot be read, or a mapped column is in none of its rows.
            PoolError: none of its rows is of a known format.
        """
        seen, needed = _Seen(), reader.fixed.needed() if reader.fixed else ()
        with watch.task("reading the pool", None, "rows") as task:
            for n, row in enumerate(read_source(source, watch), 1):
                self.n_read += 1
                self._take(row, reader, group, seen)
                if len(self._batch) >= BATCH_ROWS or self._n_characters >= BATCH_CHARACTERS:
                    task.advance(len(self._batch))
                    self._write(group)
                if n == N_TRIED:
                    seen.check(source, needed, f"the first {N_TRIED:,} rows")
            task.advance(len(self._batch))
            self._write(group)
        seen.check(source, (*needed, *source.columns.values()), "the rows")

    def _take(self, row: Row, reader: Reader, group: int, seen: _Seen) -> None:
        problem, hashed, dialogue, format_name = row.problem, 0, 0, ""
        if not problem:
            try:
                if isinstance(row.record, dict):
                    seen.n_objects += 1
                    seen.keys.update(dict.fromkeys(row.record))
                format_name, sample = reader.read(row.record)
                hashed, dialogue = _hash(row.record), dialogue_hash(sample)
                self.unread.update(reader.unread(row.record))
                self.undeclared.update(undeclared_tools(sample))
            except RowError as error:
                problem = str(error)
                if isinstance(error, UnknownRowError):
                    seen.n_unknown += 1
                    seen.looks = seen.looks or looks_like_other(row.record)
            except RecursionError:
                problem = "nested too deeply"
        if problem:
            self._put_aside(row._replace(problem=problem))
            return
        source = self.sources.setdefault(row.source, len(self.sources))
        self.group_of.setdefault(row.source, group)
        format_code = self.formats.setdefault(format_name, len(self.formats))
        self._batch.append((row.text, source, row.number, format_code, hashed, dialogue))
        self._n_characters += len(row.text)

    def _put_aside(self, row: Row) -> None:
        self.n_bad += 1
        self.bad_rows.write(bad_line(row))
        if len(self.first_bad) < N_SHOWN:
            self.first_bad.append(f"{row.place()}: {row.problem}")

    def _write(self, group: int) -> None:
        if not self._batch:
            return
        *columns, hashes, dialogues = zip(*self._batch, strict=True)
        arrays = [pa.array(column, kind.type) for column, kind in zip(columns, SCHEMA, strict=True)]
        self.writer.write_batch(pa.record_batch(arrays, schema=SCHEMA))
        self.hashes.append(np.array(hashes, dtype=np.uint64))
        self.dialogues.append(np.array(dialogues, dtype=np.uint64))
        self.groups.append(np.full(len(hashes), group, dtype=np.int32))
        self._batch, self._n_characters = [], 0


def _hash(record: dict[str, Any]) -> int:
    try:
        return content_hash(record)
    except UnicodeEncodeError:
        raise RowError("half of a surrogate pair, which is no character") from None
    except ValueError as error:
        raise RowError(f"a number that JSON cannot write: {error}") from None


@dataclass
class _Seen:
    """What a source's records have had so far, to notice a format or a mapping that fits none of them."""

    n_objects: int = 0
    n_unknown: int = 0
    keys: dict[str, None] = field(default_factory=dict)
    looks: str = ""

    def check(self, source: SourceConfig, columns: Iterable[str], which: str) -> None:
        """Give up where nothing fits.

        Raises:
            PoolError: no record is of a known format.
            PoolError: no record has one of the columns.
        """
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
                f"none of {which} of {source.path} is of a known format{self.looks}. Their keys: {found}. Known: {KNOWN}. "
                "Say which column plays which part: pool.columns={prompt: YOURS, response: YOURS}, or {messages: YOURS}."
            )
