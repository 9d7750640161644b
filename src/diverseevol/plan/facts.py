"""What a plan starts from: how long the pool's rows are, and how large the models.

Shape letters: N rows that were tokenised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

PERCENTS = (5, 25, 50, 75, 95, 100)


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long rows are as a model reads them; of a sample, unless `n_sampled` is all."""

    n_rows: int
    """Rows that can be chosen."""
    n_sampled: int
    """Rows that were tokenised to know."""
    mean: float
    """Tokens a row, cut at prompt.max_length."""
    mean_square: float
    """Of the tokens a row: what attention costs."""
    mean_trained: float
    """Tokens a row that the loss counts: the responses."""
    percentiles: dict[int, int]
    """Tokens a row that so many per cent of the rows do not exceed."""
    truncated_share: float
    """Share of the rows that prompt.max_length cuts."""
    left_out_share: float
    """Share of the rows that have no trained token left, and so cannot be chosen; already taken off `n_rows`."""
    mean_of_longest: float
    """Tokens a row of the longest quarter."""

    @classmethod
    def of(
        cls, n_tokens_N: NDArray[np.integer], n_trained_N: NDArray[np.integer], n_full_N: NDArray[np.integer], n_rows: int
    ) -> Lengths:
        """Sum up the rows that were tokenised; they stand for `n_rows` of their kind.

        Args:
            n_tokens_N: Tokens a row, cut.
            n_trained_N: Those that the loss counts; rows with none are left out.
            n_full_N: Tokens a row before the cut.
            n_rows: Rows of the pool, before any are left out.
        """
        is_usable_N = n_trained_N > 0
        usable = n_tokens_N[is_usable_N].astype(np.float64)
        if not len(usable):
            return cls(0, len(n_tokens_N), 0.0, 0.0, 0.0, dict.fromkeys(PERCENTS, 0), 0.0, 1.0, 0.0)
        quantiles = np.percentile(usable, PERCENTS, method="higher")
        return cls(
            n_rows=round(n_rows * float(is_usable_N.mean())),
            n_sampled=len(n_tokens_N),
            mean=float(usable.mean()),
            mean_square=float(np.square(usable).mean()),
            mean_trained=float(n_trained_N[is_usable_N].mean()),
            percentiles={percent: int(value) for percent, value in zip(PERCENTS, quantiles, strict=True)},
            truncated_share=float((n_full_N > n_tokens_N)[is_usable_N].mean()),
            left_out_share=1 - float(is_usable_N.mean()),
            mean_of_longest=float(np.sort(usable)[len(usable) * 3 // 4 :].mean()),
        )

    @property
    def n_tokens(self) -> float:
        """Tokens of the whole pool, about."""
        return self.mean * self.n_rows


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A model's size, without its weights; parameters are counted without an adapter's."""

    name: str
    n_all: int
    n_computing: int
    """Those that a tuning computes with for each token: all but the embeddings' look-up, the head counted even where it is tied."""
    n_decoder: int
    """Those that the embedding pass computes with: no embedding tables, no head."""
    n_head: int
    n_layers: int
    width: int
    n_heads: int
    """0: no attention."""
    widest: int
    """The largest side of a weight below the head."""
    n_vocabulary: int
    itemsize: int
    """Bytes of a weight as the model's files have it."""
    n_adapter: int = 0
    """Parameters of the adapter, where one is tuned."""

    def scaled(self, share: float, name: str) -> ModelShape:
        """A model with that share of the parameters, as far as costs go."""
        sizes = ("n_all", "n_computing", "n_decoder", "n_head", "n_layers", "n_adapter")
        return replace(self, name=name, **{size: max(1, round(getattr(self, size) * share)) for size in sizes})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known before a run."""

    lengths: Lengths
    """By the tokenizer of the rounds' model."""
    model: ModelShape
    """The rounds' model: the selector, where there is one."""
    target: ModelShape
    """The model that the subset is for."""
    target_lengths: Lengths
    """By its own tokenizer."""
    needs: frozenset[str] = frozenset({"embedding"})
    """Signals of a model that the strategy reads."""
    n_heldout: int = 0
    n_first: int | None = None
    """Rows of round 0, where a list of the user's gives them."""
    pool_bytes: int = 0
    program_bytes: int = 0
    """What the process takes without a model: part of a peak where it is that of the resident set, as it is without a GPU."""
    is_float32: bool = False
    """Whether the device computes in 32 bits where the configuration leaves it open."""
    notes: tuple[str, ...] = ()
    """What is not counted, in words."""
