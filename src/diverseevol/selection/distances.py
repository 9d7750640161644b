"""Squared distances to the nearest centre: a fast rigorous upper bound for many rows, and the exact value for a few.

The exact value is the definition, sum((x - c)²) in float64 in numpy's fixed order of addition, so it has the same bits on every
machine, in every block and on every rank. Everything else only decides which pairs need it.

How the bounds are made: with x, c minus a common shift (it takes away offsets shared by all rows), |x|² + |c|² - 2 x·c differs
from the squared distance by at most e·(|x| + |c|)², where e = (D + 16) u for unit roundoff u (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 3.1: γ_D for an inner product in any order, plus three roundings of the shift and a few of the
sums). (|x| + |c|)² ≤ 2|x|² + 2|c|² turns this into two terms that the norms absorb.

Cost: the bound is one (M, C) product in float32 in blocks of `BLOCK_NUMBERS`; nothing of the size N × C is ever kept.
Shape letters: M rows, C centres, D embedding width, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from .reader import RowReader

BLOCK_NUMBERS = 2**22  # numbers in one block of work: 16 MB of float32, which the allocator still recycles
GPU_BLOCK_NUMBERS = 2**26  # a GPU wants larger ones: 256 MB
CENTRE_NUMBERS = 2**27  # numbers of centres held at once: 512 MB of float32
SMALL_PRODUCT = 2**20  # multiplications below which waking other threads costs more than they bring, above all on busy cores
NO_ROW = np.iinfo(np.int64).max  # "no centre found yet"; any centre at the same distance takes its place
TINY = 2.0**-120  # one float32 product loses at most 2**-126 to underflow; the rest is margin


def blocks(n: int, n_at_once: int) -> Iterator[slice]:
    """Cut range(n) into slices of at most `n_at_once`."""
    step = max(1, n_at_once)
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


def upper_bounds(
    reader: RowReader, rows: np.ndarray, centre_rows: np.ndarray, device: torch.device, block_rows: int | None = None
) -> np.ndarray:
    """Bound each row's squared distance to its nearest centre from above, float64; +inf where float32 overflows.

    Args:
        reader: where rows and centres are read.
        rows: (M,) the rows to bound.
        centre_rows: (C,) the centres, at least one.
        device: where the product is computed.
        block_rows: rows a block; None: as many as fit into `BLOCK_NUMBERS`; the picks do not depend on it.
    """
    shift_D = mean_of(reader, centre_rows).astype(np.float32)
    error = product_error(reader.width, device)
    n_numbers = GPU_BLOCK_NUMBERS if device.type == "cuda" else BLOCK_NUMBERS
    bounds_M = np.full(len(rows), np.inf)
    for part in blocks(len(centre_rows), CENTRE_NUMBERS // reader.width):
        centres_CD = reader.float32_minus(centre_rows[part], shift_D, device)
        norms_C = (1 + 2 * error) * torch.linalg.vector_norm(centres_CD, dim=1).square()
        n_at_once = block_rows or n_numbers // (reader.width + len(centres_CD))
        for block in blocks(len(rows), n_at_once):
            rows_MD = reader.float32_minus(rows[block], shift_D, device)
            nearest_M = torch.addmm(norms_C, rows_MD, centres_CD.T, alpha=-2).amin(1)
            norms_M = torch.linalg.vector_norm(rows_MD, dim=1).double().square()
            bound_M = (nearest_M.double() + (1 + 2 * error) * norms_M).cpu().numpy()
            bounds_M[block] = np.minimum(bounds_M[block], np.where(np.isfinite(bound_M), bound_M, np.inf))
    return np.asarray(np.maximum(bounds_M, 0) + reader.width * TINY)


def mean_of(reader: RowReader, rows: np.ndarray, n_used: int = 1024) -> np.ndarray:
    """Average some of the rows in float64, (D,); a shift need only be near the middle of things."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean_D: np.ndarray = reader.float64(rows[:: max(1, len(rows) // n_used)]).mean(axis=0)
        mean_D[~(np.abs(mean_D) < 1e37)] = 0  # float32 has to hold it
    return mean_D


def product_error(width: int, device: torch.device) -> float:
    """Return e: how far a float32 product on `device` may be off, relative to (|x| + |c|)².

    TF32 and bfloat16 products, which a program may have allowed for its training, round their inputs far more coarsely, and
    tensor cores add by truncation; the bound then has to be wider, or picks would depend on that setting.
    """
    settings = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    is_exact = settings.matmul.fp32_precision in ("none", "ieee")
    return (width + 16) * 2.0**-24 if is_exact else 2 * (width + 16) * 2.0**-24 + 2 * 2.0**-8


def nearest_centres(
    x_MD: np.ndarray, c_CD: np.ndarray, centre_rows: np.ndarray, limits_M: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find each row's exact squared distance to its nearest centre, and that centre's pool row (ties: the lowest).

    Args:
        x_MD: the rows, float64.
        c_CD: the centres, float64.
        centre_rows: (C,) the centres' pool rows.
        limits_M: distances beyond the row's limit are of no interest; such a row gets +inf and the row `NO_ROW`.
    """
    squared_M, nearest_M = np.full(len(x_MD), np.inf), np.full(len(x_MD), NO_ROW)
    with np.errstate(over="ignore", invalid="ignore"):
        i_P, j_P = _pairs_within(x_MD, c_CD, limits_M)
        squared_P = squared_of_pairs(x_MD, c_CD, i_P, j_P)
    order = np.lexsort((centre_rows[j_P], squared_P, i_P))
    found, first = np.unique(i_P[order], return_index=True)
    squared_M[found] = squared_P[order][first]
    nearest_M[found] = centre_rows[j_P[order][first]]
    return squared_M, nearest_M


def squared_of_pairs(x_MD: np.ndarray, c_CD: np.ndarray, i_P: np.ndarray, j_P: np.ndarray) -> np.ndarray:
    """Compute sum((x_i - c_j)²) for each pair in float64: the definition, from which every decision is made."""
    squared_P = np.empty(len(i_P))
    for block in blocks(len(i_P), 2**20 // x_MD.shape[1]):
        squared_P[block] = np.square(x_MD[i_P[block]] - c_CD[j_P[block]]).sum(axis=1)
    return squared_P


def _pairs_within(x_MD: np.ndarray, c_CD: np.ndarray, limits_M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (row, centre) that may be a row's nearest within its limit; the others are ruled out by a float64 product."""
    shift_D = c_CD.mean(axis=0)
    shift_D[~np.isfinite(shift_D)] = 0
    a_MD, b_CD = x_MD - shift_D, c_CD - shift_D
    norms_MC = np.square(a_MD).sum(1)[:, None] + np.square(b_CD).sum(1)
    if len(a_MD) * b_CD.size < SMALL_PRODUCT:
        product_MC = np.einsum("md,cd->mc", a_MD, b_CD)
    else:
        product_MC = (torch.from_numpy(a_MD) @ torch.from_numpy(b_CD).T).numpy()
    # Twice for (|x| + |c|)² ≤ 2(|x|² + |c|²), and again because the exact values that are compared are rounded too.
    slack_MC = 4 * (x_MD.shape[1] + 16) * 2.0**-53 * norms_MC + x_MD.shape[1] * 2.0**-1000
    squared_MC = norms_MC - 2 * product_MC
    limits_M = np.minimum(limits_M, (squared_MC + slack_MC).min(axis=1))
    i_P, j_P = np.nonzero(~(squared_MC - slack_MC > limits_M[:, None]))  # "not beyond", so that NaN from an overflow stays in
    return i_P, j_P
