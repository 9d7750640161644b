"""What models compute: parameters that cost products, and FLOPs of a pass.

2 FLOPs a token and parameter outside the embedding tables (run/metrics.py), plus attention's two products,
which a causal row of T tokens does for T²/2 pairs: 2·T²·D a layer. A mixture of experts is counted with all
its experts. Where a signal needs logits the head adds 2·V·D a token, counted at every token, also where only
some positions are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from ..run.metrics import forward_flops, n_numbers

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def n_computing(model: PreTrainedModel) -> int:
    """Parameters that cost products for each token: all but the token embeddings' look-up.

    The output head's are counted even where it is tied.
    """
    n_all = sum(map(n_numbers, model.parameters()))
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    return n_all if is_tied else n_all - int(model.get_input_embeddings().weight.numel())


def n_outside_tables(model: nn.Module) -> int:
    """A model's parameters but those of its embedding tables."""
    in_tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return sum(n_numbers(parameter) for parameter in model.parameters() if id(parameter) not in in_tables)


def n_heads(text_config: PretrainedConfig) -> int:
    """Attention heads of a layer; 0 for a model without attention, such as Mamba."""
    return getattr(text_config, "num_attention_heads", None) or 0


def pass_flops(decoder: PreTrainedModel, n_tokens_N: np.ndarray) -> float:
    """FLOPs of a decoder over rows of these lengths."""
    config = decoder.config.get_text_config()
    width = config.hidden_size if n_heads(config) else 0
    attention: float = (
        2.0 * config.num_hidden_layers * width * float(np.square(n_tokens_N.astype(np.float64)).sum())
    )
    return forward_flops(n_outside_tables(decoder), int(n_tokens_N.sum())) + attention


def head_flops(weight_VD: Tensor, n_tokens_N: np.ndarray) -> float:
    """FLOPs of the LM head at every token of rows of these lengths."""
    return forward_flops(weight_VD.numel(), int(n_tokens_N.sum()))
