"""What a strategy is given and what it gives back: plain frozen values, and the protocol every strategy follows.

Shape letters: N pool rows, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ..base.progress import SILENT, Watch
from ..errors import SelectionError

if TYPE_CHECKING:
    from torch import Tensor


class Vectors(Protocol):
    """(N, D) numbers whose rows are read on demand, such as `diverseevol.vectors.open_vectors` gives."""

    ndim: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, D)."""

    @property
    def dtype(self) -> Any:  # noqa: ANN401 - a numpy or a torch type
        """The numbers' type, numpy's or torch's."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Read rows in the order asked for, as a new array; bfloat16 as float32."""


Embeddings: TypeAlias = "np.ndarray[Any, Any] | Tensor | Vectors"


class Signal(StrEnum):
    """What a model can say about the pool's rows: the embedding, or one number a row."""

    EMBEDDING = "embedding"
    """(N, D): the pooled states of the last layer."""
    PAPER_CONFIDENCE = "paper_confidence"
    """Mean over all positions of the largest raw logit."""
    PAPER_MARGIN = "paper_margin"
    """Mean over all positions of the difference of the two largest raw logits."""
    PAPER_ENTROPY = "paper_entropy"
    """Mean over all positions of the entropy of the next token, in nats."""
    CONFIDENCE = "confidence"
    """Mean over the trained tokens of the largest probability at the position that predicts them."""
    MARGIN = "margin"
    """Mean over the trained tokens of the difference of the two largest probabilities."""
    ENTROPY = "entropy"
    """Mean over the trained tokens of the entropy of the prediction, in nats."""
    LOSS = "loss"
    """Mean over the trained tokens of their negative log-likelihood, in nats."""
    ANSWER_LOSS = "answer_loss"
    """The same of the trained tokens alone, without the prompt before them."""


@dataclass(frozen=True, eq=False)
class Signals:
    """What is known about the pool; a strategy reads what its `needs` name.

    Attributes:
        n_rows: N, the number of pool rows.
        embeddings: (N, D) numbers of any floating or integer type: in memory, memory-mapped, a torch tensor on any device, or `Vectors`.
        columns: further signals, and columns of the pool's own records, by name: one value a row.
        selectable: (N,) bool; rows that are False are never picked, though chosen ones among them still count as chosen.
            None: every row may be picked.
        watch: is shown how far a long selection has come.

    Raises:
        SelectionError: a part does not have N rows, or is of the wrong kind.
    """

    n_rows: int
    embeddings: Embeddings | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    selectable: np.ndarray | None = None
    watch: Watch = SILENT

    def __post_init__(self) -> None:
        if self.embeddings is not None:
            shape = tuple(self.embeddings.shape)
            if len(shape) != 2 or shape[0] != self.n_rows or shape[1] == 0:
                raise SelectionError(f"embeddings must be {self.n_rows} rows of one width, a 2-D array; found the shape {shape}.")
        for name, column in self.columns.items():
            if column.shape != (self.n_rows,):
                raise SelectionError(
                    f"the signal {name!r} must hold {self.n_rows} values, one a row; found the shape {column.shape}."
                )
        if self.selectable is not None and (self.selectable.shape != (self.n_rows,) or self.selectable.dtype != np.bool_):
            found = f"{self.selectable.dtype} of the shape {self.selectable.shape}"
            raise SelectionError(f"selectable must hold {self.n_rows} bools, one a row; found {found}.")


@dataclass(frozen=True, eq=False)
class Selection:
    """A strategy's picks.

    Attributes:
        rows: int64 pool rows in pick order, each once.
        columns: what the strategy knew, one value a pick, in the same order (K-Center: distance, nearest_row).
        skipped: rows that a guard kept out although they could have been picked, by the guard's name.
    """

    rows: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    skipped: dict[str, np.ndarray] = field(default_factory=dict)


class Strategy(Protocol):
    """A way to choose new rows; a third party's needs no base class, only these two members."""

    @property
    def needs(self) -> frozenset[str]:
        """What `select` reads: signals, and names of columns of the pool's own records."""

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick `n_new` selectable rows that are not in `chosen_rows`; under several processes every rank returns the same.

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
        """
