"""From sources to a tokenised pool in a folder: read, check, tokenise, put aside what cannot be trained on.

Done once a run; a second call finds everything in the folder. Reading is rank 0's (one stream of a file), tokenising every rank's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import dist
from .config import PoolConfig, PromptConfig
from .pool import Pool, Records, finish_pool, read_pool
from .progress import Watch
from .tokens import Tokens, build_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prepared:
    """A pool and its tokens; row i of one is row i of the other."""

    pool: Pool
    tokens: Tokens


def prepare(
    config: PoolConfig, prompt: PromptConfig, tokenizer: PreTrainedTokenizerBase, pool_dir: Path, seed: int, watch: Watch
) -> Prepared:
    """Make a pool ready for training and embedding, or find it ready.

    Raises:
        PoolError: the data cannot be used (missing, unknown format, too many bad rows, nothing left).
        PromptError: the template cannot be used with this tokenizer.
    """
    tokens_dir = pool_dir / "tokens"
    if not (pool_dir / "index.arrow").exists():
        records = dist.on_main(lambda: read_pool(config, pool_dir, seed, watch) and None) or Records.open(pool_dir)
        tokens = build_tokens(records.samples, len(records), tokenizer, prompt, tokens_dir, watch)
        dist.on_main(lambda: finish_pool(pool_dir, tokens.n_tokens, tokens.n_trained, config.max_bad) and None)
    pool = Pool.open(pool_dir)
    return Prepared(pool, Tokens.open(tokens_dir, pool.positions))
