"""The pool in shards, a shard in batches: longest rows first, rows of like length together.

A shard is what is marked as finished and what a rank is dealt. Batches never cross its border, so that they,
and with them the last bits of the embeddings, depend neither on the number of ranks nor on where an earlier
run was killed.
Cost: one sort of the lengths; ids of one batch at a time in memory.
Shape letters: N pool rows, B rows of a batch, T tokens of its longest row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ..base import dist
from ..errors import EmbedError

Pooling = Literal["mean", "response", "last", "weighted"]
Ids = Sequence[str] | NDArray[np.str_]

# A killed pass repeats at most one shard a rank: seconds on a GPU, a minute or two on a few cores.
SHARD_TOKENS = 1 << 18
MAX_SHARDS = 4096
NO_TARGET = -1


class TokenRows(Protocol):
    """The tokenised pool, as far as a pass over it reads it."""

    @property
    def n_tokens(self) -> NDArray[np.int32]:
        """Tokens of each row, int32[N]."""

    def __len__(self) -> int:
        """Number of rows."""

    def ids(self, row: int) -> NDArray[Any]:
        """The row's token ids."""

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Which of the row's tokens are trained on, bool."""


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


def batch_stop(rows: np.ndarray, start: int, n_tokens_N: np.ndarray, budget: int) -> int:
    """Where the batch that begins at `start` ends: as many rows as fit `budget` padded tokens, or one."""
    return min(len(rows), start + max(1, budget // int(n_tokens_N[rows[start]])))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right, with the weight of each position in the row's mean."""

    rows: np.ndarray
    ids_BT: torch.Tensor
    weights_BT: torch.Tensor
    lengths_B: torch.Tensor
    n_tokens: int
    targets_BT: torch.Tensor | None = None
    """The trained token that each position predicts, or NO_TARGET; None if nobody reads it."""

    @property
    def is_padded(self) -> bool:
        """Whether some position holds no token."""
        return self.n_tokens < self.ids_BT.numel()


def collate(
    tokens: TokenRows, rows: np.ndarray, pooling: Pooling, ids: Ids, with_targets: bool = False
) -> Batch:
    """Read rows and pad them on the right.

    Raises:
        EmbedError: a row has no token to average over, or `with_targets` no trained token that a position
            predicts.
    """
    texts = [tokens.ids(int(row)) for row in rows]
    lengths_B = np.array([len(text) for text in texts])
    ids_BT = np.zeros((len(rows), int(lengths_B.max())), dtype=np.int64)
    weights_BT = np.zeros(ids_BT.shape, dtype=np.float32)
    for row_pos, text in enumerate(texts):
        ids_BT[row_pos, : len(text)] = text
        weights_BT[row_pos, : len(text)] = _weights(tokens, int(rows[row_pos]), len(text), pooling)
    sums_B = weights_BT.sum(axis=1, dtype=np.float64)
    if not sums_B.all():  # only `response` can come here
        row = int(rows[np.flatnonzero(sums_B == 0)[0]])
        raise EmbedError(
            f"cannot embed row {row} (id {ids[row]}): it has no trained token. "
            "Leave it out, or set embed.pooling=mean."
        )
    weights_BT = (weights_BT / sums_B[:, None]).astype(np.float32)
    targets_BT = torch.from_numpy(_targets(tokens, rows, ids_BT, ids)) if with_targets else None
    ids_pt, weights_pt, lengths_pt = (torch.from_numpy(array) for array in (ids_BT, weights_BT, lengths_B))
    return Batch(rows, ids_pt, weights_pt, lengths_pt, int(lengths_B.sum()), targets_BT)


def _targets(tokens: TokenRows, rows: np.ndarray, ids_BT: np.ndarray, ids: Ids) -> np.ndarray:
    targets_BT = np.full_like(ids_BT, NO_TARGET)
    for row_pos, row in enumerate(rows):
        trained = np.flatnonzero(tokens.mask(int(row))[1:])
        if not trained.size:
            raise EmbedError(
                f"cannot compute signals of row {row} (id {ids[row]}): it has no trained token behind its "
                "first "
                "token. Leave it out, or ask for paper_* signals alone, which look at every position."
            )
        targets_BT[row_pos, trained] = ids_BT[row_pos, trained + 1]
    return targets_BT


def _weights(tokens: TokenRows, row: int, length: int, pooling: Pooling) -> NDArray[Any]:
    match pooling:
        case "mean":
            return np.ones(length)
        case "response":
            return tokens.mask(row)
        case "last":
            last: NDArray[np.bool_] = np.arange(length) == length - 1
            return last
        # SGPT (Muennighoff, 2022, https://arxiv.org/abs/2202.08904): position i of S weighs i / (1 + … + S).
        case "weighted":
            return np.arange(1, length + 1)


@dataclass(frozen=True)
class AnswerRows:
    """The rows without their prompts: what a model makes of an answer that nobody asked for.

    Source: the Instruction-Following Difficulty of Li et al., 2023 (https://arxiv.org/abs/2308.12032): an
    answer's loss behind its instruction, divided by its loss alone. Alone means: the BOS, where the row
    starts with one, and then the trained tokens. Without a BOS nothing predicts the first of them, which is
    then not counted; where only one is trained, the row's own first token stands before it.
    """

    tokens: TokenRows
    bos_ids: frozenset[int]
    n_tokens: NDArray[np.int32]

    @classmethod
    def of(cls, tokens: TokenRows, bos_id: int | list[int] | None, ids: Ids) -> AnswerRows:
        """The view, the same on every rank, which each look at their share of the masks.

        Raises:
            EmbedError: a row has no trained token behind its first token.
        """
        view = cls(
            tokens, frozenset({bos_id} if isinstance(bos_id, int) else bos_id or ()), np.empty(0, np.int32)
        )
        masks = [view.mask(row) for row in dist.shard(len(tokens))]
        counts = np.array([(len(mask), mask[1:].sum()) for mask in masks], dtype=np.int32).reshape(-1, 2)
        counts_N2 = np.concatenate(dist.gather(counts))
        lost = np.flatnonzero(counts_N2[:, 1] == 0)
        if lost.size:
            raise EmbedError(
                f"cannot compute answer_loss of {lost.size} rows, first row {lost[0]} (id "
                f"{ids[int(lost[0])]}): they "
                "have no trained token behind their first token. Leave such rows out of the pool."
            )
        return cls(tokens, view.bos_ids, counts_N2[:, 0])

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tokens)

    def ids(self, row: int) -> NDArray[np.int64]:
        """The row's BOS, or what stands for it, and its trained tokens."""
        return np.asarray(self.tokens.ids(row), dtype=np.int64)[self._is_kept(row)]

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Which of them are trained on: all but what stands before them."""
        return np.asarray(self.tokens.mask(row), dtype=np.bool_)[self._is_kept(row)]

    def _is_kept(self, row: int) -> NDArray[np.bool_]:
        is_kept = np.array(self.tokens.mask(row), dtype=np.bool_)
        is_kept[0] |= int(self.tokens.ids(row)[0]) in self.bos_ids or is_kept.sum() == 1
        return is_kept
