"""From scores to the next token: the best one, or one drawn by a number that belongs to the question and not to the batch.

Drawing is by inversion: the candidates' probabilities are summed up in the order of their ids, and the first sum that exceeds the question's next
uniform number decides. So what a question is answered does not depend on which others are in its batch, beyond rounding; and where rounding
could decide, the row is reported as doubtful (exact.py).
Shape letters: B rows, V vocabulary, K candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-5
"""What a score in float32 may be off by, relative to the largest; some ten times what was measured."""


def best(scores_BV: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's best token (of equals the lowest id), and whether rounding may have decided."""
    two_B2 = scores_BV.topk(2, dim=1).values
    return scores_BV.argmax(dim=1), two_B2[:, 0] - two_B2[:, 1] < _slack(two_B2[:, 0])


def drawn(scores_BV: Tensor, temperature: float, top_k: int | None, uniforms_B: Tensor) -> tuple[Tensor, Tensor]:
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
        ids_BK, scores_BK = torch.arange(n_vocabulary, device=scores_BV.device).expand_as(scores_BV), scores_BV
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
