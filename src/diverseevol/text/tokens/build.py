"""Tokenise a pool once a run, in blocks of rows that a killed run need not make again.

A block's stamp names the tokenizer, the template, `max_length`, the number of rows, and the first, middle and
last sample. A block is written atomically, and one with the right stamp is never made again. Block b belongs
to rank b modulo the number of ranks.

Cost: the tokenizer's own batch call (all cores), and the memory of one block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from ...base import dist
from ...base.files import remove
from ...base.progress import Task, Watch
from ...config import PromptConfig
from ...data.sample import Sample
from .encoding import Encoder
from .store import Stamp, Tokens, as_batch, block_file, count_blocks, stamp_of, write_block

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FORMAT = 2
ROWS_PER_BATCH = 1024
Samples = Callable[[int, int], Sequence[Sample]]


def build_tokens(
    samples: Samples,
    n_samples: int,
    tokenizer: PreTrainedTokenizerBase,
    prompt: PromptConfig,
    tokens_dir: Path,
    watch: Watch,
    rows_per_block: int = 65_536,
) -> Tokens:
    """Tokenise all samples into a folder, or find them there.

    Every rank does its share and returns all of them.

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
    stamp = _stamp(encoder, samples, n_samples, rows_per_block)
    id_type = pa.uint16() if _highest_id(tokenizer) < 1 << 16 else pa.uint32()
    n_blocks = count_blocks(n_samples, rows_per_block)
    mine = range(dist.rank(), n_blocks, dist.world_size())
    bounds = {
        number: range(number * rows_per_block, min((number + 1) * rows_per_block, n_samples))
        for number in mine
        if stamp_of(block_file(tokens_dir, number)) != stamp
    }
    with watch.task("tokenise", sum(map(len, bounds.values())), "rows") as task:
        for number, rows in bounds.items():
            table = _encode_block(encoder, samples, rows, id_type, task)
            write_block(table, stamp, block_file(tokens_dir, number))
    dist.barrier()
    dist.on_main(lambda: _remove_others(tokens_dir, n_blocks))
    return Tokens.open(tokens_dir)


def _encode_block(
    encoder: Encoder, samples: Samples, rows: range, id_type: pa.DataType, task: Task
) -> pa.Table:
    starts = range(rows.start, rows.stop, ROWS_PER_BATCH)
    batches = []
    for encoded in encoder.encode_batches(
        samples(start, min(start + ROWS_PER_BATCH, rows.stop)) for start in starts
    ):
        batches.append(as_batch(encoded, id_type))
        task.advance(len(encoded))
    return pa.Table.from_batches(batches or [as_batch([], id_type)]).combine_chunks()


def _stamp(encoder: Encoder, samples: Samples, n_samples: int, rows_per_block: int) -> Stamp:
    """What decides the content of the blocks.

    Three samples stand for all, the run folder checks the pool itself.
    """
    probes = [
        repr(list(samples(row, row + 1)))
        for row in sorted({0, n_samples // 2, n_samples - 1})
        if 0 <= row < n_samples
    ]
    content = hashlib.blake2b(
        "\0".join([encoder.fingerprint, *probes]).encode("utf-8", "surrogatepass"), digest_size=16
    )
    return {
        "format": FORMAT,
        "content": content.hexdigest(),
        "n_samples": n_samples,
        "rows_per_block": rows_per_block,
    }


def _remove_others(tokens_dir: Path, n_blocks: int) -> None:
    ours = {block_file(tokens_dir, number) for number in range(n_blocks)}
    for file in tokens_dir.glob("block-*"):
        if file not in ours:
            remove(file)


def _highest_id(tokenizer: PreTrainedTokenizerBase) -> int:
    return max(len(tokenizer), *(int(value) for value in tokenizer.get_vocab().values()))
