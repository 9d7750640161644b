"""A pool's tokens: made once a run, kept in blocks of rows on disk, memory-mapped ever after.

A block is one Arrow file (any Arrow reader opens it) with a row of the pool a row: `ids` (uint16 where the vocabulary allows, else
uint32), `mask` (one bit an id, packed per row), `n_full` (ids before the cut at `max_length`), `n_trained` and `refused` (the
reason, or null). Its metadata carry a stamp of everything that decides its content: tokenizer, template, `max_length`, number of
rows, and the first, middle and last sample. Blocks are written atomically; one with the right stamp is never made again, so
tokenising resumes where it was killed. Block b belongs to rank b modulo the number of ranks.

Row numbers here are rows of the store, or of the pool where `positions` says which rows of the store are the pool's.
Cost: the tokenizer's own batch call; memory of one block while making it, and twelve bytes a row while open.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from . import dist
from .config import PromptConfig
from .encoding import Encoded, Encoder
from .errors import RunFolderError
from .files import remove, replacing
from .pool.sample import Sample
from .progress import Task, Watch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FORMAT = 1
ROWS_PER_BATCH = 1024
STAMP = b"diverseevol.tokens"
Ints = npt.NDArray[np.int64]
Samples = Callable[[int, int], Sequence[Sample]]


@dataclass(frozen=True)
class LengthReport:
    """How long a pool's rows are, and what `max_length` costs.

    Attributes:
        n_rows: Rows, refused ones not counted.
        n_tokens: Tokens that are kept, in all.
        n_trained: Those that the loss counts.
        mean: Mean tokens a row before the cut.
        percentiles: Tokens a row before the cut that 50, 90, 95, 99 and 100 % of the rows do not exceed.
        n_truncated: Rows that `max_length` cuts.
        n_untrained: Rows with nothing left to train on, cut or not.
        n_refused: Rows that the template refuses.
    """

    n_rows: int
    n_tokens: int
    n_trained: int
    mean: float
    percentiles: dict[int, int]
    n_truncated: int
    n_untrained: int
    n_refused: int

    @property
    def truncated_share(self) -> float:
        """Share of the rows that `max_length` cuts."""
        return self.n_truncated / max(self.n_rows, 1)


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
            columns = (np.diff(block.id_starts), _flat(table.column("n_trained")), _flat(table.column("n_full")))
            counts.append(np.stack([column.astype(np.int32) for column in columns]))
            for row in np.flatnonzero(table.column("refused").is_valid().to_numpy(zero_copy_only=False)).tolist():
                self.refused[number * rows_per_block + row] = table.column("refused")[row].as_py()
        everything = np.concatenate(counts, axis=1)
        self.positions: Ints = np.arange(everything.shape[1]) if positions is None else np.asarray(positions, dtype=np.int64)
        self.n_tokens, self.n_trained, self.n_full = everything[:, self.positions]

    @classmethod
    def open(cls, tokens_dir: Path, positions: Ints | None = None) -> Tokens:
        """Open a folder that `build_tokens` filled; `positions` are the rows of the store that count, in order.

        Raises:
            RunFolderError: the folder holds no tokens, or not all of them.
        """
        stamp = _stamp_of(_block_file(tokens_dir, 0))
        if stamp is None:
            raise RunFolderError(f"no tokens in {str(tokens_dir)!r}. Run the same command again to make them.")
        files = [_block_file(tokens_dir, number) for number in range(_n_blocks(stamp["n_samples"], stamp["rows_per_block"]))]
        missing = [file.name for file in files if _stamp_of(file) != stamp]
        if missing:
            raise RunFolderError(
                f"the tokens in {str(tokens_dir)!r} are incomplete: {len(missing)} of {len(files)} blocks are missing or "
                f"others' ({missing[0]} first). Run the same command again to finish them."
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

    def batch(self, rows: Iterable[int]) -> list[Ints]:
        """Give several rows' token ids, in the order asked for."""
        return [self.ids(row) for row in rows]

    def masks(self, rows: Iterable[int]) -> list[npt.NDArray[np.bool_]]:
        """Give several rows' masks, in the order asked for."""
        return [self.mask(row) for row in rows]

    def length_report(self) -> LengthReport:
        """Sum up lengths, cuts and refusals over the rows."""
        is_read = self.n_full > 0
        full = self.n_full[is_read]
        percentiles = np.percentile(full, PERCENTILES, method="higher") if len(full) else np.zeros(len(PERCENTILES))
        return LengthReport(
            n_rows=len(full),
            n_tokens=int(self.n_tokens.sum(dtype=np.int64)),
            n_trained=int(self.n_trained.sum(dtype=np.int64)),
            mean=float(full.mean()) if len(full) else 0.0,
            percentiles={percent: int(value) for percent, value in zip(PERCENTILES, percentiles, strict=True)},
            n_truncated=int((self.n_full > self.n_tokens).sum()),
            n_untrained=int((is_read & (self.n_trained == 0)).sum()),
            n_refused=int((~is_read).sum()),
        )

    def _place(self, row: int) -> tuple[_Block, int]:
        number, place = divmod(int(self.positions[row]), self._rows_per_block)
        return self._blocks[number], place


