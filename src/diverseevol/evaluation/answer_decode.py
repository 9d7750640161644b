"""A batch of prompts, answered token by token: one forward pass a token for all rows that go on.

A row that ends leaves the batch, so nothing is computed for it any more. It is a loop of our own over the
model's plain forward pass and the library's cache, because the library's loop keeps finished rows, and gives
all rows the same longest answer.
The cache has room behind its end: `transformers.DynamicCache` concatenates at every token, which with 64 rows
of 400 tokens copies a gigabyte for each token of an answer, more time than the model itself takes
(benchmarks/answer.py).
Cost: N forward passes over B rows with a cache; memory for the cache of B × (prompt + answer) tokens.
Shape letters: B rows, T tokens, V vocabulary, H heads, D width of a head.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from .answer_choose import Chooser

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROOM = 64  # tokens


@dataclass(frozen=True, slots=True)
class Ended:
    """A row that has ended.

    Attributes:
        row: Its number in the batch.
        ids: What was generated, without the token that ended it.
        finish: eos: the model ended it; length: it had all the tokens that it might have.
    """

    row: int
    ids: list[int]
    finish: Literal["eos", "length"]


def decode(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    max_new: Sequence[int],
    stops: Collection[int],
    chooser: Chooser,
    on_step: Callable[[int], None],
) -> Iterator[Ended]:
    """Answer prompts, giving each row as it ends.

    Args:
        max_new: How many tokens each row may have.
        stops: Tokens that end an answer.
        on_step: Is told, after each token, how many rows got one.

    Raises:
        NonFiniteError: the model computes NaN.
    """
    where = model.get_input_embeddings().weight.device
    ids_BT, mask_BT = _left_padded(prompts, where)
    positions_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
    options = _options(model)
    rows, new, cache = list(range(len(prompts))), [list[int]() for _ in prompts], None
    for step in range(max(max_new)):
        tokens_B, cache = _step(model, ids_BT, mask_BT, positions_BT, cache, options, chooser, rows, step)
        cache = cache if step else with_room(cache)
        on_step(len(rows))
        kept, ended = [], []
        for at, (row, token) in enumerate(zip(rows, tokens_B.tolist(), strict=True)):
            if token in stops:
                ended.append(Ended(row, new[row], "eos"))
                continue
            new[row].append(token)
            if len(new[row]) == max_new[row]:
                ended.append(Ended(row, new[row], "length"))
            else:
                kept.append(at)
        yield from ended
        if not kept:
            return
        if ended:
            kept_B = torch.tensor(kept, device=where)
            cache.batch_select_indices(kept_B)
            tokens_B, mask_BT, positions_BT = tokens_B[kept_B], mask_BT[kept_B], positions_BT[kept_B]
            rows = [rows[at] for at in kept]
        ids_BT, positions_BT = tokens_B[:, None], positions_BT[:, -1:] + 1
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(rows), 1)], dim=1)


@torch.no_grad()
def _step(
    model: PreTrainedModel,
    ids_BT: Tensor,
    mask_BT: Tensor,
    positions_BT: Tensor,
    cache: Any,  # noqa: ANN401 - the library's cache
    options: dict[str, Any],
    chooser: Chooser,
    rows: Sequence[int],
    step: int,
) -> tuple[Tensor, Any]:
    if "position_ids" in options:
        options = {**options, "position_ids": positions_BT}
    outputs = model(
        input_ids=ids_BT, attention_mask=mask_BT, past_key_values=cache, use_cache=True, **options
    )
    return chooser.next_tokens(outputs.logits[:, -1].float(), rows, step), outputs.past_key_values


def _left_padded(prompts: Sequence[Sequence[int]], where: torch.device) -> tuple[Tensor, Tensor]:
    longest = max(map(len, prompts))
    ids_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask_BT = torch.zeros_like(ids_BT)
    for row, prompt in enumerate(prompts):
        ids_BT[row, longest - len(prompt) :] = torch.tensor(list(prompt))
        mask_BT[row, longest - len(prompt) :] = 1
    return ids_BT.to(where), mask_BT.to(where)


def _options(model: PreTrainedModel) -> dict[str, Any]:
    """What this kind of model takes beside ids, mask and cache: positions, the last token's scores."""
    plain = model.get_base_model() if hasattr(model, "peft_config") else model
    known = inspect.signature(plain.forward).parameters
    options: dict[str, Any] = {"position_ids": None} if "position_ids" in known else {}
    return {**options, "logits_to_keep": 1} if "logits_to_keep" in known else options


def with_room(cache: Any) -> Any:  # noqa: ANN401 - whatever a model keeps
    """The same cache, whose plain layers have room; those of other kinds stay as they are."""
    if isinstance(cache, Cache):
        cache.layers = [
            RoomyLayer(layer) if type(layer) is DynamicLayer and layer.is_initialized else layer
            for layer in cache.layers
        ]
    return cache


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A layer whose keys and values, (B, H, T, D), are the beginnings of longer tensors."""

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self._buffers = (layer.keys, layer.values)
        self._show(layer.keys.shape[-2])

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write the new states behind the known ones; return all."""
        start = self.get_seq_length()
        stop = start + key_states.shape[-2]
        if stop > self._buffers[0].shape[-2]:
            self._buffers = (_longer(self.keys, stop + ROOM), _longer(self.values, stop + ROOM))
        for buffer_BHTD, new_BHTD in zip(self._buffers, (key_states, value_states), strict=True):
            buffer_BHTD[..., start:stop, :] = new_BHTD
        self._show(stop)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only some rows, and the room."""
        n_tokens = self.get_seq_length()
        self._buffers = (self._buffers[0][indices], self._buffers[1][indices])
        self._show(n_tokens)

    def _show(self, n_tokens: int) -> None:
        self.keys, self.values = (buffer_BHTD[..., :n_tokens, :] for buffer_BHTD in self._buffers)


def _longer(states_BHTD: Tensor, n_tokens: int) -> Tensor:
    """The states at the beginning of a tensor with room for so many tokens."""
    longer_BHTD = torch.empty(
        *states_BHTD.shape[:-2],
        n_tokens,
        states_BHTD.shape[-1],
        dtype=states_BHTD.dtype,
        device=states_BHTD.device,
    )
    longer_BHTD[..., : states_BHTD.shape[-2], :] = states_BHTD
    return longer_BHTD
