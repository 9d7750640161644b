"""From sources to a tokenised pool in a folder: read, check, tokenise, put aside what cannot be trained on.

Done once a run; a second call finds everything in the folder. Reading is rank 0's (one stream of a file),
tokenising every rank's.
"""

from __future__ import annotations

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
        read = dist.on_main(lambda: read_pool(config, pool_dir, seed, watch) and None)
        records = read or Records.open(pool_dir)
        tokens = build_tokens(records.samples, len(records), tokenizer, prompt, tokens_dir, watch)
        counts = tokens.n_tokens, tokens.n_trained, tokens.refused
        overlap = dist.on_main(lambda: finish_pool(pool_dir, config, *counts, watch))
        told = [*_left_out(records, tokens, prompt.max_length), *overlap]
        line = "; ".join([f"{len(Pool.open(pool_dir)):,} rows", *(text for text, _ in told)])
        if files := list(dict.fromkeys(file for _, file in told)):
            line += f"; see {', '.join([str(pool_dir / files[0]), *files[1:]])}"
        watch.note(f"{what}: {line}")
        for note in records.notes:
            watch.note(f"of the {what}, {note}")
    pool = Pool.open(pool_dir)
    return Prepared(pool, Tokens.open(tokens_dir, pool.positions))


def _left_out(records: Records, tokens: Tokens, max_length: int) -> list[tuple[str, str]]:
    """What cannot be trained on, in words, and the file that says why."""
    n_refused = int((tokens.n_tokens == 0).sum())
    n_too_long = int((tokens.n_trained == 0).sum()) - n_refused
    parts = []
    if records.n_bad + n_refused:
        parts.append((f"{records.n_bad + n_refused:,} bad ones put aside", QUARANTINE))
    if n_too_long:
        text = (
            f"{n_too_long:,} ({n_too_long / len(records):.1%}) left out, whose prompts fill "
            f"prompt.max_length={max_length} (raise it if the model reads more)"
        )
        parts.append((text, QUARANTINE))
    return parts
