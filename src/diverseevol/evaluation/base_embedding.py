"""A run's pool as one fixed model sees it: the same vectors for every round, so that rounds can be compared.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182) measures subsets with the embeddings
of the untuned base model.
Computed once and kept in the run folder; the pooling is the run's own (`embed.pooling`; the paper's is the
mean over all tokens).
Cost: one pass of the model over the pool, and N·D float32 on the disk.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from ..base import dist
from ..base.progress import Watch
from ..config import validate
from ..data import Pool
from ..errors import RunFolderError
from ..models.embed import embed_tokens, is_embedded
from ..models.load import check_fits, fingerprint, load_model, load_tokenizer, shards_models
from ..run import RunFolder, locked
from ..text.tokens import Tokens, build_tokens


@dataclass(frozen=True)
class FixedEmbedding:
    """Where the vectors lie, and of which model they are."""

    file: Path
    """(N, D) float32; row i is pool row i."""
    model: str


def fixed_embedding(run: RunFolder, model: str | None, watch: Watch) -> FixedEmbedding:
    """Embed the run's pool with its base model (or another), or find that done; every rank calls it.

    Args:
        run: a run whose pool is ready; it may be under way.
        model: a model folder or Hub id; None: the run's base model, whose tokens the run has already.
        watch: sees the progress.

    Raises:
        RunFolderError: this is no run folder, another process makes the same vectors, or the base model is
            not the one that the run was started with.
        PoolError: its pool is not ready.
        ModelError, EmbedError: the model cannot be loaded or embedded with.
    """
    stored = run.config()
    pool = Pool.open(run.pool_dir)
    settings = {key: value for key, value in stored.items() if key not in ("versions", "fingerprint")}
    config = validate(settings | {"out": str(run.root)}).for_rounds()
    base = str(stored["fingerprint"]["model"])
    asked = base if model is None else fingerprint(model)
    is_base = asked == base
    name = config.model if model is None else model
    slug = "base" if is_base else _slug(name, asked)
    folder = run.fixed_dir(slug)
    mark = f"{stored['fingerprint']['pool']} {asked} {config.prompt.model_dump_json()} {config.embed.pooling}"
    if not dist.on_main(lambda: is_embedded(folder, mark)):
        if fingerprint(name) != asked:
            raise RunFolderError(
                f"{name} is not, or no longer, the model that {run.root} was started with. Put that back, or "
                "name its new place (or another model) with --model."
            )
        # The user's leave to run a model's own code was given for the run's model in its place: a fingerprint
        # does not read code.
        is_trusted = config.trust_remote_code and name == config.model
        with locked(folder):
            tokens_dir = run.tokens_dir if is_base else run.fixed_tokens_dir(slug)
            if not is_base:
                tokenizer = load_tokenizer(name, is_trusted)
                check_fits(name, tokenizer, config.prompt.max_length, is_trusted)
                samples, n_samples = pool.records.samples, len(pool.records)
                build_tokens(samples, n_samples, tokenizer, config.prompt, tokens_dir, watch)
            tokens = Tokens.open(tokens_dir, pool.positions)
            loaded = load_model(name, "auto", is_trusted, is_sharded=shards_models())
            embed_tokens(loaded, tokens, folder, config.embed, pool.ids, mark, watch)
    return FixedEmbedding(run.fixed_file(slug), name)


def _slug(model: str, fingerprint_: str) -> str:
    """A folder name of a model's name that is safe whatever the name holds."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", model.rstrip("/").rpartition("/")[2])[:40]
    return f"{name}-{hashlib.blake2b(fingerprint_.encode(), digest_size=4).hexdigest()}"
