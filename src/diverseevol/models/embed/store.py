"""The pass's files under way: finished shards survive a kill, and the files get their names when they are whole.

    embeddings.npy.partial   float32 (N, D), written row by row at its place by every rank
    signals.npy.partial      float64 (N, S), likewise
    embeddings.progress/     a line a finished shard, one file a rank; the first line says which pass the shards belong to
    embeddings.npy           the finished vectors
    signals.parquet          the finished signals: `id` and a column each
    embeddings.json          of which pass the finished files are, and the last report

Of the two kinds of files there is what was asked for. Rows are written with pwrite, not through a memory map: two machines that
change neighbouring rows of one page through maps of a network file would overwrite each other. A shard's line is written after
its rows are on the disk (fsync), so a line can be trusted.
Shape letters: N pool rows, D embedding width, S signals.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ...base import dist
from ...base.files import damaged, read_json, remove, write_json, write_text
from ...base.text import some_of
from ...errors import NonFiniteError
from ...selection import Signal
from .columns import available_columns, write_columns
from .encoder import Outputs
from .formulas import columns_of
from .report import EmbedReport
from .rows_file import RowsFile
from .shards import Ids, Shard


@dataclass
class Store:
    """One rank's hand on the files; made by `open_store`."""

    out_dir: Path
    header: dict[str, Any]
    """What the pass is made of, with the signals that it computes; a shard of another header is not trusted."""
    embeddings: RowsFile | None
    columns: RowsFile | None
    done: dict[int, int] = field(default_factory=dict)
    """Finished shards of earlier calls, and the number noted with each: the batch bound that it ended with, or its tokens (outer.py)."""
    n_rows: int = 0
    """Rows that this rank has computed now."""
    bad_rows: list[int] = field(default_factory=list)
    """Those of them with values that are not finite."""

    def my_shards(self, shards: Sequence[Shard]) -> list[Shard]:
        """This rank's share of the shards, without those that are done."""
        return [shard for shard in shards[dist.rank() :: dist.world_size()] if shard.index not in self.done]

    def write(self, rows: np.ndarray, outputs: Outputs, first_column: int = 0) -> None:
        """Put vectors and signals at their rows, the signals from `first_column` on; values that are not finite stop every rank.

        Raises:
            EmbedError: the disk is full or not writable.
        """
        if self.embeddings is not None and outputs.embeddings_BD is not None:
            self.embeddings.write(rows, outputs.embeddings_BD)
        if self.columns is not None and outputs.columns_BS is not None:
            self.columns.write(rows, outputs.columns_BS, first_column)
        self.n_rows += len(rows)
        bad = ~outputs.is_finite_B()
        if bad.any():
            self.bad_rows += rows[bad].tolist()
            (_progress_dir(self.out_dir) / "failed").touch()

    def finish(self, shard: int, number: int) -> None:
        """Note a shard as finished, with a number, once its rows are on the disk."""
        for file in self._files():
            file.sync()
        line_file = _progress_dir(self.out_dir) / f"rank-{dist.rank()}.jsonl"
        with line_file.open("a", encoding="utf-8") as lines:
            if lines.tell() == 0:
                lines.write(json.dumps(self.header) + "\n")
            lines.write(json.dumps([shard, number]) + "\n")
            lines.flush()
            os.fsync(lines.fileno())

    def is_stopped(self) -> bool:
        """Whether some rank has found values that are not finite, so that none computes on for hours."""
        return (_progress_dir(self.out_dir) / "failed").exists()

    def check_finite(self, ids: Ids, what: str, advice: str) -> None:
        """Every rank calls it, when it has stopped.

        Raises:
            NonFiniteError: values are not finite; `what` says whose, in the plural.
        """
        found = dist.gather((self.bad_rows, self.n_rows))
        bad = sorted(row for rows, _ in found for row in rows)
        if bad:
            names, n_seen = some_of([ids[row] for row in bad]), sum(n_rows for _, n_rows in found)
            raise NonFiniteError(
                f"{len(bad)} of the {n_seen} {what} computed so far are NaN or infinite: ids {names}. {advice}"
            )

    def complete(self, report: EmbedReport, ids: Ids) -> None:
        """Give the finished files their names; called on every rank, done by rank 0 after all are here."""
        dist.barrier()
        dist.on_main(lambda: self._complete(report, ids))

    def _complete(self, report: EmbedReport, ids: Ids) -> None:
        # The JSON first and embeddings.npy last: a kill in between never leaves an embeddings.npy beside which something is missing.
        write_json(
            self.out_dir / "embeddings.json",
            {"header": _without_signals(self.header), "report": report.as_dict()},
        )
        if self.columns is not None:
            write_columns(
                self.out_dir,
                ids,
                columns_of(self.header["signals"]),
                np.load(self.columns.path, mmap_mode="r"),
            )
        if self.embeddings is not None:
            self.embeddings.path.replace(self.out_dir / "embeddings.npy")
        remove(_columns_partial(self.out_dir))
        remove(_progress_dir(self.out_dir))

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files():
            file.close()

    def _files(self) -> list[RowsFile]:
        return [file for file in (self.embeddings, self.columns) if file is not None]


