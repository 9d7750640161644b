"""What a run will cost: tokens and FLOPs round by round, and so its time; memory, disk, and a judge's tokens.

One full tuning is the measure: all weights of `model`, tuned on every row for as many epochs. The published
schedule (DiverseEvol, https://arxiv.org/abs/2311.08182, section 3) costs 1.55 of it on 15,011 rows and 1.24
on 52,002, if a forward pass is a third of a training step. Chosen rows are taken to be as long as the pool's
on average (K-Center tends to pick longer ones), and all models to cut a text into as many tokens as the
rounds' one. The last round's model does not read the pool. Models are made on the meta device, without
weights, and counted by the ledger's own functions.

Memory is a tuning's peak on one device that holds the whole model: what fits where, no promise. Activations
follow Korthikanti et al. (2022, https://arxiv.org/abs/2205.05198, section 4.1): 34 bytes a token, layer and
unit of width in 16 bits, attention's scores never stored; with checkpointing 2, and one layer whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ..config import RunConfig, TrainConfig, round_sizes, split_budget
from ..data.benchmarks import KNOWN
from ..errors import REFUSALS, ModelError
from ..models.encoder import find_decoder, head_flops, n_computing, n_outside_tables, pass_flops
from ..models.load import empty_model
from ..run.metrics import forward_flops, training_flops
from .facts import Facts
from .rates import Rates

QUANTISED = 0.55
"""Bytes of a weight in 4 bits with the scales of its blocks."""
LIBRARIES = 200e6
"""Bytes that a first tuning loads beside tensors: 0.14 and 0.22 GB on two models, torch 2.13 on a CPU."""
BENCHMARKS = ("vicuna", "koala", "wizardlm")
JUDGES_FRAME, JUDGES_REPLY = 276, 200
"""Tokens around a question and two answers, and of a verdict (evaluation/templates/pairwise.txt)."""


@dataclass(frozen=True, slots=True)
class ModelCost:
    """FLOPs of a token that it is tuned on, by the run's method and with all weights; of a row; bytes."""

    n_parameters: int
    train_flops: float
    full_flops: float
    embed_tokens: float
    embed_flops: float
    peak_bytes: float
    saved_bytes: float
    signal_bytes: float


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """One round's tuning, and the pass of its model over the pool."""

    n_chosen: int
    n_embedded: int
    train_tokens: float
    train_flops: float
    embed_tokens: float
    embed_flops: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will take; `ratio` is to one full tuning, `same_ratio` to one by the run's own method.

    `memory` is peak bytes by stage, `disk` the most bytes of each kind beside the pool's copy and its tokens,
    `judge` the tokens to judge one round's answers to the paper's benchmarks.
    """

    lengths: dict[str, Any]
    model: ModelCost
    target: ModelCost
    rounds: tuple[RoundPlan, ...]
    flops: float
    final_flops: float
    full_flops: float
    ratio: float
    same_ratio: float
    memory: dict[str, float]
    disk: dict[str, float]
    judge: dict[str, int]

    def seconds(self, rates: Rates) -> dict[str, float]:
        """Seconds of a run's stages, and of one full tuning."""
        n_rounds, n_finals = len(self.rounds), 1 if self.final_flops else 0
        return {
            "train": sum(each.train_flops for each in self.rounds) / rates.train + n_rounds * rates.start,
            "embed": sum(each.embed_flops for each in self.rounds) / rates.embed,
            "final": self.final_flops / rates.train + n_finals * rates.start,
            "full": self.full_flops / rates.train + rates.start,
        }


def make_plan(config: RunConfig, facts: Facts) -> Plan:
    """Work a run out; `config` as the user gave it. It raises what `cost_of_model` does."""
    rounds, final = config.for_rounds(), config.for_final()
    model = cost_of_model(rounds, facts)
    target = model if final is rounds else cost_of_model(final, facts)
    works = tuple(_rounds(rounds, facts, model))
    kept = {"all": len(works), "last": 2, "best": 3, "none": 1}  # a new one is there before an old one goes
    n_embedded = sum(sorted(each.n_embedded for each in works)[-kept[config.keep_signals] :])
    memory = {} if rounds.train.command else {"train": model.peak_bytes}
    disk = {
        "weights": model.saved_bytes * min(len(works), kept[config.keep]),
        "checkpoints, at most": 2 * 3 * model.saved_bytes,  # two, of weights and two moments
        "embeddings": model.signal_bytes * n_embedded,
    }
    flops, final_flops = sum(each.train_flops + each.embed_flops for each in works), 0.0
    if config.final:
        n_chosen = works[-1].n_chosen
        final_flops = target.train_flops * facts.mean * n_chosen * epochs_of(final.train, n_chosen)
        memory["final"], disk["final weights"] = target.peak_bytes, target.saved_bytes
    pool_tokens = facts.mean * facts.n_rows * epochs_of(final.train, facts.n_rows)
    # A judge takes one round's answers in both orders, if they are as long as the pool's.
    n_judgements = 2 * sum(KNOWN[name].n_questions for name in BENCHMARKS)
    tokens_in = round(n_judgements * (JUDGES_FRAME + facts.mean + facts.mean_trained))
    judge = {"n_judgements": n_judgements, "tokens_in": tokens_in, "tokens_out": JUDGES_REPLY * n_judgements}
    return Plan(
        lengths=facts.as_dict(),
        model=model,
        target=target,
        rounds=works,
        flops=flops + final_flops,
        final_flops=final_flops,
        full_flops=target.full_flops * pool_tokens,
        ratio=(flops + final_flops) / (target.full_flops * pool_tokens),
        same_ratio=(flops + final_flops) / (target.train_flops * pool_tokens),
        memory=memory,
        disk=disk,
        judge=judge,
    )


