"""Decisions that are too near to call in float32, made in float64.

Two ways of computing the same score, in a batch or alone, with a cache or without, differ by rounding. Where two tokens' scores differ by
less than that, the batch would decide which one is taken, and everything behind it would differ. There the prompt and what is answered so
far go through the model once more, alone, without padding and without a cache, in float64: the same numbers whatever the batch.
(What a model insists on computing in float32, such as a norm, it computes from float64 inputs, so it rounds the same number each time.)
Cost: one pass over the text so far for each such token, and for that moment twice the weights' memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.func import functional_call

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def exact_scores(model: PreTrainedModel, ids: Sequence[int]) -> Tensor:
    """Scores of the token behind `ids`, float64[1, V]."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    doubles = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    ids_1T = torch.tensor([list(ids)], device=model.get_input_embeddings().weight.device)
    outputs = functional_call(model, doubles, kwargs={"input_ids": ids_1T, "use_cache": False})
    logits_1V: Tensor = outputs.logits[:, -1].double()
    return logits_1V
