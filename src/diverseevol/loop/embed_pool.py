"""A pool as one model sees it, without a run: what `diverseevol select --pool` and `embed_pool` do."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..base import dist
from ..base.files import write_text
from ..base.progress import SILENT, Watch
from ..config import EmbedConfig, PoolConfig, PromptConfig, RunConfig
from ..data import Pool, plain_text
from ..errors import ConfigError
from ..models.embed import EmbedReport, check_head, embed_tokens, open_embeddings
from ..models.load import check_fits, load_model, load_tokenizer, shards_models
from ..models.sentence import embed_texts, load_outer
from ..run import locked
from ..selection import Signal
from ..text.prepare import prepare
from .fingerprint import open_record


def embed_folder(
    config: RunConfig, watch: Watch, signals: frozenset[str] = frozenset({Signal.EMBEDDING})
) -> EmbedReport:
    """Run one model over a pool into `config.out`: embeddings.npy, signals.parquet, ids.txt and the pool.

    Raises:
        DiverseEvolError: as `open_rounds`, and what the embedding pass raises.
    """
    out, is_sharded = Path(config.out), not config.embed.model and shards_models()
    check_head(signals, is_sharded)
    with locked(out) as run:
        fingerprint = dist.on_main(lambda: open_record(run, config))
        if config.embed.model:
            if not dist.on_main((run.pool_dir / "index.arrow").exists):  # of all good rows: none is tokenised
                dist.on_main(lambda: Pool.read(config.pool, config.seed, run.pool_dir, watch) and None)
            pool = Pool.open(run.pool_dir)
        else:
            tokenizer = load_tokenizer(config.model, config.trust_remote_code)
            check_fits(config.model, tokenizer, config.prompt.max_length, config.trust_remote_code)
            data = prepare(config.pool, config.prompt, tokenizer, run.pool_dir, config.seed, watch)
            pool = data.pool
        if dist.is_main():
            write_text(out / "ids.txt", "".join(f"{sample_id}\n" for sample_id in pool.ids))
        if config.embed.model:
            return embed_outer(pool, config, out, fingerprint, watch)
        model = load_model(config.model, "auto", config.trust_remote_code, is_sharded=is_sharded)
        about = (out, config.embed, pool.ids, fingerprint, watch)
        return embed_tokens(model, data.tokens, *about, signals=signals)


def embed_pool(
    model: str,
    pool: str | Path,
    out_dir: str | Path,
    config: EmbedConfig | None = None,
    prompt: PromptConfig | None = None,
    watch: Watch = SILENT,
) -> np.ndarray:
    """Read a pool, tokenise it and embed it with a model; the same call again finds everything done.

    Args:
        model: a model or adapter, as a folder or a Hub id.
        pool: a file, a folder or a Hub id of instruction data, in any known format.
        out_dir: a new folder, or an earlier call's; gets embeddings.npy, ids.txt, and the pool's index.
        config: pooling, dtype and batch size.
        prompt: template and longest row.

    Returns:
        float32[N, D], memory-mapped; row i is row i of `Pool.open(out_dir / "pool")`.

    Raises:
        DiverseEvolError: the folder, the pool, the template or the model cannot be used, or the pass failed
            (see errors.py).
    """
    config, prompt, source = config or EmbedConfig(), prompt or PromptConfig(), PoolConfig(path=str(pool))
    if config.model:
        raise ConfigError(
            f"embed_pool runs {model!r}; the outer model {config.model!r} would not be read. Use embed_texts "
            "for it."
        )
    run = RunConfig(pool=source, model=model, out=str(out_dir), rounds=0, prompt=prompt, embed=config)
    embed_folder(run, watch)
    return open_embeddings(Path(run.out))


def embed_outer(pool: Pool, config: RunConfig, out_dir: Path, fingerprint: str, watch: Watch) -> EmbedReport:
    """Write the vectors of `embed.model` for a pool's rows, as plain text."""
    model = load_outer(str(config.embed.model), config.embed, config.trust_remote_code)
    texts = (lambda row: plain_text(pool.sample(row)), pool.n_characters)
    return embed_texts(model, *texts, out_dir, config.embed, pool.ids, fingerprint, watch)