def _rounds(config: RunConfig, facts: Facts, model: ModelCost) -> Iterator[RoundPlan]:
    """Every round's work; `config` as the rounds see it."""
    sizes = sizes_of(config, facts)
    for index, n_chosen in enumerate(accumulate(sizes)):
        n_embedded = 0
        if index + 1 < len(sizes) and facts.signals:  # as loop/candidates.py draws
            n_free = max(0, facts.n_rows - n_chosen)
            n_drawn = max(sizes[index + 1], math.ceil(config.selection.candidates * n_free))
            n_embedded = n_chosen + min(n_free, n_drawn)
        n_trained = facts.mean * n_chosen * epochs_of(config.train, n_chosen)
        tuning = (n_trained, model.train_flops * n_trained)
        yield RoundPlan(
            n_chosen, n_embedded, *tuning, model.embed_tokens * n_embedded, model.embed_flops * n_embedded
        )


def sizes_of(config: RunConfig, facts: Facts) -> list[int]:
    """How many rows each round adds, with a budget in tokens turned into rows of mean length."""
    sizes = round_sizes(config.rounds, config.n_init, config.n_new, config.budget)
    sizes = sizes if facts.n_first is None else [facts.n_first, *sizes[1:]]
    budget = split_budget(config.budget)[1]
    most = sum(sizes) if budget is None else max(1, int(budget / facts.mean))
    totals = [min(total, most) for total in accumulate(sizes)]
    return [after - before for before, after in zip([0, *totals], totals, strict=False) if after > before]


def epochs_of(train: TrainConfig, n_rows: int) -> float:
    """How often a tuning reads each of its rows."""
    keys = train.sft
    max_steps = int(keys.get("max_steps") or -1)
    if max_steps <= 0:
        return float(keys.get("num_train_epochs", 3))
    n_device, n_parts = keys.get("per_device_train_batch_size", 4), keys.get("gradient_accumulation_steps")
    per_step = int(n_device) * int(n_parts) if n_parts else train.total_batch_size or int(n_device)
    return max_steps / math.ceil(n_rows / per_step)


def cost_of_model(config: RunConfig, facts: Facts) -> ModelCost:
    """What `config.model` takes, tuned as `config.train` says.

    Raises:
        ModelError: it cannot be made without its weights, or PEFT cannot put the adapter on it.
        EmbedError: it cannot be embedded with.
    """
    model, train = empty_model(config.model, config.trust_remote_code), config.train
    full_flops, is_adapter = training_flops(n_computing(model), 1), train.method != "full"
    if is_adapter:
        from peft import LoraConfig, get_peft_model  # which takes seconds

        try:
            model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **train.lora))
        except REFUSALS as error:
            found = f"PEFT puts no adapter on {config.model}: {error}"
            raise ModelError(f"{found}. Correct train.lora.") from error
    decoder, head = find_decoder(model), model.get_output_embeddings().weight
    shape, tokens_S, signals = model.config.get_text_config(), facts.tokens_S, facts.signals
    n_tuned = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    n_frozen = sum(weight.numel() for weight in model.parameters()) - n_tuned
    held = 4.0 * n_tuned + (QUANTISED if train.method == "qlora" else model.dtype.itemsize) * n_frozen
    in_body = pass_flops(decoder, tokens_S) / len(tokens_S)
    in_head = head_flops(head, tokens_S) / len(tokens_S)
    others, n_again = signals - {"answer_loss"}, facts.mean_trained if "answer_loss" in signals else 0.0
    again = n_again * forward_flops(n_outside_tables(decoder) + head.numel(), 1)  # over the responses alone
    # A step's activations and logits (in its precision, and twice in float32); on a CPU the program, too.
    keys, n_layers = train.sft, shape.num_hidden_layers
    n_tokens = int(keys.get("per_device_train_batch_size", 4)) * int(tokens_S.max())
    scale = 1 if keys.get("fp16") or keys.get("bf16", not facts.program_bytes) else 2
    is_checkpointed = keys.get("gradient_checkpointing") or keys.get("activation_checkpointing")
    units = scale * (2 * n_layers + 34 if is_checkpointed else 34 * n_layers) * shape.hidden_size
    held += float(n_tokens * (units + (2 * scale + 8) * shape.vocab_size))
    held += facts.program_bytes + LIBRARIES if facts.program_bytes else 0.0
    return ModelCost(
        n_parameters=n_frozen if is_adapter else n_tuned,
        train_flops=training_flops(n_computing(model), 1, is_adapter),
        full_flops=full_flops,
        embed_tokens=(facts.mean if others else 0.0) + n_again,
        embed_flops=(in_body if others else 0.0) + (in_head if others - {"embedding"} else 0.0) + again,
        peak_bytes=held + 12.0 * n_tuned,  # gradient, AdamW's moments
        saved_bytes=4.0 * n_tuned,
        signal_bytes=4.0 * shape.hidden_size * ("embedding" in signals) + 8 * len(signals - {"embedding"}),
    )