PERCENTILES = (50, 90, 95, 99, 100)


def build_tokens(
    samples: Samples,
    n_samples: int,
    tokenizer: PreTrainedTokenizerBase,
    prompt: PromptConfig,
    tokens_dir: Path,
    watch: Watch,
    rows_per_block: int = 65_536,
) -> Tokens:
    """Tokenise all samples into a folder, or find them there; every rank does its share and returns all of them.

    A row that the template refuses has no ids, and one that has no trained token left within `max_length` a mask of zeros:
    `n_trained` is 0 for both, so that the pool can put them aside.

    Args:
        samples: Gives the samples from one position up to another.
        n_samples: How many there are.
        tokenizer: A fast tokenizer; it is not changed.
        prompt: The template and the limit.
        tokens_dir: The folder; blocks that belong to something else are replaced.
        watch: Shows progress.
        rows_per_block: Rows a file.

    Raises:
        PromptError: the tokenizer cannot be used with this template at all.
    """
    encoder = Encoder(tokenizer, prompt)
    stamp = _stamp(encoder, samples, n_samples, rows_per_block)
    id_type = pa.uint16() if _highest_id(tokenizer) < 1 << 16 else pa.uint32()
    n_blocks = _n_blocks(n_samples, rows_per_block)
    mine = [number for number in range(dist.rank(), n_blocks, dist.world_size())]
    mine = [number for number in mine if _stamp_of(_block_file(tokens_dir, number)) != stamp]
    bounds = {number: range(number * rows_per_block, min((number + 1) * rows_per_block, n_samples)) for number in mine}
    with watch.task("tokenise", sum(map(len, bounds.values())), "rows") as task:
        for number, rows in bounds.items():
            table = _encode_block(encoder, samples, rows, id_type, task)
            _write(table.replace_schema_metadata({STAMP: json.dumps(stamp)}), _block_file(tokens_dir, number))
    dist.barrier()
    dist.on_main(lambda: _remove_others(tokens_dir, n_blocks))
    return Tokens.open(tokens_dir)


