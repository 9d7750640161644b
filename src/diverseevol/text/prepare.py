"""From sources to a tokenised pool in a folder: read, check, tokenise, put aside what cannot be trained on.

Done once a run; a second call finds everything in the folder. Reading is rank 0's (one stream of a file),
tokenising every rank's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import dist
from ..base.progress import Watch
from ..config import PoolConfig, PromptConfig
from ..data import Pool, Records, finish_pool, read_pool
from ..data.left_out import QUARANTINE
from .tokens import Tokens, build_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prepared:
    """A pool and its tokens; row i of one is row i of the other."""

    pool: Pool
    tokens: Tokens


def prepare(
    config: PoolConfig,
    prompt: PromptConfig,
    tokenizer: PreTrainedTokenizerBase,
    pool_dir: Path,
    seed: int,
    watch: Watch,
    what: str = "pool",
) -> Prepared:
    """Make a pool ready for training and embedding, or find it ready.

    `what` it is, a line says when it is read.

    Raises:
        PoolError: the data cannot be used (missing, unknown format, too many bad rows, nothing left).
        PromptError: the template cannot be used with this tokenizer.
    """
    tokens_dir = pool_dir / "tokens"
    if not dist.on_main((pool_dir / "index.arrow").exists):
        records = dist.on_main(lambda: read_pool(config, pool_dir, seed, watch) and None) or Records.open(
            pool_dir
        )
        tokens = build_tokens(records.samples, len(records), tokenizer, prompt, tokens_dir, watch)
        counts = tokens.n_tokens, tokens.n_trained, tokens.refused
        overlap = dist.on_main(lambda: finish_pool(pool_dir, config, *counts, watch))
        watch.note(
            f"{what}: "
            f"{_summary(records, tokens, prompt.max_length, len(Pool.open(pool_dir)), overlap, pool_dir)}"
        )
        for note in records.notes:
            watch.note(f"of the {what}, {note}")
    pool = Pool.open(pool_dir)
    return Prepared(pool, Tokens.open(tokens_dir, pool.positions))


def _summary(
    records: Records,
    tokens: Tokens,
    max_length: int,
    n_left: int,
    overlap: Sequence[tuple[str, str]],
    pool_dir: Path,
) -> str:
    """What became of the rows that were read, in a line."""
    n_refused = int((tokens.n_tokens == 0).sum())
    n_too_long = int((tokens.n_trained == 0).sum()) - n_refused
    parts = []
    if records.n_bad + n_refused:
        parts.append((f"{records.n_bad + n_refused:,} bad ones put aside", QUARANTINE))
    if n_too_long:
        share = n_too_long / len(records)
        text = (
            f"{n_too_long:,} ({share:.1%}) left out, whose prompts fill prompt.max_length={max_length} "
            "(raise it if the model reads more)"
        )
        parts.append((text, QUARANTINE))
    parts += overlap
    files = list(dict.fromkeys(file for _, file in parts))
    see = [f"see {', '.join([str(pool_dir / files[0]), *files[1:]])}"] if files else []
    return "; ".join([f"{n_left:,} rows", *(text for text, _ in parts), *see])
