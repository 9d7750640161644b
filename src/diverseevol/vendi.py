"""How diverse a set of rows is: the Vendi score, an effective number of different rows.

Source: Friedman and Dieng, "The Vendi Score", 2022, https://arxiv.org/abs/2210.02410; orders other than 1: Pasarkar and Dieng,
"Cousins of the Vendi Score", 2023, https://arxiv.org/abs/2310.12952. The paper (DiverseEvol) uses order 1.
Differs from the published package in that eigenvalues which are only rounding noise count as zero.
Cost: O(n D min(n, D)) time; the smaller of the n × n and the D × D matrix, in float64, beside one block of rows.
Shape letters: N rows, D embedding width, B rows of a block.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ConfigError, EmbedError, NonFiniteError

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_ROWS = 4096


def vendi_score(embeddings: np.ndarray[Any, Any] | Tensor, q: float = 1.0) -> float:
    """Measure the diversity of the rows: 1 if all point the same way, n if all are orthogonal.

    Args:
        embeddings: (N, D), numpy, memory-mapped or torch; rows are scaled to unit length here.
        q: the order of the entropy; 1 is Shannon's, smaller ones weigh rare directions more, infinity only the commonest.

    Returns:
        exp of the Rényi entropy of order q of the eigenvalues of K/n, with the cosine kernel K.

    Raises:
        ConfigError: q is negative or NaN.
        EmbedError: not an array of at least one row and one column, or a row of zeros, which has no direction.
        NonFiniteError: a row holds NaN or infinite values.
    """
    check_order(q)
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise EmbedError(f"embeddings must be a 2-D array of at least one row; found the shape {tuple(embeddings.shape)}.")
    n, width = embeddings.shape
    if n <= width:
        units_ND = _unit_rows(embeddings, 0, n)
        gram = units_ND @ units_ND.T
    else:  # X Xᵀ and Xᵀ X have the same eigenvalues above zero
        gram = np.zeros((width, width))
        for start in range(0, n, BLOCK_ROWS):
            units_BD = _unit_rows(embeddings, start, min(n, start + BLOCK_ROWS))
            gram += units_BD.T @ units_BD
    return vendi_of(gram, n, q)


def check_order(q: float) -> None:
    """Check the order of an entropy.

    Raises:
        ConfigError: it is negative, NaN or not a number.
    """
    if isinstance(q, bool) or not isinstance(q, int | float) or not q >= 0:
        raise ConfigError(f"the order q must be 0 or more, up to infinity; found {q!r}.")


def vendi_of(kernel: np.ndarray, n: int, q: float) -> float:
    """Score n rows of unit length by their kernel X Xᵀ (n × n) or Xᵀ X (D × D), whose eigenvalues above zero are the same."""
    shares = np.linalg.eigvalsh(kernel / n)
    shares = shares[shares > len(kernel) * np.finfo(np.float64).eps * shares[-1]]
    return math.exp(_renyi_entropy(shares, q))


def _renyi_entropy(shares: np.ndarray, q: float) -> float:
    if q == 1:
        return float(-(shares * np.log(shares)).sum())
    if q == math.inf:
        return -math.log(shares.max())
    return float(np.log((shares**q).sum()) / (1 - q))


def _unit_rows(embeddings: np.ndarray[Any, Any] | Tensor, start: int, stop: int) -> np.ndarray:
    """Rows start..stop in float64, each scaled to length 1."""
    rows_BD = _float64(embeddings[start:stop])
    bad = start + np.flatnonzero(~np.isfinite(rows_BD).all(axis=1))
    if bad.size:
        raise NonFiniteError(
            f"embeddings hold NaN or infinite values in the rows {_first(bad)}. Leave them out or embed them again."
        )
    largest_B1 = np.abs(rows_BD).max(axis=1, keepdims=True)  # divided out first, so that no square overflows
    zero = start + np.flatnonzero(largest_B1 == 0)
    if zero.size:
        raise EmbedError(f"the rows {_first(zero)} are all zeros and have no direction. Leave them out.")
    rows_BD = rows_BD / largest_B1
    return np.asarray(rows_BD / np.linalg.norm(rows_BD, axis=1, keepdims=True))


def _float64(rows: np.ndarray[Any, Any] | Tensor) -> np.ndarray:
    if isinstance(rows, np.ndarray):
        return np.asarray(rows, dtype=np.float64)
    return rows.detach().cpu().double().numpy()


def _first(rows: np.ndarray, n_shown: int = 5) -> str:
    return ", ".join(map(str, rows[:n_shown].tolist())) + (", …" if len(rows) > n_shown else "")
