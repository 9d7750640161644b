"""The LM head as a matrix, so that its product can be taken for a part of the vocabulary at a time.

Some architectures scale the product, or bend it by a soft cap c·tanh(z/c), before they call it logits. The number stands in
their config; what is done with it does not (Granite divides by `logits_scaling`, HyperCLOVA X multiplies by it). So every
reading of the config is tried against the model's own logits of a few tokens, and the nearest is taken if it is near enough.
Cost: once a pass, one forward pass over PROBE_TOKENS tokens with logits. No copy of the weights.
Shape letters: P positions, V vocabulary, C words of a part of it, D embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import EmbedError

PROBE_TOKENS = 8
SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
SOFT_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")


@dataclass(frozen=True, slots=True)
class Head:
    """From hidden states to logits: cap(scale · (states · weight + bias))."""

    weight_VD: Tensor
    bias_V: Tensor | None
    scale: float = 1.0
    soft_cap: float | None = None

    @property
    def n_words(self) -> int:
        """V."""
        return len(self.weight_VD)

    def logits(self, hidden_PD: Tensor, start: int, out_PC: Tensor) -> None:
        """Write the logits of the C words from `start` on to `out_PC`, float32; the product is in the weights' own dtype."""
        part = slice(start, start + out_PC.shape[1])
        hidden_PD, weight_DC = hidden_PD.to(self.weight_VD.dtype), self.weight_VD[part].T
        if self.weight_VD.dtype == out_PC.dtype:
            torch.mm(hidden_PD, weight_DC, out=out_PC)
        else:
            out_PC.copy_(hidden_PD @ weight_DC)
        if self.bias_V is not None:
            out_PC.add_(self.bias_V[part])
        if self.scale != 1.0:
            out_PC.mul_(self.scale)
        if self.soft_cap is not None:
            out_PC.div_(self.soft_cap).tanh_().mul_(self.soft_cap)


def find_head(layer: nn.Module | None, config: dict[str, Any], hidden_PD: Tensor, logits_PV: Tensor) -> Head:
    """The head that makes these logits of these states.

    Args:
        layer: the model's output embeddings.
        config: the text model's configuration.
        hidden_PD: the decoder's last states of a few tokens.
        logits_PV: the whole model's logits of the same tokens.

    Raises:
        EmbedError: the layer has no plain weight matrix, or the model does more to its logits than the config tells.
    """
    weight = getattr(layer, "weight", None)
    if (
        not isinstance(weight, Tensor)
        or not weight.is_floating_point()
        or weight.shape != (logits_PV.shape[1], hidden_PD.shape[1])
    ):
        found = "none" if layer is None else type(layer).__name__
        raise EmbedError(
            f"cannot compute signals from logits: the model's head must be a matrix of {logits_PV.shape[1]} x {hidden_PD.shape[1]} "
            f"floating-point weights; found {found}. Load the model unquantised and whole, or ask for the embedding alone."
        )
    bias = getattr(layer, "bias", None)
    readings = list(_readings(weight.detach(), None if bias is None else bias.detach(), config))
    errors = [_error(head, hidden_PD, logits_PV) for head in readings]
    best = min(range(len(readings)), key=lambda i: errors[i])
    # Two bits of the dtype's mantissa: the product's sums may run in another order.
    allowed = max(4 * torch.finfo(weight.dtype).eps, 1e-4)
    if not errors[best] <= allowed:
        raise EmbedError(
            f"cannot compute signals from logits: head times states differs from the model's own logits by {errors[best]:.1e} of "
            f"the largest (allowed {allowed:.1e}), so the model changes them in a way that its config does not tell. "
            "Merge an adapter on the head, or ask for the embedding alone."
        )
    return readings[best]


def _readings(weight_VD: Tensor, bias_V: Tensor | None, config: dict[str, Any]) -> Iterator[Head]:
    """Heads by every reading of the config, the plain one last: of equally near ones the first is taken."""
    numbers = [
        float(config[key]) for key in SCALES if isinstance(config.get(key), int | float) and config[key]
    ]
    caps = [
        float(config[key]) for key in SOFT_CAPS if isinstance(config.get(key), int | float) and config[key]
    ]
    for scale in [scale for number in numbers for scale in (number, 1 / number)] + [1.0]:
        for soft_cap in [*caps, None]:
            yield Head(weight_VD, bias_V, scale, soft_cap)


def _error(head: Head, hidden_PD: Tensor, logits_PV: Tensor) -> float:
    """Largest difference as a share of the largest logit."""
    found_PV = torch.empty(logits_PV.shape, dtype=torch.float32, device=head.weight_VD.device)
    head.logits(hidden_PD.to(found_PV.device), 0, found_PV)
    own_PV = logits_PV.to(found_PV)
    return float((found_PV - own_PV).abs().max() / own_PV.abs().max().clamp_min(1e-30))
