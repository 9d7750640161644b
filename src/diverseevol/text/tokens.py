"""A pool's token ids and loss masks on disk: made once a run, in blocks of rows, and memory-mapped.

A block is one Arrow file (any Arrow reader opens it) with a line a row: `ids` (uint16 where the vocabulary
allows, else uint32), `mask` (one bit an id, packed per row), `n_full` (ids before the cut at `max_length`),
`n_trained` and `refused` (the reason, or null). Its metadata carry a stamp of everything that decides its
content: the tokenizer, the template, `max_length`, the number of rows, and the first, middle and last sample.
A block is written atomically, and one with the right stamp is never made again. Block b belongs to rank b
modulo the number of ranks.

Row numbers here are rows of the store, or of the pool where `positions` says which rows of the store are the
pool's.
Cost: to make, the tokenizer's own batch call (all cores) and the memory of one block; to read, sixteen bytes
of memory a row while open, and a row's ids are copied when they are asked for, about 5 µs each.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers.decoders import DecodeStream

from ..base import dist
from ..base.files import remove, replacing
from ..base.progress import Watch
from ..config import PromptConfig
from ..data.sample import Sample
from ..errors import RunFolderError
from .encoding import TAG, USUAL_TAGS, Encoded, Encoder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["BORDER", "Encoder", "Tokens", "build_tokens", "describe"]

FORMAT = 2
ROWS_PER_BATCH = 1024
STAMP = b"diverseevol.tokens"
BORDER = "¦"
"""Stands between the tokens of what reads like a control token and is none."""
Ints = npt.NDArray[np.int64]
Stamp = dict[str, Any]
Samples = Callable[[int, int], Sequence[Sample]]


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
            with pa.memory_map(str(file)) as source:
                table = pa.ipc.open_file(source).read_all().combine_chunks()
            batch = next(iter(table.to_batches()), None) or pa.RecordBatch.from_pylist([], table.schema)
            ids, mask, refused = batch.column("ids"), batch.column("mask"), batch.column("refused")
            block = _Block(*map(_flat, (ids.values, ids.offsets, mask.values, mask.offsets)))
            self._blocks.append(block)
            n_trained, n_full = _flat(batch.column("n_trained")), _flat(batch.column("n_full"))
            counts.append(np.stack([np.diff(block.id_starts), n_trained, n_full]).astype(np.int32))
            for row in np.flatnonzero(refused.is_valid().to_numpy(zero_copy_only=False)).tolist():
                self.refused[number * rows_per_block + row] = refused[row].as_py()
        everything = np.concatenate(counts, axis=1)
        rows = np.arange(everything.shape[1]) if positions is None else positions
        self.positions: Ints = np.asarray(rows, dtype=np.int64)
        self.n_tokens, self.n_trained, self.n_full = everything[:, self.positions]

    @classmethod
    def open(cls, tokens_dir: Path, positions: Ints | None = None) -> Tokens:
        """Open a folder that `build_tokens` filled.

        `positions` are the rows of the store that count, in order.

        Raises:
            RunFolderError: the folder holds no tokens, or not all of them.
        """
        first = _block_file(tokens_dir, 0)
        again = f"Delete {tokens_dir.parent} and run again."
        stamp = _stamp_of(first)
        if stamp is None:
            raise RunFolderError(f"{first} is missing or damaged. {again}")
        n_blocks = _count_blocks(stamp["n_samples"], stamp["rows_per_block"])
        files = [_block_file(tokens_dir, number) for number in range(n_blocks)]
        missing = [file.name for file in files if _stamp_of(file) != stamp]
        if missing:
            raise RunFolderError(
                f"the tokens in {str(tokens_dir)!r} are incomplete: {len(missing)} of {len(files)} blocks "
                f"are missing or others' ({missing[0]} first). {again}"
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


def build_tokens(
    samples: Samples,
    n_samples: int,
    tokenizer: PreTrainedTokenizerBase,
    prompt: PromptConfig,
    tokens_dir: Path,
    watch: Watch,
    rows_per_block: int = 65_536,
) -> Tokens:
    """Tokenise all samples into a folder, or find them there; every rank does its share and returns all.

    A row that the template refuses has no ids, and one that has no trained token left within `max_length` a
    mask of zeros: `n_trained` is 0 for both, so that the pool can put them aside.

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
    # Three samples stand for all, the run folder checks the pool itself.
    probed = [row for row in sorted({0, n_samples // 2, n_samples - 1}) if 0 <= row < n_samples]
    told = "\0".join([encoder.fingerprint, *(repr(list(samples(row, row + 1))) for row in probed)])
    content = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    stamp = {"format": FORMAT, "content": content, "n_samples": n_samples, "rows_per_block": rows_per_block}
    highest_id = max(len(tokenizer), *map(int, tokenizer.get_vocab().values()))
    id_type = pa.uint16() if highest_id < 1 << 16 else pa.uint32()
    n_blocks = _count_blocks(n_samples, rows_per_block)

    def encoded(rows: range) -> pa.RecordBatch:
        return _as_batch(encoder.encode(samples(rows.start, rows.stop)), id_type)

    to_do = {}
    for number in range(dist.rank(), n_blocks, dist.world_size()):
        file, start = _block_file(tokens_dir, number), number * rows_per_block
        if _stamp_of(file) != stamp:
            to_do[file] = range(start, min(start + rows_per_block, n_samples))
    with watch.task("tokenise", sum(map(len, to_do.values())), "rows") as task:
        for file, rows in to_do.items():
            parts = [rows[at : at + ROWS_PER_BATCH] for at in range(0, len(rows), ROWS_PER_BATCH)]
            batches = []
            # While the tokenizer is at one batch, another is made into rows.
            with ThreadPoolExecutor(2) as threads:
                for batch in threads.map(encoded, parts):
                    batches.append(batch)
                    task.advance(len(batch))
            # One batch a file, so that every column is one stretch of memory.
            table = pa.Table.from_batches(batches or [_as_batch([], id_type)]).combine_chunks()
            table = table.replace_schema_metadata({STAMP: json.dumps(stamp)})
            with replacing(file) as partial, pa.ipc.new_file(str(partial), table.schema) as writer:
                writer.write_table(table, max_chunksize=max(len(table), 1))
    dist.barrier()
    dist.on_main(lambda: _remove_others(tokens_dir, n_blocks))
    return Tokens.open(tokens_dir)


def _remove_others(tokens_dir: Path, n_blocks: int) -> None:
    ours = {_block_file(tokens_dir, number) for number in range(n_blocks)}
    for file in set(tokens_dir.glob("block-*")) - ours:
        remove(file)


def _as_batch(encoded: list[Encoded], id_type: pa.DataType) -> pa.RecordBatch:
    """Put encoded rows into columns."""
    lengths = np.array([len(row.ids) for row in encoded], np.int64)
    # Every row's bits begin in a byte of their own.
    n_bytes = -(-lengths // 8)
    flags = np.zeros(8 * n_bytes.sum(), np.bool_)
    for row, first in zip(encoded, (8 * (np.cumsum(n_bytes) - n_bytes)).tolist(), strict=True):
        for start, end in row.spans:
            flags[first + start : first + end] = True
    ids = np.fromiter(chain.from_iterable(row.ids for row in encoded), id_type.to_pandas_dtype())
    n_trained = [sum(end - start for start, end in row.spans) for row in encoded]
    return pa.record_batch(
        {
            "ids": _lists(ids, lengths),
            "mask": _lists(np.packbits(flags), n_bytes),
            "n_full": pa.array([row.n_full for row in encoded], pa.int32()),
            "n_trained": pa.array(n_trained, pa.int32()),
            "refused": pa.array([row.refused for row in encoded], pa.string()),
        }
    )


def _lists(values: npt.NDArray[Any], lengths: Ints) -> pa.Array:
    return pa.LargeListArray.from_arrays(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values)


def _flat(array: pa.Array) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=True)
    return values


def _stamp_of(file: Path) -> Stamp | None:
    """The stamp of a block; None where there is no readable block."""
    if not file.is_file():
        return None
    try:
        with pa.memory_map(str(file)) as source:
            metadata = pa.ipc.open_file(source).schema.metadata or {}
    except pa.ArrowInvalid:
        return None
    stamp: Stamp | None = json.loads(metadata.get(STAMP, "null"))
    return stamp


def _block_file(tokens_dir: Path, number: int) -> Path:
    return tokens_dir / f"block-{number:05d}.arrow"


def _count_blocks(n_samples: int, rows_per_block: int) -> int:
    """Blocks of a store; an empty one has one, which says so."""
    return max(1, -(-n_samples // rows_per_block))


def describe(
    ids: Sequence[int] | npt.NDArray[Any],
    mask: Sequence[bool] | npt.NDArray[np.bool_],
    tokenizer: PreTrainedTokenizerBase,
) -> list[tuple[str, bool]]:
    """Decode a row into runs of trained and untrained text.

    Joined and less `BORDER` they are the row's text, special tokens included. A character whose tokens are on
    both sides of a border is shown behind it.
    """
    values = [int(value) for value in ids]
    if not values:
        return []
    stream = DecodeStream(skip_special_tokens=False)
    texts = [stream.step(tokenizer.backend_tokenizer, value) or "" for value in values]
    # Half a character at the end is decoded as U+FFFD.
    text = tokenizer.decode(values, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    texts[-1] += text[len("".join(texts)) :]
    named = [token.content for token in tokenizer.added_tokens_decoder.values() if token.content.strip()]
    names = {*USUAL_TAGS, *TAG.findall(str(tokenizer.chat_template)), *named}
    tags = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    ends = list(accumulate(map(len, texts)))
    inside = {end for tag in tags.finditer(text) for end in ends if tag.start() < end < tag.end()}
    shown = [
        (part + BORDER * (part != "" and end in inside), bool(on))
        for part, end, on in zip(texts, ends, mask, strict=True)
    ]
    runs = groupby(shown, key=lambda pair: pair[1])
    return [("".join(part for part, _ in run), is_on) for is_on, run in runs]
