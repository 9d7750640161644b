"""The files of a pass over the pool: finished shards survive a kill; results get their names when whole.

    embeddings.progress/     pass.json: which pass the shards belong to; one .npz a finished shard: `rows`, an
    array a signal embeddings.npy           the finished vectors, float32 (N, D)
    signals.parquet          the finished signals: `id` and a column of float64 each
    embeddings.json          of which pass the finished files are, and the last report

Of the two results there is what was asked for; row i is pool row i. A shard is one file, written atomically
by the rank that computed it, so that any disk which all ranks see will do; rank 0 puts them together at the
end.
Cost: the vectors are written twice; one shard at a time in memory. Shape letters: N pool rows, B rows of a
shard, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..base import dist
from ..base.files import damaged, load_array, read_json, remove, replacing, write_json
from ..base.text import some_of
from ..errors import EmbedError, NonFiniteError
from ..run.metrics import peak_memory
from ..selection import Signal
from .batches import Ids

ROWS_PER_GROUP = 1 << 16
EMBEDDINGS, SIGNALS, RECORD, PROGRESS = (
    "embeddings.npy",
    "signals.parquet",
    "embeddings.json",
    "embeddings.progress",
)
Computed = dict[str, np.ndarray]
"""What a model says of some rows, by the names of `Signal`: vectors float32[B, D], numbers float64[B]."""


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """What one pass did and cost, over all ranks."""

    n_rows: int
    width: int
    """Columns of embeddings.npy, or what they would be."""
    n_tokens: int
    """Tokens of the whole pool; those of the answers once more if they had a pass of their own."""
    n_tokens_now: int
    """Tokens that this call computed; fewer than `n_tokens` if it resumed."""
    n_padded_tokens: int
    """Positions that this call computed, padding included."""
    seconds: float
    flops: float
    """Estimate for the whole pool."""
    peak_memory_bytes: int
    """Of the rank that needed most."""
    tokens_per_batch: int
    """The bound on a batch's padded tokens; lower than asked for if memory ran out."""
    dtype: str

    @property
    def tokens_per_second(self) -> float:
        """Tokens of this call over its seconds."""
        return self.n_tokens_now / max(self.seconds, 1e-9)