def open_store(out_dir: Path, header: dict[str, Any]) -> Store:
    """Make the files, or find them with the shards that an earlier call of the same header finished."""
    done = dist.on_main(lambda: _prepare(out_dir, header))
    files = {path: RowsFile.open(path) for path in _shapes(out_dir, header)}
    return Store(out_dir, header, files.get(_partial(out_dir)), files.get(_columns_partial(out_dir)), done)


def finished_signals(out_dir: Path, header: dict[str, Any]) -> frozenset[Signal]:
    """What `out_dir` holds already of a pass of this header, whatever else that pass was asked for."""
    record_file = out_dir / "embeddings.json"
    if not record_file.exists() or _record(out_dir).get("header") != _without_signals(header):
        return frozenset()
    embedding = {Signal.EMBEDDING} if (out_dir / "embeddings.npy").exists() else set()
    return frozenset(embedding | set(available_columns(out_dir)))


def is_embedded(out_dir: Path, fingerprint: str) -> bool:
    """Whether a pass of this fingerprint has finished its vectors here: what can be known without the model."""
    record_file = out_dir / "embeddings.json"
    is_there = record_file.exists() and (out_dir / "embeddings.npy").exists()
    return is_there and _record(out_dir)["header"].get("fingerprint") == fingerprint


def finished_report(out_dir: Path) -> EmbedReport:
    """The report of the last pass that finished here."""
    return EmbedReport(**_record(out_dir)["report"])


def _record(out_dir: Path) -> dict[str, dict[str, Any]]:
    """What embeddings.json says.

    Raises:
        RunFolderError: it is damaged.
    """
    file = out_dir / "embeddings.json"
    record = dict(read_json(file, dict[str, dict[str, Any]]))
    if record.get("report", {}).keys() != {
        field.name for field in fields(EmbedReport)
    } or "fingerprint" not in record.get("header", {}):
        raise damaged(file, "it says nothing of a pass over a pool")
    return record


def _prepare(out_dir: Path, header: dict[str, Any]) -> dict[int, int]:
    progress_dir, shapes = _progress_dir(out_dir), _shapes(out_dir, header)
    progress_dir.mkdir(parents=True, exist_ok=True)
    remove(progress_dir / "failed")
    if not finished_signals(out_dir, header):  # of another pass: never to be mistaken for this one's
        for name in ("embeddings.npy", "signals.parquet", "embeddings.json"):
            remove(out_dir / name)
    done: dict[int, int] = {}
    for line_file in sorted(progress_dir.glob("*.jsonl")) if all(path.exists() for path in shapes) else []:
        first, *shards = line_file.read_text("utf-8").split("\n")[:-1] or [
            ""
        ]  # a line without its end was cut off by the kill
        if first == json.dumps(header):
            done |= dict(map(json.loads, shards))
    if not done:
        for path, (dtype, shape) in shapes.items():
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    lines = [header, *map(list, sorted(done.items()))]
    write_text(progress_dir / "all.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    for line_file in progress_dir.glob("rank-*.jsonl"):
        remove(line_file)
    return done


def _shapes(
    out_dir: Path, header: dict[str, Any]
) -> dict[Path, tuple[type[np.floating[Any]], tuple[int, int]]]:
    """The files under way that a pass of this header writes."""
    n_columns = len(columns_of(header["signals"]))
    shapes: dict[Path, tuple[type[np.floating[Any]], tuple[int, int]]] = {}
    if Signal.EMBEDDING in header["signals"]:
        shapes[_partial(out_dir)] = (np.float32, (header["n_rows"], header["width"]))
    if n_columns:
        shapes[_columns_partial(out_dir)] = (np.float64, (header["n_rows"], n_columns))
    return shapes


def _without_signals(header: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key != "signals"}


def _partial(out_dir: Path) -> Path:
    return out_dir / "embeddings.npy.partial"


def _columns_partial(out_dir: Path) -> Path:
    return out_dir / "signals.npy.partial"


def _progress_dir(out_dir: Path) -> Path:
    return out_dir / "embeddings.progress"
