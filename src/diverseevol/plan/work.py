"""Tokens and FLOPs of a run, round by round, as the ledger counts them (ledger.py, embed/report.py).

Source of the schedule: DiverseEvol (https://arxiv.org/abs/2311.08182), section 3. Chosen rows are taken to be as long as the pool's on
average; K-Center tends to pick longer ones. The last round's model is not run over the pool, for nothing is chosen after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

from ..config import RunConfig, TrainConfig, round_sizes, split_budget
from ..ledger import forward_flops, training_flops
from .facts import Facts, Lengths, ModelShape

EPOCHS = 3.0
"""SFTConfig's own default."""
EMBEDDING, ANSWER_LOSS = "embedding", "answer_loss"


@dataclass(frozen=True, slots=True)
class RoundWork:
    """One round's tuning, and the pass of its model over the pool."""

    index: int
    n_new: int
    n_chosen: int
    n_embedded: int
    tokens_chosen: float
    train_tokens: float
    train_flops: float
    embed_tokens: float
    embed_flops: float
    heldout_flops: float

    @property
    def flops(self) -> float:
        """All of it."""
        return self.train_flops + self.embed_flops + self.heldout_flops


def sizes_of(config: RunConfig, facts: Facts) -> list[int]:
    """How many rows each round adds, with a budget in tokens turned into rows of mean length."""
    sizes = round_sizes(config.rounds, config.n_init, config.n_new, config.budget)
    sizes = sizes if facts.n_first is None else [facts.n_first, *sizes[1:]]
    _, budget = split_budget(config.budget)
    if budget is None or not facts.lengths.mean:
        return sizes
    most = max(1, int(budget / facts.lengths.mean))
    totals = [min(total, most) for total in accumulate(sizes)]
    cut = [after - before for before, after in zip([0, *totals], totals, strict=False)]
    return [size for size in cut if size > 0]


def epochs_of(train: TrainConfig, n_rows: int) -> float:
    """How often a tuning reads each of its rows."""
    keys = train.sft
    max_steps = int(keys.get("max_steps", -1) or -1)
    if max_steps > 0:
        per_step = int(keys.get("per_device_train_batch_size", 4)) * int(keys.get("gradient_accumulation_steps", 1))
        if train.total_batch_size and "gradient_accumulation_steps" not in keys:
            per_step = train.total_batch_size
        return max_steps / math.ceil(n_rows / per_step)
    return float(keys.get("num_train_epochs", EPOCHS))


def tuning_flops(shape: ModelShape, n_tokens: float, is_adapter: bool) -> float:
    """FLOPs of a tuning over so many tokens; an adapter's own weights count among the model's."""
    return training_flops(shape.n_computing + (shape.n_adapter if is_adapter else 0), round(n_tokens), is_adapter)


def pass_flops(shape: ModelShape, lengths: Lengths, n_rows: int, has_head: bool, is_adapter: bool) -> float:
    """FLOPs of a forward pass without logits, or with: 2 a parameter and token, and attention's two products."""
    n_parameters = shape.n_decoder + (shape.n_adapter if is_adapter else 0) + (shape.n_head if has_head else 0)
    attention = 2.0 * shape.n_layers * (shape.width if shape.n_heads else 0) * lengths.mean_square * n_rows
    return forward_flops(n_parameters, round(lengths.mean * n_rows)) + attention


def rounds_of(config: RunConfig, facts: Facts) -> list[RoundWork]:
    """Every round's work; `config` as the rounds see it."""
    sizes, lengths, shape = sizes_of(config, facts), facts.lengths, facts.model
    is_adapter = config.train.method != "full"
    works, n_chosen = [], 0
    for index, n_new in enumerate(sizes):
        n_chosen += n_new
        n_next = sizes[index + 1] if index + 1 < len(sizes) else 0
        n_embedded = _n_seen(config, facts, n_chosen, n_next) if n_next and facts.needs else 0
        trained = lengths.mean * n_chosen * epochs_of(config.train, n_chosen)
        embed_tokens, embed_flops = _embedding(facts, n_embedded, is_adapter)
        works.append(
            RoundWork(
                index=index,
                n_new=n_new,
                n_chosen=n_chosen,
                n_embedded=n_embedded,
                tokens_chosen=lengths.mean * n_chosen,
                train_tokens=trained,
                train_flops=tuning_flops(shape, trained, is_adapter),
                embed_tokens=embed_tokens,
                embed_flops=embed_flops,
                heldout_flops=pass_flops(shape, lengths, facts.n_heldout, True, is_adapter),
            )
        )
    return works


def _n_seen(config: RunConfig, facts: Facts, n_chosen: int, n_next: int) -> int:
    """Rows that a round's model looks at: all, or the chosen ones and a share of the others (as seen.py draws them)."""
    share, n_free = config.selection.candidates, facts.lengths.n_rows - n_chosen
    if share >= 1:
        return facts.lengths.n_rows
    return n_chosen + max(0, min(n_free, max(n_next, math.ceil(share * n_free))))


def _embedding(facts: Facts, n_rows: int, is_adapter: bool) -> tuple[float, float]:
    """Tokens and FLOPs of the pass over so many rows, and of the second one over the responses alone if `answer_loss` is needed."""
    lengths, tokens, flops = facts.lengths, 0.0, 0.0
    if facts.needs - {ANSWER_LOSS}:
        has_head = bool(facts.needs - {ANSWER_LOSS, EMBEDDING})
        tokens += lengths.mean * n_rows
        flops += pass_flops(facts.model, lengths, n_rows, has_head, is_adapter)
    if ANSWER_LOSS in facts.needs:
        n_parameters = facts.model.n_decoder + facts.model.n_head + (facts.model.n_adapter if is_adapter else 0)
        tokens += lengths.mean_trained * n_rows
        flops += forward_flops(n_parameters, round(lengths.mean_trained * n_rows))
    return tokens, flops
