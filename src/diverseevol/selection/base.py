"""What a strategy is given, what it gives back, and the protocol that it follows.

Shape letters: N pool rows, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from pydantic import ConfigDict

from ..base.progress import SILENT, Watch
from ..base.text import some_of
from ..errors import PoolExhaustedError, SelectionError

if TYPE_CHECKING:
    from torch import Tensor

STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)
"""How the options of the strategies are checked: each is of its own type, nothing is converted."""


class Vectors(Protocol):
    """(N, D) numbers whose rows are read on demand, such as `diverseevol.open_vectors` gives."""

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
        embeddings: (N, D) numbers of any floating or integer type: in memory, memory-mapped, a torch tensor
            on any device, or `Vectors`.
        columns: further signals, and columns of the pool's own records, by name: one value a row.
        selectable: (N,) bool; rows that are False are never picked, though chosen ones among them still count
            as chosen. None: every row may be picked.
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
        n = self.n_rows
        shape = (n, 1) if self.embeddings is None else tuple(self.embeddings.shape)
        if len(shape) != 2 or shape[0] != n or shape[1] == 0:
            raise SelectionError(
                f"embeddings must be {n} rows of one width, a 2-D array; found the shape {shape}."
            )
        for name, column in self.columns.items():
            if column.shape != (n,):
                raise SelectionError(
                    f"the signal {name!r} must hold {n} values, one a row; found the shape {column.shape}."
                )
        may = self.selectable
        if may is not None and (may.shape != (n,) or may.dtype != np.bool_):
            found = f"{may.dtype} of the shape {may.shape}"
            raise SelectionError(f"selectable must hold {n} bools, one a row; found {found}.")

    def chosen(self, chosen_rows: object) -> np.ndarray:
        """Return the rows chosen so far as a sorted int64 array.

        Args:
            chosen_rows: row numbers in any order, as a list, a numpy array or a torch tensor on any device.

        Raises:
            SelectionError: not a list of integers, a row outside the pool, or a row named twice.
        """
        if not isinstance(chosen_rows, np.ndarray | list | tuple | range):
            import torch

            if isinstance(chosen_rows, torch.Tensor):
                chosen_rows = chosen_rows.cpu()  # numpy reads no GPU's memory
        rows = np.asarray(chosen_rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise SelectionError(
                f"chosen_rows must be a list of row numbers; found {rows.dtype} of the shape {rows.shape}."
            )
        rows = np.sort(rows.astype(np.int64))
        outside = rows[(rows < 0) | (rows >= self.n_rows)]
        if outside.size:
            raise SelectionError(
                f"chosen_rows must lie in 0..{self.n_rows - 1}; found {some_of(outside)}. Are they another "
                "pool's rows?"
            )
        repeated = np.unique(rows[1:][rows[1:] == rows[:-1]])
        if repeated.size:
            raise SelectionError(
                f"chosen_rows must name each row once; found {some_of(repeated)} more than once."
            )
        return rows

    def free(self, chosen_rows: object, n_new: int) -> np.ndarray:
        """Return the rows that may be picked, ascending int64: selectable and not chosen.

        Raises:
            SelectionError: `n_new` is not a positive integer, or `chosen_rows` are unusable.
            PoolExhaustedError: fewer than `n_new` rows are left.
        """
        if isinstance(n_new, bool) or not isinstance(n_new, int | np.integer) or n_new < 1:
            raise SelectionError(f"n_new must be a whole number of at least 1; found {n_new!r}.")
        is_free = np.ones(self.n_rows, dtype=bool) if self.selectable is None else self.selectable.copy()
        is_free[self.chosen(chosen_rows)] = False
        free = np.flatnonzero(is_free)
        if len(free) < n_new:
            left = f"{len(free)} of {self.n_rows} are still unchosen"
            left += "" if self.selectable is None else " and selectable"
            raise PoolExhaustedError(f"cannot select {n_new} new samples: {left}. Lower n_new or rounds.")
        return free

    def only(self, rows: np.ndarray) -> Signals:
        """The same, of which only `rows` may be picked."""
        selectable = np.zeros(self.n_rows, dtype=bool)
        selectable[rows] = True
        return replace(self, selectable=selectable)

    def column(self, name: str, who: str) -> np.ndarray:
        """Return a signal, or a column of the pool's records, of any type: one value a row.

        Raises:
            SelectionError: there is none of that name.
        """
        if name not in self.columns:
            known = ", ".join(sorted(self.columns)) or "none"
            raise SelectionError(f"{who} needs the column {name!r}, which is not there. Known: {known}.")
        return self.columns[name]

    def numbers(self, name: str, who: str) -> np.ndarray:
        """Return a signal, or a column of the pool's records, as float64[N]; a missing value is NaN.

        Raises:
            SelectionError: there is none of that name, or it does not hold numbers.
        """
        column = self.column(name, who)
        if column.dtype.kind not in "fiub":
            shown = ", ".join(repr(str(value)) for value in column[:3])
            raise SelectionError(
                f"{who} needs numbers in the column {name!r}; found {shown}. Name a numeric column."
            )
        return column.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Selection:
    """A strategy's picks.

    Attributes:
        rows: int64 pool rows in pick order, each once.
        columns: what the strategy knew, one value a pick, in the same order (K-Center: distance,
            nearest_row).
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

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick `n_new` selectable rows that are not in `chosen_rows`.

        Under several processes every rank returns the same.

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
        """
