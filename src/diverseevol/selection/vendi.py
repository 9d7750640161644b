"""How diverse a set of rows is: the Vendi score, an effective number of different rows.

Source: Friedman and Dieng, "The Vendi Score", 2022, https://arxiv.org/abs/2210.02410; orders other than 1:
Pasarkar and Dieng, "Cousins of the Vendi Score", 2023, https://arxiv.org/abs/2310.12952. The paper
(DiverseEvol) uses order 1.
Differs from the published package in that eigenvalues which are only rounding noise count as zero: at orders
below 1 the package adds their roots to the score.
Cost: O(n D min(n, D)) time; the smaller of the n × n and the D × D matrix, in float64, beside one block of
rows (or, where n ≤ D, the n rows). One eigenvalue problem serves all orders.
Shape letters: N rows, D embedding width, B rows of a block, K sizes, Q orders.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from ..base.text import some_of
from ..errors import ConfigError, EmbedError, NonFiniteError

BLOCK_NUMBERS = 1 << 22  # numbers of a block of rows: 32 MB in float64
ORDERS = (0.5, 1.0, 2.0, math.inf)
"""The orders that the command line shows.

Rare directions weigh most at 0.5, only the commonest counts at infinity.
"""


class Rows(Protocol):
    """(N, D) numbers of which slices can be read.

    Numpy, memory-mapped, torch, or files (`diverseevol.open_vectors`).
    """

    @property
    def shape(self) -> Any:  # noqa: ANN401 - a tuple, or torch's own kind of one
        """(N, D)."""

    def __getitem__(self, rows: slice, /) -> Any:  # noqa: ANN401 - an array or a tensor
        """Rows one after the other."""


def vendi_score(embeddings: Rows, q: float = 1.0) -> float:
    """Measure the diversity of the rows: 1 if all point the same way, n if all are orthogonal.

    Args:
        embeddings: (N, D), numpy, memory-mapped, torch, or vectors in files; rows are scaled to unit length
            here.
        q: the order of the entropy; 1 is Shannon's, smaller ones weigh rare directions more, infinity only
            the commonest.

    Returns:
        exp of the Rényi entropy of order q of the eigenvalues of K/n, with the cosine kernel K.

    Raises:
        ConfigError: q is negative or NaN.
        EmbedError: not an array of at least one row and one column, or a row of zeros, which has no
            direction.
        NonFiniteError: a row holds NaN or infinite values.
    """
    return float(vendi_scores(embeddings, (q,))[0, 0])


def vendi_scores(
    embeddings: Rows, orders: Sequence[float] = ORDERS, sizes: Sequence[int] | None = None
) -> np.ndarray:
    """Score the first n rows, for each n of `sizes`, at several orders.

    Args:
        embeddings: as of `vendi_score`.
        orders: each as of `vendi_score`.
        sizes: ascending, from 1 to N; None: N alone.

    Returns:
        float64[K, Q].

    Raises:
        ConfigError: an order is negative or NaN.
        EmbedError: as `vendi_score`, or a size is not one.
        NonFiniteError: as `vendi_score`.
    """
    for q in orders:
        check_order(q)
    shape = tuple(embeddings.shape)
    if len(shape) != 2 or 0 in shape:
        raise EmbedError(f"embeddings must be a 2-D array of at least one row; found the shape {shape}.")
    sizes = sizes or [shape[0]]
    if sizes[0] < 1 or sizes[-1] > shape[0] or sorted(sizes) != list(sizes):
        raise EmbedError(
            f"sizes must ascend from 1 to at most {shape[0]}, the number of rows; found {list(sizes)}."
        )
    shares = (shares_of(kernel, n) for n, kernel in _kernels(embeddings, shape[1], sizes))
    return np.array([[score_of(shares_n, q) for q in orders] for shares_n in shares])


def _kernels(embeddings: Rows, width: int, sizes: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """For each size the smaller kernel of the first rows.

    X Xᵀ and Xᵀ X have the same eigenvalues above zero.
    """
    small = [n for n in sizes if n <= width]
    if small:
        units_ND = _unit_rows(embeddings, 0, small[-1])
        gram = units_ND @ units_ND.T
        yield from ((n, gram[:n, :n]) for n in small)
    gram, n_done = np.zeros((width, width)), 0
    step = max(1, BLOCK_NUMBERS // width)
    for n in sizes[len(small) :]:
        for start in range(n_done, n, step):
            units_BD = _unit_rows(embeddings, start, min(n, start + step))
            gram += units_BD.T @ units_BD
        n_done = n
        yield n, gram


def check_order(q: float) -> None:
    """Check the order of an entropy.

    Raises:
        ConfigError: it is negative, NaN or not a number.
    """
    if isinstance(q, bool) or not isinstance(q, int | float) or not q >= 0:
        raise ConfigError(f"the order q must be 0 or more, up to infinity; found {q!r}.")


def shares_of(kernel: np.ndarray, n: int) -> np.ndarray:
    """The kernel's eigenvalues over n, ascending, which sum to 1.

    Those that are only rounding noise are left out.
    """
    shares = np.linalg.eigvalsh(kernel / n)
    return np.asarray(shares[shares > len(kernel) * np.finfo(np.float64).eps * shares[-1]])


def score_of(shares: np.ndarray, q: float) -> float:
    """Exp of the Rényi entropy of order q: how many equal shares would be as even."""
    if q == 1:
        return math.exp(-(shares * np.log(shares)).sum())
    if q == math.inf:
        return math.exp(-math.log(shares.max()))
    return math.exp(np.log((shares**q).sum()) / (1 - q))


def _unit_rows(embeddings: Rows, start: int, stop: int) -> np.ndarray:
    """Rows start..stop in float64, each scaled to length 1."""
    values = embeddings[start:stop]
    rows_BD = np.asarray(
        values if isinstance(values, np.ndarray) else values.detach().cpu().double().numpy(), np.float64
    )
    bad = start + np.flatnonzero(~np.isfinite(rows_BD).all(axis=1))
    if bad.size:
        raise NonFiniteError(
            f"embeddings hold NaN or infinite values in the rows {some_of(bad)}. Leave them out or embed "
            "them again."
        )
    largest_B1 = np.abs(rows_BD).max(axis=1, keepdims=True)  # divided out first, so that no square overflows
    zero = start + np.flatnonzero(largest_B1 == 0)
    if zero.size:
        raise EmbedError(f"the rows {some_of(zero)} are all zeros and have no direction. Leave them out.")
    rows_BD = rows_BD / largest_B1
    return np.asarray(rows_BD / np.linalg.norm(rows_BD, axis=1, keepdims=True))
