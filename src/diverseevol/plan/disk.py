"""Bytes that a run leaves or needs on the disk, by kind.

Weights are saved as they were tuned: float32 for full tuning, the adapter alone (float32) otherwise. A new round's folder is whole before
the old one goes, so that with keep: last two lie there for a moment; the same holds for embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..config import RunConfig
from .facts import Facts, ModelShape
from .work import EMBEDDING, RoundWork

CHECKPOINTS = 2
"""SFTConfig's save_total_limit, as the run sets it."""
TOKENISED_ROW = 28
"""Bytes of a tokenised row beside its ids and mask: where they begin, two counts, why it was refused (tokens/store.py)."""


def saved_bytes(shape: ModelShape, method: str) -> float:
    """One model's folder."""
    return 4.0 * (shape.n_all if method == "full" else shape.n_adapter)


def disk(config: RunConfig, facts: Facts, works: Sequence[RoundWork]) -> dict[str, float]:
    """The most of each kind that lies there at once."""
    rounds = config.for_rounds()
    model = saved_bytes(facts.model, rounds.train.method)
    n_models = {"all": len(works), "last": 2, "best": 3, "none": 1}[rounds.keep]
    passes = [work.n_embedded for work in works if work.n_embedded]
    n_signals = {"all": len(passes), "last": 2, "none": 1}[rounds.keep_signals]
    columns = 4 * facts.model.width * (EMBEDDING in facts.needs) + 8 * len(facts.needs - {EMBEDDING})
    id_bytes = 2 if facts.model.n_vocabulary < 1 << 16 else 4
    n_tokens = facts.lengths.mean * facts.lengths.n_rows
    is_trained_here = not rounds.train.command
    found = {
        "pool": float(facts.pool_bytes),
        "tokens": n_tokens * (id_bytes + 1 / 8) + TOKENISED_ROW * facts.lengths.n_rows,
        "embeddings": float(columns * sum(sorted(passes)[-n_signals:])),
        "weights": model * min(len(works), n_models) if is_trained_here else 0.0,
        # Weights and two moments; only a tuning of more than train.checkpoint_minutes writes any.
        "checkpoints, at most": CHECKPOINTS * 3 * model if is_trained_here else 0.0,
    }
    if config.final:
        found["final weights"] = saved_bytes(facts.target, config.for_final().train.method)
    return found
