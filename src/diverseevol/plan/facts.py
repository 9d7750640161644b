"""What is known of a run beside its configuration: how many rows its pool has, and how long they are.

A started run knows the tokens of all its rows; before, `read_facts` tokenises a random sample. Both go
through `facts_of`, so that a plan and a run are counted alike. Shape letters: S rows that were tokenised.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.progress import Watch
from ..config import RunConfig, round_sizes
from ..data import Pool, read_rows_file
from ..errors import ConfigError
from ..models.load import check_fits, load_tokenizer
from ..selection import Signal, make_strategy
from ..text.tokens import Encoder

MAX_SAMPLED = 2000


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan starts from; tokens as the rounds' model reads them, cut at prompt.max_length.

    Attributes:
        n_rows: Rows that can be chosen: those with a token to train on.
        tokens_S: Tokens a row; of a sample, unless all rows were tokenised.
        mean_trained: Tokens a row that the loss counts: the responses.
        signals: What the strategy reads of the rounds' model.
        n_first: Rows of round 0, where a list of the user's gives them.
        program_bytes: What the process takes without a model; 0 where a GPU's memory is meant.
    """

    n_rows: int
    tokens_S: NDArray[np.int64]
    mean_trained: float
    truncated_share: float
    signals: frozenset[str]
    n_first: int | None = None
    program_bytes: int = 0

    @property
    def mean(self) -> float:
        """Tokens a row."""
        return float(self.tokens_S.mean())

    def as_dict(self) -> dict[str, Any]:
        """The rows' figures, as plain values."""
        sampled = {"n_sampled": len(self.tokens_S), "mean": self.mean, "longest": int(self.tokens_S.max())}
        trained = {"mean_trained": self.mean_trained, "truncated_share": self.truncated_share}
        return {"n_rows": self.n_rows, **sampled, **trained}


def facts_of(
    config: RunConfig,
    needs: frozenset[str],
    n_rows: int,
    tokens_3S: NDArray[Any],
    n_first: int | None,
    program_bytes: int = 0,
) -> Facts:
    """Put together what is known of a run, started or not; `needs` may name columns of the records, too.

    `tokens_3S` are those of a row as it is cut, those of them that the loss counts, and those before the cut.

    Raises:
        ConfigError: no row has a token to train on.
    """
    n_tokens_S, n_trained_S, n_full_S = tokens_3S
    is_usable_S = n_trained_S > 0
    share = float(is_usable_S.mean())
    if not share:
        raise ConfigError("no row has a token left to train on: prompts fill prompt.max_length. Raise it.")
    signals = {str(need) for need in needs & frozenset(Signal)}
    signals |= {"embedding"} if config.stop.measure in ("covering_radius", "vendi") else set()
    signals -= {"embedding"} if config.embed.model else set()
    mean_trained = float(n_trained_S[is_usable_S].mean())
    truncated = float((n_full_S > n_tokens_S)[is_usable_S].mean())
    known = (round(n_rows * share), n_tokens_S[is_usable_S], mean_trained, truncated)
    return Facts(*known, frozenset(signals), n_first, program_bytes)


def read_facts(config: RunConfig, watch: Watch, program_bytes: int = 0) -> Facts:
    """Read what the plan of a run that is not started needs; nothing that is written stays.

    Raises:
        DiverseEvolError: the pool, its size, a list, the strategy, the tokenizer or the model cannot be used.
    """
    selection, prompt, holdout = config.selection, config.prompt, config.pool.holdout or 0
    model, code = config.for_rounds().model, config.trust_remote_code
    needs = make_strategy(selection.strategy, **selection.options).needs
    tokenizer = load_tokenizer(model, code)
    check_fits(model, tokenizer, prompt.max_length, code)
    pool = Pool.read(config.pool, config.seed, watch=watch)
    rng = np.random.default_rng([config.seed, len(pool)])
    rows = np.sort(rng.choice(len(pool), min(MAX_SAMPLED, len(pool)), replace=False))
    encoded = Encoder(tokenizer, prompt).encode([pool.sample(row) for row in rows.tolist()])
    tokens_3S = np.array([(len(row.ids), int(row.mask.sum()), row.n_full) for row in encoded]).T
    n_first = len(read_rows_file(Path(selection.seed_subset), pool)) if selection.seed_subset else None
    facts = facts_of(config, needs, len(pool), tokens_3S, n_first, program_bytes)
    n_wanted = sum(round_sizes(config.rounds, config.n_init, config.n_new, config.budget))
    n_free = facts.n_rows - (holdout if isinstance(holdout, int) else round(holdout * len(pool)))
    if n_wanted > n_free and n_first is None:
        raise ConfigError(
            f"the schedule chooses {n_wanted} rows, the pool has {n_free} that are neither held out nor "
            "too long to train on. Lower budget, rounds, n_new or n_init, or raise prompt.max_length."
        )
    return facts
