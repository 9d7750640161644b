"""The pool's rows without their prompts: what a model makes of an answer that nobody asked for.

Source: the Instruction-Following Difficulty of Li et al., 2023 (https://arxiv.org/abs/2308.12032): an answer's loss behind its
instruction, divided by its loss alone. Alone means: the BOS, where the row starts with one, and then the trained tokens. Without a
BOS nothing predicts the first of them, which is then not counted; a single one (an answer cut off by the longest length) would leave
nothing to count, so there the row's own first token stands before it.
Cost: one look at every row's mask, shared out over the ranks, before the pass; then a pass over the shortened rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...base import dist
from ...errors import EmbedError
from .shards import Ids, TokenRows


@dataclass(frozen=True)
class AnswerRows:
    """A view of a tokenised pool: the same rows, each without what is not trained on."""

    tokens: TokenRows
    bos_ids: frozenset[int]
    n_tokens: NDArray[np.int32]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tokens)

    def ids(self, row: int) -> NDArray[np.int64]:
        """The row's BOS, or what stands for it, and its trained tokens."""
        ids = np.asarray(self.tokens.ids(row), dtype=np.int64)
        return ids[_is_kept(ids, self.tokens.mask(row), self.bos_ids)]

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Which of them are trained on: all but what stands before them."""
        mask = np.asarray(self.tokens.mask(row), dtype=np.bool_)
        return mask[_is_kept(self.tokens.ids(row), mask, self.bos_ids)]


def answer_rows(tokens: TokenRows, bos_id: int | list[int] | None, ids: Ids) -> AnswerRows:
    """The view, the same on every rank.

    Raises:
        EmbedError: a row has no trained token behind its first token.
    """
    bos_ids = frozenset({bos_id} if isinstance(bos_id, int) else bos_id or ())
    shard = dist.shard(len(tokens))
    counts = []
    for row in shard:
        mask = tokens.mask(row)
        is_kept = _is_kept(tokens.ids(row), mask, bos_ids)
        counts.append((int(is_kept.sum()), int(mask[is_kept][1:].sum())))
    counts_N2 = np.concatenate(dist.gather(np.array(counts, dtype=np.int32).reshape(-1, 2)))
    lost = np.flatnonzero(counts_N2[:, 1] == 0)
    if lost.size:
        raise EmbedError(
            f"cannot compute answer_loss of {lost.size} rows, first row {lost[0]} (id {ids[int(lost[0])]}): they have no trained token "
            "behind their first token. Leave such rows out of the pool."
        )
    return AnswerRows(tokens, bos_ids, counts_N2[:, 0])


def _is_kept(ids: NDArray[np.integer], mask: NDArray[np.bool_], bos_ids: frozenset[int]) -> NDArray[np.bool_]:
    is_kept = np.array(mask, dtype=np.bool_)
    is_kept[0] |= int(ids[0]) in bos_ids or is_kept.sum() == 1
    return is_kept