def describe(
    ids: Sequence[int] | npt.NDArray[Any], mask: Sequence[bool] | npt.NDArray[np.bool_], tokenizer: PreTrainedTokenizerBase
) -> list[tuple[str, bool]]:
    """Decode a row into runs of trained and untrained text; joined they are the row's text, special tokens included.

    A character whose tokens are on both sides of a border is shown behind it.
    """
    values = [int(value) for value in ids]
    flags = np.asarray(mask, dtype=np.bool_)
    if not values:
        return []
    borders = [*(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(values)]
    text = tokenizer.decode(values, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    pieces = []
    start = 0
    for border in borders:
        before = tokenizer.decode(values[:border], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        # Half a character is decoded as U+FFFD.
        end = len(text) if border == len(values) else max(start, len(before.rstrip("\ufffd")))
        pieces.append((text[start:end], bool(flags[border - 1])))
        start = end
    return pieces


def _encode_block(encoder: Encoder, samples: Samples, rows: range, id_type: pa.DataType, task: Task) -> pa.Table:
    batches = []
    for start in range(rows.start, rows.stop, ROWS_PER_BATCH):
        stop = min(start + ROWS_PER_BATCH, rows.stop)
        batches.append(_as_batch(encoder.encode(samples(start, stop)), id_type))
        task.advance(stop - start)
    return pa.Table.from_batches(batches or [_as_batch([], id_type)]).combine_chunks()


def _as_batch(encoded: list[Encoded], id_type: pa.DataType) -> pa.RecordBatch:
    ids = np.fromiter(chain.from_iterable(row.ids for row in encoded), id_type.to_pandas_dtype())
    bits = [np.packbits(row.mask) for row in encoded]
    return pa.record_batch(
        {
            "ids": _lists(ids, [len(row.ids) for row in encoded]),
            "mask": _lists(np.concatenate([*bits, np.empty(0, np.uint8)]), [len(row) for row in bits]),
            "n_full": pa.array([row.n_full for row in encoded], pa.int32()),
            "n_trained": pa.array([sum(end - start for start, end in row.spans) for row in encoded], pa.int32()),
            "refused": pa.array([row.refused for row in encoded], pa.string()),
        }
    )


def _lists(values: npt.NDArray[Any], lengths: list[int]) -> pa.Array:
    return pa.LargeListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64), values)


def _flat(array: pa.Array) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=True)
    return values


def _write(table: pa.Table, file: Path) -> None:
    with replacing(file) as partial, pa.ipc.new_file(str(partial), table.schema) as writer:
        # One batch a file, so that every column is one stretch of memory.
        writer.write_table(table, max_chunksize=max(len(table), 1))


def _read(file: Path) -> pa.RecordBatch:
    with pa.memory_map(str(file)) as source:
        table = pa.ipc.open_file(source).read_all().combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def _stamp(encoder: Encoder, samples: Samples, n_samples: int, rows_per_block: int) -> dict[str, Any]:
    """What decides the content of the blocks; three samples stand for all, the run folder checks the pool itself."""
    probes = [repr(list(samples(row, row + 1))) for row in sorted({0, n_samples // 2, n_samples - 1}) if 0 <= row < n_samples]
    content = hashlib.blake2b("\0".join([encoder.fingerprint, *probes]).encode("utf-8", "surrogatepass"), digest_size=16)
    return {"format": FORMAT, "content": content.hexdigest(), "n_samples": n_samples, "rows_per_block": rows_per_block}


def _stamp_of(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        with pa.memory_map(str(file)) as source:
            metadata = pa.ipc.open_file(source).schema.metadata or {}
    except pa.ArrowInvalid:
        return None
    stamp: dict[str, Any] | None = json.loads(metadata.get(STAMP, "null"))
    return stamp


def _block_file(tokens_dir: Path, number: int) -> Path:
    return tokens_dir / f"block-{number:05d}.arrow"


def _n_blocks(n_samples: int, rows_per_block: int) -> int:
    return max(1, -(-n_samples // rows_per_block))


def _remove_others(tokens_dir: Path, n_blocks: int) -> None:
    ours = {_block_file(tokens_dir, number) for number in range(n_blocks)}
    for file in tokens_dir.glob("block-*"):
        if file not in ours:
            remove(file)


def _highest_id(tokenizer: PreTrainedTokenizerBase) -> int:
    return max(len(tokenizer), *tokenizer.get_vocab().values())
