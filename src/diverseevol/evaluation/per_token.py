"""Means of held-out losses: over all trained tokens, by group, over the groups. Pure.

Losses are summed over rows and divided by the number of their tokens, so a long answer weighs by its tokens; per group likewise. The mean
over groups weighs each group the same: a subset can win on rows like the pool's and lose on the rare ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

LARGEST_EXPONENT = math.log(np.finfo(np.float64).max)


def loss_per_token(
    sums: np.ndarray, n_trained: np.ndarray, groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """Mean loss a trained token, for metrics.json.

    Args:
        sums: Summed loss over each row's trained tokens, [N].
        n_trained: How many those are, [N].
        groups: Each row's group, [N].

    Returns:
        `loss` over all rows, each token weighing the same, and `perplexity`, its exponential; with groups also `by_group` (the loss of
        each, in the order of their names), `worst_group` (the name of the one with the highest) and `balanced_loss` (the mean over
        the groups, each weighing the same).
    """
    loss = float(sums.sum() / n_trained.sum())
    result: dict[str, Any] = {"loss": loss, "perplexity": perplexity(loss)}
    if groups is not None:
        names = np.asarray(groups)
        by_group = {
            str(name): float(sums[names == name].sum() / n_trained[names == name].sum())
            for name in sorted(set(groups))
        }
        result["by_group"] = by_group
        result["worst_group"] = max(by_group, key=lambda name: by_group[name])
        result["balanced_loss"] = sum(by_group.values()) / len(by_group)
    return result


def perplexity(loss: float) -> float | None:
    """The exponential of a loss in nats a token; None where no number holds it."""
    return math.exp(loss) if loss < LARGEST_EXPONENT else None
