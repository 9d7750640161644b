"""Which token comes next in each row of a batch: the best, or one drawn by a number of the question's own.

    paper    temperature 0.7, the 50 best tokens (DiverseEvol's published code)
    greedy   the best token; of equals the lowest id
    model    the model's own generation_config, through the library's own processors

Drawing is by inversion: the candidates' probabilities are summed up in the order of their ids, and the first
sum that exceeds the question's next uniform number decides. So what a question is answered does not depend on
which others are in its batch, beyond the rounding of the scores. For `model` the library builds the
processors of its generation_config for each prompt alone, and each row is processed alone: a repetition
penalty must not see the padding.
Shape letters: B rows, V vocabulary, K candidates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import NonFiniteError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        name: paper, greedy or model.
        temperature: What scores are divided by; None: the best is taken.
        top_k: How many of the best tokens may be drawn; None: all.
    """

    name: str
    temperature: float | None = None
    top_k: int | None = None


SAMPLINGS = {
    "paper": Sampling("paper", temperature=0.7, top_k=50),
    "greedy": Sampling("greedy"),
    "model": Sampling("model"),
}


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
        prompts: Sequence[Sequence[int]],
        uniforms_BN: np.ndarray,
    ) -> None:
        """Take a batch's prompts and its random numbers, float64[B, N], a column a token."""
        self._uniforms_BN = torch.from_numpy(uniforms_BN).to(model.get_input_embeddings().weight.device)
        self._temperature, self._top_k = sampling.temperature, sampling.top_k
        self._texts = [list(prompt) for prompt in prompts]
        self._processors: list[Any] = []
        if sampling.name == "model":
            self._processors = [_processors(model, prompt) for prompt in prompts]
            self._temperature = 1.0 if model.generation_config.do_sample else None

    def next_tokens(self, scores_BV: Tensor, rows: Sequence[int], step: int) -> Tensor:
        """The next token of each of the batch's `rows`, int64[B], and take note of it.

        Raises:
            NonFiniteError: a score is NaN.
        """
        if bool(scores_BV.isnan().any()):
            raise NonFiniteError(
                "the model's scores for the next token are NaN. Lower train.learning_rate if it diverged, "
                "or give "
                "--dtype float32."
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


def _processors(model: PreTrainedModel, prompt: Sequence[int]) -> Any:  # noqa: ANN401 - the library's list
    """What the library applies to the scores behind this prompt alone; it hands them to an own loop."""
    found: list[Any] = []

    def take(model: Any, input_ids: Tensor, logits_processor: Any, **rest: Any) -> Tensor:  # noqa: ANN401
        found.append(logits_processor)
        return input_ids

    ids_1T = torch.tensor([list(prompt)], device=model.get_input_embeddings().weight.device)
    model.generate(ids_1T, attention_mask=torch.ones_like(ids_1T), max_new_tokens=1, custom_generate=take)
    return found[0]


def drawn(scores_BV: Tensor, temperature: float, top_k: int | None, uniforms_B: Tensor) -> Tensor:
    """Each row's token, int64[B], by its uniform number among its `top_k` best."""
    k = min(top_k or scores_BV.shape[1], scores_BV.shape[1])
    ids_BK = scores_BV.topk(k, dim=1).indices.sort(dim=1).values
    sums_BK = (scores_BV.gather(1, ids_BK).double() / temperature).softmax(dim=1).cumsum(dim=1)
    at_B1 = (sums_BK <= uniforms_B[:, None] * sums_BK[:, -1:]).sum(dim=1, keepdim=True).clamp(max=k - 1)
    return ids_BK.gather(1, at_B1)[:, 0]
