"""The files of a pass over the pool: finished shards survive a kill; results get their names when whole.

    embeddings.progress/     pass.json: which pass the shards belong to; one .npz a finished shard
    embeddings.npy           the finished vectors, float32 (N, D)
    signals.parquet          the finished signals: `id` and a column of float64 each
    embeddings.json          of which pass the finished files are, and the last report

Row i is pool row i. A shard is one file, written atomically by the rank that computed it, so that any disk
which all ranks see will do; rank 0 puts them together.
Cost: the vectors are written twice. Shape letters: N pool rows, B rows of a shard, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..base import dist
from ..base.files import damaged, load_array, read_json, remove, replacing, write_json
from ..base.text import some_of
from ..errors import EmbedError, NonFiniteError
from ..run.metrics import Record, peak_memory
from ..selection import Signal
from .batches import Ids

EMBEDDINGS, SIGNALS, RECORD = "embeddings.npy", "signals.parquet", "embeddings.json"
PROGRESS = "embeddings.progress"
Computed = dict[str, np.ndarray]
"""What a model says of some rows, by the names of `Signal`: vectors float32[B, D], numbers float64[B]."""


class EmbedReport(Record):
    """What one pass did and cost, over all ranks."""

    n_rows: int
    width: int
    n_tokens: int
    """Tokens of the whole pool; those of the answers once more if they had a pass of their own."""
    n_tokens_now: int
    """Tokens that this call computed; fewer than `n_tokens` if it resumed. Then padding included."""
    n_padded_tokens: int
    seconds: float
    flops: float
    """Estimate for the whole pool."""
    peak_memory_bytes: int
    tokens_per_batch: int
    """The bound on a batch's padded tokens; lower than asked for if memory ran out."""
    dtype: str

    @property
    def tokens_per_second(self) -> float:
        """Tokens of this call over its seconds."""
        return self.n_tokens_now / max(self.seconds, 1e-9)


class PassRecord(Record):
    """embeddings.json."""

    header: dict[str, Any]
    report: EmbedReport


@dataclass
class PassFiles:
    """One rank's hand on the files of a pass; made by `open_files`."""

    out_dir: Path
    header: dict[str, Any]
    """What the pass is made of and computes; a shard of another header is not trusted."""
    n_rows: int = 0  # that this rank has computed now
    bad_rows: list[int] = field(default_factory=list)  # those of them with values that are not finite

    def shard_file(self, shard: str) -> Path:
        """The file of a shard, there if it is finished."""
        return self.out_dir / PROGRESS / f"{shard}.npz"

    def save(self, shard: str, rows: np.ndarray, computed: Computed, n_tokens: int) -> None:
        """Keep what was computed of a shard, unless some of it is not finite."""
        finite = [np.isfinite(value).reshape(len(rows), -1).all(1) for value in computed.values()]
        self.n_rows += len(rows)
        self.bad_rows += rows[~np.logical_and.reduce(finite)].tolist()
        if not self.bad_rows:
            with replacing(self.shard_file(shard)) as partial, partial.open("wb") as out:
                np.savez(out, rows=rows, n_tokens=np.array(n_tokens), **computed)  # type: ignore[arg-type]

    def check_finite(self, ids: Ids, what: str, advice: str) -> None:
        """Every rank calls it, when it has stopped.

        Raises:
            NonFiniteError: values are not finite; `what` says whose, in the plural.
        """
        found = dist.gather((self.bad_rows, self.n_rows))
        if bad := sorted(row for rows, _ in found for row in rows):
            raise NonFiniteError(
                f"{len(bad)} of the {sum(n_rows for _, n_rows in found)} {what} computed so far are NaN or "
                f"infinite: ids {some_of([ids[row] for row in bad])}. {advice}"
            )

    def complete(
        self, ids: Ids, figures: tuple[int, int, float, int], flops: Callable[[int], float]
    ) -> EmbedReport:
        """Put the shards together and give the results their names.

        Every rank calls it with its own tokens now, those with padding, seconds and tokens a batch; `flops`
        tells what so many tokens, those of all shards, cost.
        """
        parts = np.array(dist.gather((*figures, peak_memory())))

        def finish() -> EmbedReport:
            n_tokens, about = sum(int(shard["n_tokens"]) for shard in self._shards()), dict(self.header)
            names = about.pop("signals")
            report = EmbedReport(
                n_rows=about["n_rows"],
                width=about["width"],
                n_tokens=n_tokens,
                n_tokens_now=int(parts[:, 0].sum()),
                n_padded_tokens=int(parts[:, 1].sum()),
                seconds=float(parts[:, 2].max()),
                flops=flops(n_tokens),
                peak_memory_bytes=int(parts[:, 4].max()),
                tokens_per_batch=int(parts[:, 3].min()),
                dtype=about["dtype"],
            )
            # The JSON first and embeddings.npy last: a kill in between never leaves that without the rest.
            write_json(self.out_dir / RECORD, {"header": about, "report": report.values()})
            if columns := [name for name in names if name != Signal.EMBEDDING]:
                values = {name: np.empty(report.n_rows) for name in columns}
                for name, values_N in values.items():
                    for shard in self._shards(name):
                        values_N[shard["rows"]] = shard[name]
                write_columns(self.out_dir, ids, values)
            if Signal.EMBEDDING in names:
                with replacing(self.out_dir / EMBEDDINGS) as partial:
                    shape = (report.n_rows, report.width)
                    vectors_ND = np.lib.format.open_memmap(partial, "w+", np.dtype("<f4"), shape)
                    for shard in self._shards(Signal.EMBEDDING):
                        vectors_ND[shard["rows"]] = shard[Signal.EMBEDDING]
                    vectors_ND.flush()
            remove(self.out_dir / PROGRESS)
            return report

        return dist.on_main(finish)

    def _shards(self, name: str = "rows") -> Iterator[Mapping[str, np.ndarray]]:
        """The finished shards that hold values of this name."""
        for file in sorted((self.out_dir / PROGRESS).glob("*.npz")):
            with np.load(file, allow_pickle=False) as shard:
                if name in shard:
                    yield shard


