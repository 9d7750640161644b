"""Which token comes next in each row of a batch: the sampling's rule, the model's own processors, and float64 where it is near.

For `model` the library builds the processors of its generation_config for each prompt alone, and each row is processed alone: a repetition
penalty must not see the padding, nor a batch change what a question is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ...errors import NonFiniteError
from .draw import best, drawn
from .exact import exact_scores
from .sampling import Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Chooser:
    """Chooses tokens for one batch of prompts."""

    def __init__(
        self, model: PreTrainedModel, sampling: Sampling, prompts: Sequence[Sequence[int]], uniforms_BN: np.ndarray
    ) -> None:
        """Take a batch's prompts and its random numbers, float64[B, N], a row a prompt and a column a token."""
        self._model = model
        self._sampling = sampling
        weight = model.get_input_embeddings().weight
        self._uniforms_BN = torch.from_numpy(uniforms_BN).to(weight.device)
        self._is_exact = weight.dtype == torch.float32
        self._texts = [list(prompt) for prompt in prompts]
        own = sampling.name == "model"
        self._processors = [_processors(model, prompt) for prompt in prompts] if own else []
        self._is_drawn = bool(model.generation_config.do_sample) if own else sampling.temperature is not None

    def next_tokens(self, scores_BV: Tensor, rows: Sequence[int], step: int) -> Tensor:
        """The next token of each of the batch's `rows`, int64[B], and take note of it.

        Raises:
            NonFiniteError: a score is NaN.
        """
        if bool(scores_BV.isnan().any()):
            raise NonFiniteError(
                "the model's scores for the next token are NaN. Lower train.learning_rate if it diverged, or give --dtype float32."
            )
        tokens_B, is_doubtful_B = self._choose(self._processed(scores_BV, rows), rows, step)
        if self._is_exact:
            for at in is_doubtful_B.nonzero()[:, 0].tolist():
                row = rows[at]
                scores_1V = self._processed(exact_scores(self._model, self._texts[row]), [row])
                tokens_B[at] = self._choose(scores_1V, [row], step)[0][0]
        for row, token in zip(rows, tokens_B.tolist(), strict=True):
            self._texts[row].append(token)
        return tokens_B

    def _choose(self, scores_BV: Tensor, rows: Sequence[int], step: int) -> tuple[Tensor, Tensor]:
        if not self._is_drawn:
            return best(scores_BV)
        sampling = self._sampling
        uniforms_B = self._uniforms_BN[list(rows), step]
        return drawn(scores_BV, sampling.temperature or 1.0, sampling.top_k, uniforms_B)

    def _processed(self, scores_BV: Tensor, rows: Sequence[int]) -> Tensor:
        if not self._processors:
            return scores_BV
        device = scores_BV.device
        done = [
            self._processors[row](torch.tensor([self._texts[row]], device=device), scores_BV[at : at + 1])
            for at, row in enumerate(rows)
        ]
        return torch.cat(done)


def _processors(model: PreTrainedModel, prompt: Sequence[int]) -> Any:  # noqa: ANN401 - the library's list of processors
    """What the library would apply to the scores behind this prompt alone; it hands them to a decoding loop of one's own."""
    found: list[Any] = []

    def take(model: Any, input_ids: Tensor, logits_processor: Any, **rest: Any) -> Tensor:  # noqa: ANN401
        found.append(logits_processor)
        return input_ids

    ids_1T = torch.tensor([list(prompt)], device=model.get_input_embeddings().weight.device)
    model.generate(ids_1T, attention_mask=torch.ones_like(ids_1T), max_new_tokens=1, custom_generate=take)
    return found[0]