@dataclass
class PassFiles:
    """One rank's hand on the files of a pass; made by `open_files`."""

    out_dir: Path
    header: dict[str, Any]
    """What the pass is made of and computes; a shard of another header is not trusted."""
    n_rows: int = 0
    """Rows that this rank has computed now."""
    bad_rows: list[int] = field(default_factory=list)
    """Those of them with values that are not finite."""

    def is_done(self, shard: str) -> bool:
        """Whether a shard of this name is finished."""
        return self._shard_file(shard).exists()

    def save(self, shard: str, rows: np.ndarray, computed: Computed, n_tokens: int) -> None:
        """Keep what was computed of a shard, unless some of it is not finite.

        Raises:
            EmbedError: the disk is full or not writable.
        """
        is_finite_B = np.logical_and.reduce(
            [np.isfinite(value).reshape(len(rows), -1).all(1) for value in computed.values()]
        )
        self.n_rows += len(rows)
        self.bad_rows += rows[~is_finite_B].tolist()
        if not self.bad_rows:
            with (
                self._room("a shard"),
                replacing(self._shard_file(shard)) as partial,
                partial.open("wb") as out,
            ):
                np.savez(out, rows=rows, n_tokens=np.array(n_tokens), **computed)  # type: ignore[arg-type]

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
                f"{len(bad)} of the {n_seen} {what} computed so far are NaN or infinite: ids {names}. "
                f"{advice}"
            )

    def complete(
        self,
        ids: Ids,
        n_now: int,
        n_padded: int,
        seconds: float,
        tokens_per_batch: int,
        flops: Callable[[int], float],
    ) -> EmbedReport:
        """Put the shards together and give the results their names; every rank calls it with its own figures.

        `flops` tells what so many tokens, those of all shards, cost.
        """
        parts = dist.gather((n_now, n_padded, seconds, peak_memory(), tokens_per_batch))
        n_tokens_now, n_padded_tokens, all_seconds, peaks, budgets = zip(*parts, strict=True)

        def finish() -> EmbedReport:
            n_tokens = sum(int(shard["n_tokens"]) for shard in self._shards())
            report = EmbedReport(
                n_rows=self.header["n_rows"],
                width=self.header["width"],
                n_tokens=n_tokens,
                n_tokens_now=sum(n_tokens_now),
                n_padded_tokens=sum(n_padded_tokens),
                seconds=max(all_seconds),
                flops=flops(n_tokens),
                peak_memory_bytes=max(peaks),
                tokens_per_batch=min(budgets),
                dtype=self.header["dtype"],
            )
            # The JSON first and embeddings.npy last: a kill in between never leaves an embeddings.npy without
            # the rest.
            with self._room("the results"):
                write_json(self.out_dir / RECORD, {"header": _of_pass(self.header), "report": asdict(report)})
                if names := [name for name in self.header["signals"] if name != Signal.EMBEDDING]:
                    write_columns(self.out_dir, ids, {name: self._column(name) for name in names})
                if Signal.EMBEDDING in self.header["signals"]:
                    self._write_vectors()
            remove(self.out_dir / PROGRESS)
            return report

        return dist.on_main(finish)

    def _write_vectors(self) -> None:
        shape = (self.header["n_rows"], self.header["width"])
        with replacing(self.out_dir / EMBEDDINGS) as partial, partial.open("wb") as out:
            about = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(out, about)
            start = out.tell()
            for shard in self._shards():
                for row, vector in zip(shard["rows"], shard.get(Signal.EMBEDDING, ()), strict=False):
                    out.seek(start + 4 * shape[1] * int(row))
                    out.write(np.ascontiguousarray(vector, dtype="<f4").data)

    def _column(self, name: str) -> np.ndarray:
        values_N = np.empty(self.header["n_rows"])
        for shard in self._shards():
            if name in shard:
                values_N[shard["rows"]] = shard[name]
        return values_N

    def _shards(self) -> Iterator[Mapping[str, np.ndarray]]:
        for file in sorted((self.out_dir / PROGRESS).glob("*.npz")):
            with np.load(file, allow_pickle=False) as shard:
                yield shard

    def _shard_file(self, shard: str) -> Path:
        return self.out_dir / PROGRESS / f"{shard}.npz"

    @contextmanager
    def _room(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EmbedError(
                f"cannot write {what} of {self.out_dir}: {error.strerror}. Make room and run again; what is "
                "finished is kept."
            ) from error


def open_files(out_dir: Path, header: dict[str, Any]) -> PassFiles:
    """Begin a pass, or find the shards that an earlier call of the same header finished."""

    def prepare() -> None:
        if not finished_signals(out_dir, header):  # of another pass: never to be mistaken for this one's
            for name in (EMBEDDINGS, SIGNALS, RECORD):
                remove(out_dir / name)
        header_file = out_dir / PROGRESS / "pass.json"
        if not header_file.exists() or read_json(header_file) != header:
            remove(out_dir / PROGRESS)
            write_json(header_file, header)

    dist.on_main(prepare)
    return PassFiles(out_dir, header)


def _of_pass(header: dict[str, Any]) -> dict[str, Any]:
    """A header without what was asked for."""
    return {key: value for key, value in header.items() if key != "signals"}


def finished_signals(out_dir: Path, header: dict[str, Any]) -> frozenset[Signal]:
    """What `out_dir` holds already of a pass of this header, whatever else that pass was asked for."""
    if not (out_dir / RECORD).exists() or _record(out_dir)["header"] != _of_pass(header):
        return frozenset()
    embedding = {Signal.EMBEDDING} if (out_dir / EMBEDDINGS).exists() else set()
    return frozenset(embedding | set(available_columns(out_dir)))


def is_embedded(out_dir: Path, fingerprint: str) -> bool:
    """Whether a pass of this fingerprint has finished its vectors here, as known without the model."""
    is_there = (out_dir / RECORD).exists() and (out_dir / EMBEDDINGS).exists()
    return is_there and _record(out_dir)["header"].get("fingerprint") == fingerprint


def finished_report(out_dir: Path) -> EmbedReport:
    """The report of the last pass that finished here."""
    found = _record(out_dir)["report"]
    return EmbedReport(**{each.name: found[each.name] for each in fields(EmbedReport)})


def _record(out_dir: Path) -> dict[str, dict[str, Any]]:
    """What embeddings.json says.

    Raises:
        RunFolderError: it is damaged.
    """
    record = dict(read_json(out_dir / RECORD, dict[str, dict[str, Any]]))
    is_whole = {each.name for each in fields(EmbedReport)} <= record.get("report", {}).keys()
    if not is_whole or "fingerprint" not in record.get("header", {}):
        raise damaged(out_dir / RECORD, "it says nothing of a pass over a pool")
    return record


def open_embeddings(out_dir: Path) -> np.ndarray:
    """The finished embeddings of a folder, float32[N, D], memory-mapped and read-only.

    Raises:
        EmbedError: the folder holds none.
    """
    if not (out_dir / EMBEDDINGS).is_file():
        raise EmbedError(
            f"there are no finished embeddings in {out_dir}: {EMBEDDINGS} is missing. Embed the pool first."
        )
    return load_array(out_dir / EMBEDDINGS)


def open_signals(out_dir: Path) -> dict[str, np.ndarray]:
    """The finished signals of a folder by name, float64[N] each.

    Raises:
        EmbedError: the folder holds none.
    """
    if not (out_dir / SIGNALS).is_file():
        raise EmbedError(
            f"there are no finished signals in {out_dir}: {SIGNALS} is missing. Run the pass with signals "
            "first."
        )
    table = pq.read_table(out_dir / SIGNALS, columns=list(available_columns(out_dir)))
    return {name: table.column(name).to_numpy() for name in table.column_names}


def available_columns(out_dir: Path) -> list[Signal]:
    """The signals that the folder's file holds; none if there is no file."""
    file = out_dir / SIGNALS
    try:
        return [Signal(name) for name in pq.read_schema(file).names if name != "id"] if file.is_file() else []
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(file, error) from None


def write_columns(out_dir: Path, ids: Ids, columns: Mapping[str, np.ndarray]) -> None:
    """Write signals atomically, beside those that the file holds already."""
    columns = (open_signals(out_dir) if (out_dir / SIGNALS).is_file() else {}) | dict(columns)
    names = [signal.value for signal in Signal if signal.value in columns]
    schema = pa.schema([("id", pa.string()), *((name, pa.float64()) for name in names)])
    with replacing(out_dir / SIGNALS) as partial, pq.ParquetWriter(partial, schema) as writer:
        for start in range(0, len(ids), ROWS_PER_GROUP):
            rows = slice(start, start + ROWS_PER_GROUP)
            id_column = pa.array([str(id_) for id_ in ids[rows]], pa.string())
            parts = [id_column, *(pa.array(columns[name][rows]) for name in names)]
            writer.write_table(pa.table(parts, schema=schema))
