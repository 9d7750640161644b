"""What an embedding pass did and cost.

FLOPs: 2 a token and parameter outside the embedding tables (ledger.py), plus the attention's two products, which a causal row
of T tokens does for T²/2 pairs: 2·T²·D a layer. A mixture of experts is counted with all its experts. Where a signal needs logits
the head adds 2·V·D a token, counted at every token, also where only the positions before trained tokens are read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from ...run.metrics import forward_flops, n_numbers

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """The figures of one pass, over all ranks."""

    n_rows: int
    width: int
    """Columns of embeddings.npy, or what they would be."""
    n_tokens: int
    """Tokens of the whole pool; those of the answers once more if they had a pass of their own."""
    n_tokens_now: int
    """Tokens that this call computed; fewer than `n_tokens` if it resumed."""
    n_padded_tokens: int
    """Positions that this call computed, padding included."""
    seconds: float
    flops: float
    """Estimate for the whole pool."""
    peak_memory_bytes: int
    """Of the rank that needed most."""
    tokens_per_batch: int
    """The bound on a batch's padded tokens; lower than asked for if memory ran out."""
    n_workers: int
    """Threads of each rank that ran batches side by side."""
    dtype: str
    is_masked: bool
    """Whether padded batches carried an attention mask: only for models in which a position sees later ones."""

    @property
    def tokens_per_second(self) -> float:
        """Tokens of this call over its seconds."""
        return self.n_tokens_now / max(self.seconds, 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def n_outside_tables(model: nn.Module) -> int:
    """A model's parameters but those of its embedding tables."""
    in_tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return sum(n_numbers(parameter) for parameter in model.parameters() if id(parameter) not in in_tables)


def n_heads(text_config: PretrainedConfig) -> int:
    """Attention heads of a layer; 0 for a model without attention, such as Mamba, whose configuration knows no such number."""
    return getattr(text_config, "num_attention_heads", None) or 0


def pass_flops(decoder: PreTrainedModel, n_tokens_N: np.ndarray) -> float:
    """FLOPs of a decoder over rows of these lengths."""
    config = decoder.config.get_text_config()
    lengths_N = n_tokens_N.astype(np.float64)
    width = config.hidden_size if n_heads(config) else 0
    attention: float = 2.0 * config.num_hidden_layers * width * float(np.square(lengths_N).sum())
    return forward_flops(n_outside_tables(decoder), int(n_tokens_N.sum())) + attention


def head_flops(weight_VD: Tensor, n_tokens_N: np.ndarray) -> float:
    """FLOPs of the LM head at every token of rows of these lengths."""
    return forward_flops(weight_VD.numel(), int(n_tokens_N.sum()))
