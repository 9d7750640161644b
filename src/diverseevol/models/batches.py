"""The pool in shards, a shard in batches: longest rows first, rows of like length together.

A shard is what is marked as finished and what a rank is dealt. Batches never cross its border, so that the
last bits of the embeddings depend neither on the number of ranks nor on where an earlier run was killed.
Shape letters: N pool rows, B rows of a batch, T tokens of its longest row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import EmbedError

if TYPE_CHECKING:
    from ..text.tokens import Tokens

Pooling = Literal["mean", "response", "last", "weighted"]
Ids = Sequence[str] | NDArray[np.str_]

# A killed pass repeats at most one shard a rank: seconds on a GPU, a minute or two on a few cores.
SHARD_TOKENS = 1 << 18
MAX_SHARDS = 4096
NO_TARGET = -1


@dataclass(frozen=True, slots=True)
class Shard:
    """A contiguous piece of the pool's order by length."""

    index: int
    rows: np.ndarray
    n_tokens: int


def make_shards(n_tokens_N: np.ndarray) -> list[Shard]:
    """Cut the rows, longest first and equal lengths in row order, into shards of about equal token counts."""
    order_N = np.argsort(-n_tokens_N.astype(np.int64), kind="stable")
    ends_N = np.cumsum(n_tokens_N[order_N], dtype=np.int64)
    size = max(SHARD_TOKENS, -(-int(ends_N[-1]) // MAX_SHARDS))
    cuts = np.flatnonzero(np.diff((ends_N - 1) // size)) + 1
    return [Shard(i, rows, int(n_tokens_N[rows].sum())) for i, rows in enumerate(np.split(order_N, cuts))]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right, with the weight of each position in the row's mean."""

    rows: np.ndarray
    ids_BT: torch.Tensor
    weights_BT: torch.Tensor
    lengths_B: torch.Tensor
    n_tokens: int
    targets_BT: torch.Tensor
    """The trained token that each position predicts, or NO_TARGET."""

    @property
    def is_padded(self) -> bool:
        """Whether some position holds no token."""
        return self.n_tokens < self.ids_BT.numel()


def collate(
    tokens: Tokens | AnswerRows, rows: np.ndarray, pooling: Pooling, ids: Ids, with_targets: bool = False
) -> Batch:
    """Read rows and pad them on the right.

    Raises:
        EmbedError: a row has no token to average over, or `with_targets` none that a position predicts.
    """
    texts = [tokens.ids(int(row)) for row in rows]
    lengths_B = np.array([len(text) for text in texts])
    ids_BT = np.zeros((len(rows), int(lengths_B.max())), dtype=np.int64)
    weights_BT, targets_BT = np.zeros(ids_BT.shape, dtype=np.float32), np.full_like(ids_BT, NO_TARGET)
    for row_pos, (row, text) in enumerate(zip(rows.tolist(), texts, strict=True)):
        ids_BT[row_pos, : len(text)] = text
        match pooling:
            case "mean":
                weights_BT[row_pos, : len(text)] = 1
            case "response":
                weights_BT[row_pos, : len(text)] = tokens.mask(row)
            case "last":
                weights_BT[row_pos, len(text) - 1] = 1
            # SGPT (Muennighoff, 2022, https://arxiv.org/abs/2202.08904): position i of S weighs i / (1 + … +
            # S).
            case "weighted":
                weights_BT[row_pos, : len(text)] = np.arange(1, len(text) + 1)
        trained = np.flatnonzero(tokens.mask(row)[1:]) if with_targets else np.empty(0, np.int64)
        targets_BT[row_pos, trained] = ids_BT[row_pos, trained + 1]
        if (with_targets and not trained.size) or not weights_BT[row_pos].any():
            raise EmbedError(
                f"cannot compute what is asked of row {row} (id {ids[row]}): it has no trained "
                f"token{' behind its first token' if with_targets else ''}. Leave it out of the pool, or ask "
                "for what looks at every token: embed.pooling=mean, paper_* signals."
            )
    weights_BT = (weights_BT / weights_BT.sum(axis=1, dtype=np.float64)[:, None]).astype(np.float32)
    ids_pt, weights_pt, lengths_pt = (torch.from_numpy(array) for array in (ids_BT, weights_BT, lengths_B))
    return Batch(rows, ids_pt, weights_pt, lengths_pt, int(lengths_B.sum()), torch.from_numpy(targets_BT))


class AnswerRows:
    """The rows without their prompts: what a model makes of an answer that nobody asked for.

    Source: the Instruction-Following Difficulty of Li et al., 2023 (https://arxiv.org/abs/2308.12032): an
    answer's loss behind its instruction, divided by its loss alone: behind the BOS, where the row starts with
    one, or nothing, when the first trained token is not counted; a single one stands behind the row's first.
    """

    def __init__(self, tokens: Tokens, bos_id: int | list[int] | None) -> None:
        self.tokens = tokens
        self.bos_ids = {bos_id} if isinstance(bos_id, int) else set(bos_id or ())
        self.n_tokens = np.array([self._is_kept(row).sum() for row in range(len(tokens))], dtype=np.int32)

    def __len__(self) -> int:
        return len(self.tokens)

    def ids(self, row: int) -> NDArray[np.int64]:
        """The row's BOS, or what stands for it, and its trained tokens."""
        return np.asarray(self.tokens.ids(row), dtype=np.int64)[self._is_kept(row)]

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Which of them are trained on: all but what stands before them."""
        return np.asarray(self.tokens.mask(row), dtype=np.bool_)[self._is_kept(row)]

    def _is_kept(self, row: int) -> NDArray[np.bool_]:
        is_kept = np.array(self.tokens.mask(row), dtype=np.bool_)
        is_kept[0] |= int(self.tokens.ids(row)[0]) in self.bos_ids or is_kept.sum() <= 1
        return is_kept