def open_files(out_dir: Path, header: dict[str, Any]) -> PassFiles:
    """Begin a pass, or find the shards that an earlier call of the same header finished."""

    def prepare() -> None:
        about = {key: value for key, value in header.items() if key != "signals"}
        if not finished_signals(out_dir, about):  # of another pass: never to be mistaken for this one's
            for name in (EMBEDDINGS, SIGNALS, RECORD):
                remove(out_dir / name)
        header_file = out_dir / PROGRESS / "pass.json"
        if not header_file.exists() or read_json(header_file) != header:
            remove(out_dir / PROGRESS)
            write_json(header_file, header)

    dist.on_main(prepare)
    return PassFiles(out_dir, header)


def finished_signals(out_dir: Path, header: dict[str, Any]) -> frozenset[Signal]:
    """What `out_dir` holds already of a pass of this header, which says nothing of `signals`."""
    if not (out_dir / RECORD).exists() or pass_record(out_dir).header != header:
        return frozenset()
    embedding = {Signal.EMBEDDING} if (out_dir / EMBEDDINGS).exists() else set()
    return frozenset(embedding | set(_columns(out_dir)))


def is_embedded(out_dir: Path, fingerprint: str) -> bool:
    """Whether a pass of this fingerprint has finished its vectors here, as known without the model."""
    is_there = (out_dir / RECORD).exists() and (out_dir / EMBEDDINGS).exists()
    return is_there and pass_record(out_dir).header.get("fingerprint") == fingerprint


def pass_record(out_dir: Path) -> PassRecord:
    """What the last pass that finished here was, and its report."""
    return PassRecord.model_validate(read_json(out_dir / RECORD, PassRecord))


def open_embeddings(out_dir: Path) -> np.ndarray:
    """The finished embeddings of a folder, float32[N, D], memory-mapped and read-only.

    Raises:
        EmbedError: the folder holds none.
    """
    return load_array(_found(out_dir / EMBEDDINGS))


def open_signals(out_dir: Path) -> dict[str, np.ndarray]:
    """The finished signals of a folder by name, float64[N] each.

    Raises:
        EmbedError: the folder holds none.
    """
    table = pq.read_table(_found(out_dir / SIGNALS), columns=list(_columns(out_dir)))
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _found(file: Path) -> Path:
    if not file.is_file():
        raise EmbedError(f"{file.parent} has no finished {file.name}. Run the pass over the pool first.")
    return file


def _columns(out_dir: Path) -> list[Signal]:
    """The signals that the folder's file holds; none if there is no file."""
    file = out_dir / SIGNALS
    try:
        return [Signal(name) for name in pq.read_schema(file).names if name != "id"] if file.is_file() else []
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(file, error) from None


def write_columns(out_dir: Path, ids: Ids, columns: Mapping[str, np.ndarray]) -> None:
    """Write signals atomically, beside those that the file holds already."""
    columns = (open_signals(out_dir) if (out_dir / SIGNALS).is_file() else {}) | dict(columns)
    table = pa.table(
        {"id": pa.array([str(id_) for id_ in ids], pa.string())}
        | {signal.value: pa.array(columns[signal], pa.float64()) for signal in Signal if signal in columns}
    )
    with replacing(out_dir / SIGNALS) as partial:
        pq.write_table(table, partial, row_group_size=1 << 16)
