"""What a model's logits say about rows: the signals of the uncertainty strategies, chunk by chunk.

The model's own head, with whatever it does to its logits, runs on the decoder's states a chunk of positions
at a time (`own_head`). The `paper_*` signals are DiverseEvol's (Wu et al., 2023,
https://arxiv.org/abs/2311.08182): raw logits, averaged over all positions of a row, whose last predicts
nothing. The others look at the positions that predict the trained tokens: the token at place i is predicted
at place i − 1, so a trained token at a row's very beginning is not counted.
Cost: the head's product and a few sweeps over a chunk; two chunks of float32 (benchmarks/signals.py).
Shape letters: B rows of a batch, T tokens, P positions, V vocabulary, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..selection import Signal
from .batches import NO_TARGET, Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.utils import ModelOutput

# Logits of a chunk. On a CPU few more than its caches hold, yet enough positions for the product to be quick.
CPU_CHUNK = 1 << 22
GPU_CHUNK = 1 << 27
PAPER = frozenset({Signal.PAPER_CONFIDENCE, Signal.PAPER_MARGIN, Signal.PAPER_ENTROPY})
TRAINED = frozenset({Signal.CONFIDENCE, Signal.MARGIN, Signal.ENTROPY, Signal.LOSS})
Head = Callable[[Tensor], Tensor]


def columns_of(signals: Iterable[str]) -> list[Signal]:
    """Those signals that are one number a row, in their fixed order."""
    return [signal for signal in Signal if signal in set(signals) and signal is not Signal.EMBEDDING]


@contextmanager
def own_head(model: PreTrainedModel, decoder: PreTrainedModel, output: type[ModelOutput]) -> Iterator[Head]:
    """The model's way from states (P, D) to logits (P, V), float32, for as long as the block lasts.

    `output` is what the decoder gives: called with `inputs_embeds`, it now gives them back as its last
    states.
    """
    forward = decoder.forward

    def handing_on(*args: Any, inputs_embeds: Tensor | None = None, **kwargs: Any) -> Any:  # noqa: ANN401
        return forward(*args, **kwargs) if inputs_embeds is None else output(last_hidden_state=inputs_embeds)

    def head(states_PD: Tensor) -> Tensor:
        logits_PV: Tensor = model(inputs_embeds=states_PD[None], use_cache=False, return_dict=True).logits[0]
        return logits_PV.float()

    decoder.forward = handing_on
    try:
        yield head
    finally:
        decoder.forward = forward


def row_signals(
    head: Head, n_words: int, hidden_BTD: Tensor, batch: Batch, signals: frozenset[Signal]
) -> dict[str, np.ndarray]:
    """The signals of a batch's rows, float64[B] each; `n_words` is V."""
    is_token_BT = torch.arange(batch.ids_BT.shape[1]) < batch.lengths_B[:, None]
    is_read_BT = is_token_BT if PAPER & signals else batch.targets_BT != NO_TARGET
    positions_P = is_read_BT.flatten().nonzero()[:, 0]
    targets_P, hidden_PD = batch.targets_BT.flatten()[positions_P], hidden_BTD.flatten(0, 1)
    n_at_once = max(1, (CPU_CHUNK if hidden_PD.device.type == "cpu" else GPU_CHUNK) // n_words)
    chunks = [
        position_signals(head(hidden_PD[at.to(hidden_PD.device)]), targets.to(hidden_PD.device), signals)
        for at, targets in zip(
            torch.split(positions_P, n_at_once), torch.split(targets_P, n_at_once), strict=True
        )
    ]
    rows_P, is_trained_P = (positions_P // batch.ids_BT.shape[1]).numpy(), (targets_P != NO_TARGET).numpy()
    columns: dict[str, np.ndarray] = {}
    for signal in columns_of(signals):
        values_P = torch.cat([chunk[signal] for chunk in chunks]).double().cpu().numpy()
        is_counted_P = is_trained_P if signal in TRAINED else np.ones_like(is_trained_P)
        n_B = np.bincount(rows_P[is_counted_P], minlength=len(batch.rows))
        columns[signal] = np.bincount(rows_P[is_counted_P], values_P[is_counted_P], len(batch.rows)) / n_B
    return columns


def position_signals(
    logits_PV: Tensor, targets_P: Tensor, signals: frozenset[Signal]
) -> dict[Signal, Tensor]:
    """The signals of positions, float32[P] each; where no target is, LOSS has no meaning. Uses up the logits.

    A probability that underflows counts as 0 in the entropy, not as NaN, since z − m stays finite.
    """
    largest_P1, at_P1 = logits_PV.max(1, keepdim=True)
    found = {Signal.PAPER_CONFIDENCE: largest_P1[:, 0]}
    if signals & {Signal.MARGIN, Signal.PAPER_MARGIN}:
        second_P = logits_PV.scatter_(1, at_P1, -torch.inf).amax(1)
        logits_PV.scatter_(1, at_P1, largest_P1)
        found[Signal.PAPER_MARGIN] = largest_P1[:, 0] - second_P
    if signals <= {Signal.PAPER_CONFIDENCE, Signal.PAPER_MARGIN}:
        return found
    below_PV = logits_PV.sub_(largest_P1)  # z − m
    powers_PV = below_PV.exp()
    total_P = powers_PV.sum(1)
    found[Signal.CONFIDENCE] = 1 / total_P
    found[Signal.LOSS] = total_P.log() - below_PV.gather(1, targets_P.clamp_min(0)[:, None])[:, 0]
    if Signal.MARGIN in signals:
        found[Signal.MARGIN] = -torch.expm1(-found[Signal.PAPER_MARGIN]) / total_P
    if signals & {Signal.ENTROPY, Signal.PAPER_ENTROPY}:
        entropy_P = total_P.log() - powers_PV.mul_(below_PV).sum(1) / total_P
        found |= {Signal.ENTROPY: entropy_P, Signal.PAPER_ENTROPY: entropy_P}
    return found
