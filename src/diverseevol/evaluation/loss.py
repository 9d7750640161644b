"""Loss per token on held-out rows: cheap, and needs no judge.

The loss counts the tokens that training counts (the responses and their EOS). Sums over rows are divided by
the number of their tokens, so a long answer weighs by its tokens; per group likewise. The mean over groups
weighs each group the same: a subset can win on rows like the pool's and lose on the rare ones.
Cost: one forward pass with logits over the rows, in batches whose logits stay below 64 MB in float32.
Shape letters: B rows of a batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import dist
from ..base.progress import Watch
from ..errors import NonFiniteError
from ..text.tokens import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LARGEST_EXPONENT = math.log(np.finfo(np.float64).max)
LOGITS_A_BATCH = 1 << 24


def heldout_losses(model: PreTrainedModel, tokens: Tokens, watch: Watch) -> np.ndarray:
    """Summed loss over each row's trained tokens, float64[N], the same on every rank.

    Raises:
        NonFiniteError: a loss is NaN or infinite, with the rows.
    """
    import torch

    sums = np.zeros(len(tokens))
    was_training = model.training
    model.eval()
    # FSDP keeps what it gathers for the training that follows, and training refuses tensors made in inference
    # mode.
    with torch.no_grad(), watch.task("held-out loss", float(tokens.n_tokens.sum()), "tokens") as task:
        n_vocabulary = model.get_input_embeddings().weight.shape[0]
        order, batches = np.argsort(-tokens.n_tokens, kind="stable"), []
        while len(order):  # rows of like length, whose padded logits stay within the bound
            n = max(1, LOGITS_A_BATCH // (n_vocabulary * int(tokens.n_tokens[order[0]])))
            batches.append(order[:n])
            order = order[n:]
        for start in range(0, len(batches), dist.world_size()):
            # A rank left over at the end computes the last batch along: a sharded model needs every rank in
            # every pass.
            rows = batches[min(start + dist.rank(), len(batches) - 1)]
            losses = _row_losses(model, tokens, rows)
            if start + dist.rank() < len(batches):
                sums[rows] = losses
            task.advance(
                float(sum(tokens.n_tokens[each].sum() for each in batches[start : start + dist.world_size()]))
            )
    model.train(was_training)
    sums = np.asarray(np.stack(dist.gather(sums)).sum(axis=0))
    if not np.isfinite(sums).all():
        bad = np.flatnonzero(~np.isfinite(sums))
        raise NonFiniteError(
            f"the held-out loss of {bad.size} rows is not finite, first row {bad[0]}. Lower "
            "train.learning_rate or check the dtype."
        )
    return sums


def _row_losses(model: PreTrainedModel, tokens: Tokens, rows: np.ndarray) -> np.ndarray:
    import torch
    from torch.nn.functional import cross_entropy

    longest, where = int(tokens.n_tokens[rows].max()), model.get_input_embeddings().weight.device
    ids_BT = torch.zeros(len(rows), longest, dtype=torch.long)
    labels_BT, attention_BT = torch.full_like(ids_BT, -100), torch.zeros_like(ids_BT)
    for row_pos, row in enumerate(rows):
        ids = torch.from_numpy(tokens.ids(int(row)).astype(np.int64))
        mask = torch.from_numpy(np.array(tokens.mask(int(row))))
        ids_BT[row_pos, : len(ids)] = ids
        labels_BT[row_pos, : len(ids)] = torch.where(mask, ids, -100)
        attention_BT[row_pos, : len(ids)] = 1
    found = model(input_ids=ids_BT.to(where), attention_mask=attention_BT.to(where), use_cache=False)
    logits_BVT = found.logits[:, :-1].float().transpose(1, 2)
    losses = cross_entropy(logits_BVT, labels_BT[:, 1:].to(where), reduction="none")
    return losses.sum(dim=1, dtype=torch.float64).cpu().numpy()


def loss_per_token(
    sums: np.ndarray, n_trained: np.ndarray, groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """Mean loss a trained token, for metrics.json.

    Args:
        sums: Summed loss over each row's trained tokens, [N].
        n_trained: How many those are, [N].
        groups: Each row's group, [N].

    Returns:
        `loss` over all rows, each token weighing the same, and `perplexity`, its exponential; with groups
        also `by_group` (the loss of each, in the order of their names), `worst_group` (the name of the one
        with the highest) and `balanced_loss` (the mean over the groups, each weighing the same).
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
