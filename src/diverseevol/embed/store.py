"""The embeddings' file under way: its finished shards survive a kill, and it gets its name when it is whole.

    embeddings.npy.partial   the file, written row by row at its place by every rank
    embeddings.progress/     a line a finished shard, one file a rank; the first line says which pass the shards belong to
    embeddings.npy           the finished file; embeddings.json beside it says of which pass, and the report

Rows are written with pwrite, not through a memory map: two machines that change neighbouring rows of one page through maps of a
network file would overwrite each other. A shard's line is written after its rows are on the disk (fsync), so a line can be
trusted.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import dist
from ..errors import EmbedError
from ..files import read_json, remove, write_json, write_text
from .report import EmbedReport


@dataclass
class Store:
    """One rank's hand on the file; made by `open_store`."""

    out_dir: Path
    header: dict[str, Any]
    """What the pass is made of; a shard of another header is not trusted."""
    done: dict[int, int] = field(default_factory=dict)
    """Finished shards of earlier calls, and the batch bound that each ended with."""
    _file: int = -1
    _offset: int = 0

    def write(self, rows: np.ndarray, embeddings_BD: np.ndarray) -> None:
        """Put vectors at their rows.

        Raises:
            EmbedError: the disk is full or not writable.
        """
        try:
            for row, vector in zip(rows, np.ascontiguousarray(embeddings_BD, dtype=np.float32), strict=True):
                if os.pwrite(self._file, vector.data, self._offset + int(row) * vector.nbytes) < vector.nbytes:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            n_bytes = self.header["n_rows"] * self.header["width"] * 4
            raise EmbedError(
                f"cannot write {_partial(self.out_dir)} ({n_bytes:,} bytes when whole): {error.strerror}. "
                "Make room and run again; what is finished is kept."
            ) from error

    def finish(self, shard: int, budget: int) -> None:
        """Note a shard as finished, once its rows are on the disk."""
        os.fsync(self._file)
        line_file = _progress_dir(self.out_dir) / f"rank-{dist.rank()}.jsonl"
        with line_file.open("a", encoding="utf-8") as lines:
            if lines.tell() == 0:
                lines.write(json.dumps(self.header) + "\n")
            lines.write(json.dumps([shard, budget]) + "\n")
            lines.flush()
            os.fsync(lines.fileno())

    def ask_all_to_stop(self) -> None:
        """Tell every rank that the pass has failed, so that none computes on for hours."""
        (_progress_dir(self.out_dir) / "failed").touch()

    def is_stopped(self) -> bool:
        """Whether some rank has failed."""
        return (_progress_dir(self.out_dir) / "failed").exists()

    def complete(self, report: EmbedReport) -> None:
        """Give the finished file its name; called on every rank, done by rank 0 after all are here."""
        dist.barrier()
        dist.on_main(lambda: self._complete(report))

    def _complete(self, report: EmbedReport) -> None:
        # The JSON first: a kill in between leaves all shards finished and no embeddings.npy, which the next call puts right.
        write_json(self.out_dir / "embeddings.json", {"header": self.header, "report": report.as_dict()})
        _partial(self.out_dir).replace(self.out_dir / "embeddings.npy")
        remove(_progress_dir(self.out_dir))

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def open_store(out_dir: Path, header: dict[str, Any]) -> Store:
    """Make the file, or find it with the shards that an earlier call of the same header finished."""
    done = dist.on_main(lambda: _prepare(out_dir, header))
    offset = np.load(_partial(out_dir), mmap_mode="r").offset
    return Store(out_dir, header, done, os.open(_partial(out_dir), os.O_RDWR), offset)


def finished_report(out_dir: Path, header: dict[str, Any]) -> EmbedReport | None:
    """The report of the finished file, if `out_dir` holds one of the same header."""
    if not (out_dir / "embeddings.npy").exists() or not (out_dir / "embeddings.json").exists():
        return None
    record = read_json(out_dir / "embeddings.json")
    return EmbedReport(**record["report"]) if record["header"] == header else None


def _prepare(out_dir: Path, header: dict[str, Any]) -> dict[int, int]:
    progress_dir, shape = _progress_dir(out_dir), (header["n_rows"], header["width"])
    progress_dir.mkdir(parents=True, exist_ok=True)
    remove(progress_dir / "failed")
    remove(out_dir / "embeddings.npy")  # of another pass, or it would not be made again; never to be mistaken for this one's
    done: dict[int, int] = {}
    for line_file in sorted(progress_dir.glob("*.jsonl")) if _partial(out_dir).exists() else []:
        first, *shards = line_file.read_text("utf-8").split("\n")[:-1] or [""]  # a line without its end was cut off by the kill
        if first == json.dumps(header):
            done |= dict(map(json.loads, shards))
    if not done:
        np.lib.format.open_memmap(_partial(out_dir), mode="w+", dtype=np.float32, shape=shape)
    lines = [header, *map(list, sorted(done.items()))]
    write_text(progress_dir / "all.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    for line_file in progress_dir.glob("rank-*.jsonl"):
        remove(line_file)
    return done


def _partial(out_dir: Path) -> Path:
    return out_dir / "embeddings.npy.partial"


def _progress_dir(out_dir: Path) -> Path:
    return out_dir / "embeddings.progress"
