"""The library's cache of keys and values with room behind its end, so that a token more is written and not everything copied.

`transformers.DynamicCache` concatenates at every token: with 64 rows of 400 tokens that is a gigabyte copied into new pages for each
token of an answer, more time than the model itself takes (benchmarks/answer.py). Layers of other kinds stay as they are.
Shape letters: B rows, H heads, T tokens, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 64  # tokens


def with_room(cache: Any) -> Any:  # noqa: ANN401 - whatever a model keeps
    """The same cache, whose plain layers have room."""
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
        self,
        key_states: Tensor,
        value_states: Tensor,
        *args: Any,  # noqa: ANN401 - as the library calls it
        **kwargs: Any,  # noqa: ANN401 - as the library calls it
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
