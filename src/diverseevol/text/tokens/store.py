"""The blocks of tokens on disk: how they are written, checked and read.

A block is one Arrow file (any Arrow reader opens it) with a line a row: `ids` (uint16 where the vocabulary
allows, else uint32), `mask` (one bit an id, packed per row), `n_full` (ids before the cut at `max_length`),
`n_trained` and `refused` (the reason, or null). Its metadata carry a stamp of everything that decides its
content. Reading maps the files into memory.

Row numbers here are rows of the store, or of the pool where `positions` says which rows of the store are the
pool's.
Cost: sixteen bytes of memory a row while open; a row's ids are copied when they are asked for, about 5 µs
each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...base.files import replacing
from ...errors import RunFolderError
from .encoding import Encoded

STAMP = b"diverseevol.tokens"
Ints = npt.NDArray[np.int64]
Stamp = dict[str, Any]


@dataclass(frozen=True)
class _Block:
    """One file's columns, flat and memory-mapped."""

    ids: npt.NDArray[Any]
    id_starts: Ints
    bits: npt.NDArray[np.uint8]
    bit_starts: Ints


class Tokens:
    """A pool's token ids and loss masks, on disk; `open` opens them.

    Attributes:
        positions: int64 [N]; the row of the store of each row.
        n_tokens: int32 [N]; ids a row.
        n_trained: int32 [N]; how many of them the loss counts.
        n_full: int32 [N]; ids a row before it was cut at `max_length`.
        refused: Row of the store to the reason why the template refuses it.
    """

    def __init__(self, files: list[Path], rows_per_block: int, positions: Ints | None) -> None:
        """Map the files of all blocks, in order; `open` is the way in."""
        self._rows_per_block = rows_per_block
        self._blocks: list[_Block] = []
        self.refused: dict[int, str] = {}
        counts: list[npt.NDArray[np.int32]] = []
        for number, file in enumerate(files):
            table = _read(file)
            ids, mask = table.column("ids"), table.column("mask")
            block = _Block(_flat(ids.values), _flat(ids.offsets), _flat(mask.values), _flat(mask.offsets))
            self._blocks.append(block)
            columns = (
                np.diff(block.id_starts),
                _flat(table.column("n_trained")),
                _flat(table.column("n_full")),
            )
            counts.append(np.stack([column.astype(np.int32) for column in columns]))
            for row in np.flatnonzero(
                table.column("refused").is_valid().to_numpy(zero_copy_only=False)
            ).tolist():
                self.refused[number * rows_per_block + row] = table.column("refused")[row].as_py()
        everything = np.concatenate(counts, axis=1)
        self.positions: Ints = (
            np.arange(everything.shape[1]) if positions is None else np.asarray(positions, dtype=np.int64)
        )
        self.n_tokens, self.n_trained, self.n_full = everything[:, self.positions]

    @classmethod
    def open(cls, tokens_dir: Path, positions: Ints | None = None) -> Tokens:
        """Open a folder that `build_tokens` filled.

        `positions` are the rows of the store that count, in order.

        Raises:
            RunFolderError: the folder holds no tokens, or not all of them.
        """
        stamp = stamp_of(block_file(tokens_dir, 0))
        if stamp is None:
            raise RunFolderError(
                f"{block_file(tokens_dir, 0)} is missing or damaged. Delete {tokens_dir.parent} and run "
                "again."
            )
        files = [
            block_file(tokens_dir, number)
            for number in range(count_blocks(stamp["n_samples"], stamp["rows_per_block"]))
        ]
        missing = [file.name for file in files if stamp_of(file) != stamp]
        if missing:
            raise RunFolderError(
                f"the tokens in {str(tokens_dir)!r} are incomplete: {len(missing)} of {len(files)} blocks "
                "are missing or "
                f"others' ({missing[0]} first). Delete {tokens_dir.parent} and run again."
            )
        return cls(files, stamp["rows_per_block"], positions)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.positions)

    def ids(self, row: int) -> Ints:
        """Give a row's token ids, int64."""
        block, place = self._place(row)
        return block.ids[block.id_starts[place] : block.id_starts[place + 1]].astype(np.int64)

    def mask(self, row: int) -> npt.NDArray[np.bool_]:
        """Say which of a row's ids the loss counts."""
        block, place = self._place(row)
        bits = block.bits[block.bit_starts[place] : block.bit_starts[place + 1]]
        return np.unpackbits(bits, count=int(self.n_tokens[row])).view(np.bool_)

    def _place(self, row: int) -> tuple[_Block, int]:
        number, place = divmod(int(self.positions[row]), self._rows_per_block)
        return self._blocks[number], place


def as_batch(encoded: list[Encoded], id_type: pa.DataType) -> pa.RecordBatch:
    """Put encoded rows into columns."""
    lengths = np.array([len(row.ids) for row in encoded], np.int64)
    # Every row's bits begin in a byte of their own.
    n_bytes = -(-lengths // 8)
    flags = np.zeros(8 * n_bytes.sum(), np.bool_)
    for row, first in zip(encoded, (8 * (np.cumsum(n_bytes) - n_bytes)).tolist(), strict=True):
        for start, end in row.spans:
            flags[first + start : first + end] = True
    return pa.record_batch(
        {
            "ids": _lists(
                np.fromiter(chain.from_iterable(row.ids for row in encoded), id_type.to_pandas_dtype()),
                lengths,
            ),
            "mask": _lists(np.packbits(flags), n_bytes),
            "n_full": pa.array([row.n_full for row in encoded], pa.int32()),
            "n_trained": pa.array(
                [sum(end - start for start, end in row.spans) for row in encoded], pa.int32()
            ),
            "refused": pa.array([row.refused for row in encoded], pa.string()),
        }
    )


def _lists(values: npt.NDArray[Any], lengths: Ints) -> pa.Array:
    return pa.LargeListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values)


def _flat(array: pa.Array) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=True)
    return values


def write_block(table: pa.Table, stamp: Stamp, file: Path) -> None:
    """Write a block's rows atomically, with their stamp."""
    table = table.replace_schema_metadata({STAMP: json.dumps(stamp)})
    with replacing(file) as partial, pa.ipc.new_file(str(partial), table.schema) as writer:
        # One batch a file, so that every column is one stretch of memory.
        writer.write_table(table, max_chunksize=max(len(table), 1))


def _read(file: Path) -> pa.RecordBatch:
    with pa.memory_map(str(file)) as source:
        table = pa.ipc.open_file(source).read_all().combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def stamp_of(file: Path) -> Stamp | None:
    """Read the stamp of a block; None where there is no readable block."""
    if not file.is_file():
        return None
    try:
        with pa.memory_map(str(file)) as source:
            metadata = pa.ipc.open_file(source).schema.metadata or {}
    except pa.ArrowInvalid:
        return None
    stamp: Stamp | None = json.loads(metadata.get(STAMP, "null"))
    return stamp


def block_file(tokens_dir: Path, number: int) -> Path:
    """Name a block's file."""
    return tokens_dir / f"block-{number:05d}.arrow"


def count_blocks(n_samples: int, rows_per_block: int) -> int:
    """Count the blocks of a store; an empty one has one, which says so."""
    return max(1, -(-n_samples // rows_per_block))
