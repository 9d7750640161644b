"""Peak memory of one device that holds the whole model: a tuning's and an embedding pass's.

Weights as this program loads them: float32 masters for full tuning, the files' own precision under an adapter, half a byte under qlora
(plus its scales). AdamW keeps a gradient and two moments in float32 a tuned weight. Activations follow Korthikanti et al. (2022,
https://arxiv.org/abs/2205.05198, section 4.1): 34 bytes a token, layer and unit of width in 16 bits, with attention whose scores are
never stored; with checkpointing 2 bytes, and one layer whole. Logits are kept in 16 bits and twice in float32. An estimate to see what
fits where, not a promise: allocators keep some 10 % more. Where there is no GPU the ledger sees the whole process, so what that takes
without a model is added.
"""

from __future__ import annotations

from ..config import RunConfig
from .facts import Facts, ModelShape

PER_UNIT, PER_UNIT_CHECKPOINTED = 34, 2
QUANTISED = 0.55
"""Bytes a weight in 4 bits with the scales of its blocks."""
LIBRARIES = 200e6
"""What a first tuning loads and keeps beside tensors, where the process counts: 0.14 and 0.22 GB on two models, torch 2.13 on a CPU."""


def weight_bytes(shape: ModelShape, method: str) -> float:
    """The weights as they lie in memory while they are tuned."""
    per_weight = {"full": 4.0, "lora": float(shape.itemsize), "qlora": QUANTISED}[method]
    return per_weight * shape.n_all + (4.0 * shape.n_adapter if method != "full" else 0.0)


def tuning_bytes(config: RunConfig, shape: ModelShape, longest: int, is_float32: bool = False) -> float:
    """A tuning at its peak: weights, gradients and moments, and the activations of one batch of rows of `longest` tokens."""
    keys, method = config.train.sft, config.train.method
    tuned = shape.n_all if method == "full" else shape.n_adapter
    n_tokens = int(keys.get("per_device_train_batch_size", 4)) * longest
    is_16_bits = keys.get("bf16") or keys.get("fp16") or (keys.get("bf16") is None and not is_float32)
    scale = 1 if is_16_bits else 2
    per_layer = scale * PER_UNIT * shape.width * n_tokens
    if keys.get("gradient_checkpointing") or keys.get("activation_checkpointing"):
        activations = shape.n_layers * scale * PER_UNIT_CHECKPOINTED * shape.width * n_tokens + per_layer
    else:
        activations = shape.n_layers * per_layer
    logits = n_tokens * shape.n_vocabulary * (2 * scale + 8)
    return weight_bytes(shape, method) + 12.0 * tuned + activations + logits


def embedding_bytes(config: RunConfig, shape: ModelShape, longest: int, is_float32: bool = False) -> float:
    """A pass at its peak: the round's model as tuning left it, a copy in the pass's precision, one batch (at least the longest row)."""
    dtype = "model" if config.embed.dtype == "auto" and is_float32 else config.embed.dtype
    itemsize = {"float32": 4, "model": 4 if config.train.method == "full" else shape.itemsize}.get(dtype, 2)
    copy = itemsize * shape.n_decoder if config.train.method == "full" and itemsize != 4 else 0
    budget = config.embed.tokens_per_batch
    n_tokens = max(longest, budget if isinstance(budget, int) else longest)
    per_token = (4 * shape.widest + 8 * shape.width) * itemsize + 12 * shape.width  # as embed/api.py bounds its batches
    return weight_bytes(shape, config.train.method) + copy + n_tokens * per_token


def peaks(config: RunConfig, facts: Facts) -> dict[str, float]:
    """The rounds' peaks, and the final tuning's where there is one."""
    rounds, longest, is_float32 = config.for_rounds(), facts.lengths.percentiles[100], facts.is_float32
    found = {} if rounds.train.command else {"train": tuning_bytes(rounds, facts.model, longest, is_float32)}
    if facts.needs:
        found["embed"] = embedding_bytes(rounds, facts.model, longest, is_float32)
    if config.final:
        target_longest = facts.target_lengths.percentiles[100]
        found["final"] = tuning_bytes(config.for_final(), facts.target, target_longest, is_float32)
    program = facts.program_bytes + LIBRARIES if facts.program_bytes else 0
    return {stage: each + program for stage, each in found.items()}
