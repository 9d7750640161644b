"""Which token comes next in each row of a batch: the best, one drawn by a number of the question's own, or what float64 says.

    paper    temperature 0.7, the 50 best tokens (DiverseEvol's published code; 50 was its library's default then)
    greedy   the best token; of equals the lowest id
    model    the model's own generation_config, through the library's own processors

Drawing is by inversion: the candidates' probabilities are summed up in the order of their ids, and the first sum that exceeds the question's
next uniform number decides. So what a question is answered does not depend on which others are in its batch, beyond rounding.
Two ways of computing the same score, in a batch or alone, with a cache or without, differ by rounding. Where that could decide, the batch
would decide which token is taken, and everything behind it would differ. There the prompt and what is answered so far go through the
model once more, alone, without padding and without a cache, in float64: the same numbers whatever the batch.
(What a model insists on computing in float32, such as a norm, it computes from float64 inputs, so it rounds the same number each time.)
For `model` the library builds the processors of its generation_config for each prompt alone, and each row is processed alone: a repetition
penalty must not see the padding, nor a batch change what a question is answered.
Cost: one pass over the text so far for each token that is too near to call, and for that moment twice the weights' memory.
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
from torch.func import functional_call

from ..errors import NonFiniteError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROUNDING = 1e-5
"""What a score in float32 may be off by, relative to the largest; some ten times what was measured."""


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


def best(scores_BV: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's best token (of equals the lowest id), and whether rounding may have decided."""
    two_B2 = scores_BV.topk(2, dim=1).values
    return scores_BV.argmax(dim=1), two_B2[:, 0] - two_B2[:, 1] < _slack(two_B2[:, 0])


def drawn(
    scores_BV: Tensor, temperature: float, top_k: int | None, uniforms_B: Tensor
) -> tuple[Tensor, Tensor]:
    """Each row's token by its uniform number among its `top_k` best, and whether rounding may have decided."""
    n_vocabulary = scores_BV.shape[1]
    k = min(top_k or n_vocabulary, n_vocabulary)
    is_open_B = torch.zeros(len(scores_BV), dtype=torch.bool, device=scores_BV.device)
    if k < n_vocabulary:
        values_BK, ids_BK = scores_BV.topk(k + 1, dim=1)
        is_open_B = values_BK[:, k - 1] - values_BK[:, k] < _slack(values_BK[:, 0])
        ids_BK = ids_BK[:, :k].sort(dim=1).values
        scores_BK = scores_BV.gather(1, ids_BK)
    else:
        ids_BK, scores_BK = (
            torch.arange(n_vocabulary, device=scores_BV.device).expand_as(scores_BV),
            scores_BV,
        )
    weights_BK = (scores_BK.double() / temperature).softmax(dim=1)
    sums_BK = weights_BK.cumsum(dim=1)
    wanted_B1 = uniforms_B[:, None] * sums_BK[:, -1:]
    at_B1 = (sums_BK <= wanted_B1).sum(dim=1, keepdim=True).clamp(max=k - 1)
    shares_BK = sums_BK / sums_BK[:, -1:]
    # Scores that are off by d move a share s by 2 d s (1 - s) / temperature at most; another last candidate moves it by what that one weighs.
    slack_BK = 2 * _slack(scores_BV.amax(dim=1))[:, None] / temperature * shares_BK * (1 - shares_BK) + 1e-15
    slack_BK = slack_BK + (is_open_B * weights_BK.amin(dim=1))[:, None]
    is_near_B = ((shares_BK - uniforms_B[:, None]).abs() < slack_BK)[:, : k - 1].any(dim=1)
    return ids_BK.gather(1, at_B1)[:, 0], is_near_B


def _slack(largest_B: Tensor) -> Tensor:
    return ROUNDING * largest_B.abs().clamp(min=1.0)


def exact_scores(model: PreTrainedModel, ids: Sequence[int]) -> Tensor:
    """Scores of the token behind `ids`, float64[1, V]."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    doubles = {
        name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }
    ids_1T = torch.tensor([list(ids)], device=model.get_input_embeddings().weight.device)
    outputs = functional_call(model, doubles, kwargs={"input_ids": ids_1T, "use_cache": False})
    logits_1V: Tensor = outputs.logits[:, -1].double()
    return logits_1V
