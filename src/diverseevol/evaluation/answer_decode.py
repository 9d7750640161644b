"""A batch of prompts, answered token by token: one forward pass a token for all rows that go on.

    paper    temperature 0.7, the 50 best tokens (DiverseEvol's published code)
    greedy   the best token; of equals the lowest id
    model    the model's own generation_config, through the library's own processors

A loop of our own over the model's forward pass and the library's cache: the library's keeps rows that have
ended, and gives all rows the same longest answer.
Drawing is by inversion: the candidates' probabilities are summed up in the order of their ids, and the first
sum that exceeds the question's next uniform number decides. So what a question is answered does not depend on
which others are in its batch, beyond the rounding of the scores.
Cost: N forward passes over B rows with a cache; memory for the cache of B × (prompt + answer) tokens.
Shape letters: B rows, T tokens, V vocabulary, K candidates, H heads, D width of a head.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from ..errors import NonFiniteError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROOM = 64  # tokens


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen: without a temperature the best, without `top_k` among all."""

    name: Literal["paper", "greedy", "model"]
    temperature: float | None = None
    top_k: int | None = None


SAMPLINGS = {"paper": Sampling("paper", 0.7, 50), "greedy": Sampling("greedy"), "model": Sampling("model")}


def uniforms(seed: int, question_id: int | str, n: int) -> np.ndarray:
    """The random numbers of one question, float64[n] in [0, 1)."""
    digest = hashlib.blake2b(f"{type(question_id).__name__} {question_id}".encode(), digest_size=8).digest()
    return np.random.default_rng([seed, 0, int.from_bytes(digest, "little")]).random(n)


class Chooser:
    """Chooses tokens for one batch of prompts."""

    def __init__(
        self,
        model: PreTrainedModel,
        sampling: Sampling,
        prompts: Sequence[list[int]],
        uniforms_BN: np.ndarray,
    ) -> None:
        """Take a batch's prompts and its random numbers, float64[B, N], a column a token."""
        where = model.get_input_embeddings().weight.device
        self._uniforms_BN = torch.from_numpy(uniforms_BN).to(where)
        self._temperature, self._top_k = sampling.temperature, sampling.top_k
        self._texts = [list(prompt) for prompt in prompts]
        self._processors: list[Any] = []
        if sampling.name != "model":
            return
        self._temperature = 1.0 if model.generation_config.do_sample else None

        def take(model: Any, input_ids: Tensor, logits_processor: Any, **rest: Any) -> Tensor:  # noqa: ANN401
            self._processors.append(logits_processor)
            return input_ids

        # The library builds its processors for each prompt alone, and hands them to an own loop: a repetition
        # penalty must not see the padding.
        for prompt in prompts:
            ids_1T = torch.tensor([prompt], device=where)
            mask_1T = torch.ones_like(ids_1T)
            model.generate(ids_1T, attention_mask=mask_1T, max_new_tokens=1, custom_generate=take)

    def next_tokens(self, scores_BV: Tensor, rows: Sequence[int], step: int) -> Tensor:
        """The next token of each of the batch's `rows`, int64[B], and take note of it."""
        if bool(scores_BV.isnan().any()):
            raise NonFiniteError(
                "the model's scores for the next token are NaN. Lower train.learning_rate if it diverged, "
                "or give --dtype float32."
            )
        if self._processors:
            texts = [torch.tensor([self._texts[row]], device=scores_BV.device) for row in rows]
            done = [self._processors[row](texts[at], scores_BV[at : at + 1]) for at, row in enumerate(rows)]
            scores_BV = torch.cat(done)
        if self._temperature is None:
            tokens_B = scores_BV.argmax(dim=1)
        else:
            tokens_B = drawn(scores_BV, self._temperature, self._top_k, self._uniforms_BN[list(rows), step])
        for row, token in zip(rows, tokens_B.tolist(), strict=True):
            self._texts[row].append(token)
        return tokens_B


def drawn(scores_BV: Tensor, temperature: float, top_k: int | None, uniforms_B: Tensor) -> Tensor:
    """Each row's token, int64[B], by its uniform number among its `top_k` best."""
    k = min(top_k or scores_BV.shape[1], scores_BV.shape[1])
    ids_BK = scores_BV.topk(k, dim=1).indices.sort(dim=1).values
    sums_BK = (scores_BV.gather(1, ids_BK).double() / temperature).softmax(dim=1).cumsum(dim=1)
    at_B1 = (sums_BK <= uniforms_B[:, None] * sums_BK[:, -1:]).sum(dim=1, keepdim=True).clamp(max=k - 1)
    return ids_BK.gather(1, at_B1)[:, 0]


@dataclass(frozen=True, slots=True)
class Ended:
    """A row of the batch that has ended, with what was generated before the token that ended it."""

    row: int
    ids: list[int]
    finish: Literal["eos", "length"]


@torch.no_grad()
def decode(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
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
    """
    where, longest = model.get_input_embeddings().weight.device, max(map(len, prompts))
    padding = [[0] * (longest - len(prompt)) for prompt in prompts]
    ids_BT = torch.tensor(
        [left + prompt for left, prompt in zip(padding, prompts, strict=True)], device=where
    )
    mask_BT = torch.tensor([left + [1] * (longest - len(left)) for left in padding], device=where)
    positions_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
    plain = model.get_base_model() if hasattr(model, "peft_config") else model
    known = inspect.signature(plain.forward).parameters
    options: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in known else {}
    rows, new, cache = list(range(len(prompts))), [list[int]() for _ in prompts], None
    for step in range(max(max_new)):
        if "position_ids" in known:
            options["position_ids"] = positions_BT
        found = model(
            input_ids=ids_BT, attention_mask=mask_BT, past_key_values=cache, use_cache=True, **options
        )
        cache = found.past_key_values
        if step == 0 and isinstance(cache, Cache):
            cache.layers = [
                RoomyLayer(layer) if type(layer) is DynamicLayer and layer.is_initialized else layer
                for layer in cache.layers
            ]
        tokens_B = chooser.next_tokens(found.logits[:, -1].float(), rows, step)
        del found  # a long prompt's logits are large
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


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A layer whose keys and values, (B, H, T, D), are the beginnings of longer tensors.

    The library's own concatenates at every token, which with 64 rows of 400 tokens copies a gigabyte for each
    token of an answer, more time than the model itself takes (benchmarks/answer.py).
    """

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self._buffers = [layer.keys, layer.values]
        self._show(layer.keys.shape[-2])

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write the new states behind the known ones; return all."""
        start = self.get_seq_length()
        stop = start + key_states.shape[-2]
        for at, new_BHTD in enumerate((key_states, value_states)):
            if stop > self._buffers[at].shape[-2]:
                known_BHTD = self._buffers[at][..., :start, :]
                self._buffers[at] = torch.nn.functional.pad(known_BHTD, (0, 0, 0, stop + ROOM - start))
            self._buffers[at][..., start:stop, :] = new_BHTD
        self._show(stop)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep only some rows, and the room."""
        n_tokens = self.get_seq_length()
        self._buffers = [buffer_BHTD[indices] for buffer_BHTD in self._buffers]
        self._show(n_tokens)

    def _show(self, n_tokens: int) -> None:
        self.keys, self.values = (buffer_BHTD[..., :n_tokens, :] for buffer_BHTD in self._buffers)
