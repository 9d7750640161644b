"""The exact squared distance to the nearest centre, for few rows.

Everything else only decides which pairs need it.

The exact value is the definition, sum((x - c)²) in float64 in numpy's fixed order of addition, so it has the
same bits on every machine, in every block and on every rank.

Which pairs may be a row's nearest is found by a product in float32, and by one in float64 where that is too
coarse: with x, c minus a common shift (it takes away offsets shared by all rows), |x|² + |c|² - 2 x·c differs
from the squared distance by at most e·(|x| + |c|)², where e = (D + 16) u for unit roundoff u (Higham,
Accuracy and Stability of Numerical Algorithms, 2002, section 3.1: γ_D for an inner product in any order, plus
three roundings of the shift and a few of the sums).
Shape letters: M rows, C centres, D embedding width, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .reader import BLOCK_NUMBERS, RowReader, blocks

SMALL_PRODUCT = (
    2**20
)  # multiplications below which waking other threads costs more than they bring, above all on busy cores
KEPT_NUMBERS = 2**24  # numbers of centres held at once: 128 MB of float64 and 64 of float32
MANY_PAIRS = 4  # pairs a row beyond which a finer product is cheaper than to compute them all
NO_ROW = np.iinfo(np.int64).max  # "no centre found yet"; any centre at the same distance takes its place


def product_error(width: int, dtype: type) -> float:
    """Return e: how far a product on the CPU may be off, relative to (|x| + |c|)².

    bfloat16 products, which a program may have allowed for its training, round their inputs far more
    coarsely; the error then has to be wider, or picks would depend on that setting.
    """
    if dtype is np.float64:
        return (width + 16) * 2.0**-53
    is_exact = torch.backends.mkldnn.matmul.fp32_precision in ("none", "ieee")  # type: ignore[attr-defined]
    return (width + 16) * 2.0**-24 if is_exact else 2 * (width + 16) * 2.0**-24 + 2 * 2.0**-8


@dataclass(frozen=True, slots=True)
class Part:
    """Some centres' vectors: float64; float32 minus a common shift; the latter's squared lengths."""

    exact_CD: np.ndarray
    shifted_CD: np.ndarray
    norms_C: np.ndarray


class Centres:
    """The centres in the order they came.

    Their pool rows, and the vectors of as many as fit into `KEPT_NUMBERS`.
    """

    def __init__(self, reader: RowReader, rows: np.ndarray, n_more: int = 0) -> None:
        """Take `rows`, and make room for as many more as are to come."""
        self.reader = reader
        self.rows: list[int] = []
        self._shift_D = reader.mean_of(rows).astype(np.float32)
        n_kept, width = min(len(rows) + n_more, KEPT_NUMBERS // reader.width), reader.width
        self._kept = Part(
            np.empty((n_kept, width)), np.empty((n_kept, width), np.float32), np.empty(n_kept, np.float32)
        )
        for part in blocks(len(rows), BLOCK_NUMBERS // width):
            self.add(rows[part])

    def add(self, rows: np.ndarray) -> None:
        """Take more rows as centres."""
        start, stop = len(self.rows), min(len(self.rows) + len(rows), len(self._kept.norms_C))
        if start < stop:
            new, some = self._read(rows[: stop - start]), slice(start, stop)
            self._kept.exact_CD[some], self._kept.shifted_CD[some] = new.exact_CD, new.shifted_CD
            self._kept.norms_C[some] = new.norms_C
        self.rows.extend(rows.tolist())

    def part(self, start: int, stop: int) -> Part:
        """The centres from number `start` up to `stop`, read again where they are not kept."""
        if stop > len(self._kept.norms_C):
            return self._read(np.array(self.rows[start:stop]))
        some = slice(start, stop)
        return Part(self._kept.exact_CD[some], self._kept.shifted_CD[some], self._kept.norms_C[some])

    def _read(self, rows: np.ndarray) -> Part:
        exact_CD = self.reader.float64(rows)
        shifted_CD = self._shifted(exact_CD)
        return Part(exact_CD, shifted_CD, _squared_lengths(shifted_CD))

    def _shifted(self, exact_MD: np.ndarray) -> np.ndarray:
        """Vectors minus the common shift, as float32; infinite where float32 ends."""
        shift_D = torch.from_numpy(self._shift_D)
        return torch.from_numpy(exact_MD).sub(shift_D).float().numpy()  # by torch, which uses all cores

    def lower(
        self, x_MD: np.ndarray, start: int, stop: int, known_M: np.ndarray, nearest_M: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower what is known of the rows' distances by the exact ones to some centres, as new arrays.

        Args:
            x_MD: the rows, as `RowReader.exact` reads them.
            start: number of the first centre to look at.
            stop: number behind the last.
            known_M: squared distances, or bounds on them, so far; +inf if nothing is known.
            nearest_M: the pool row of the centre at that distance, `NO_ROW` if there is none. A lower row at
                the same distance takes its place.
        """
        width = self.reader.width
        numbers_read = 0 if stop <= len(self._kept.norms_C) else 2 * width
        for block in blocks(stop - start, BLOCK_NUMBERS // (numbers_read + 4 * len(x_MD))):
            part = self.part(start + block.start, start + block.stop)
            rows_C = np.array(self.rows[start + block.start : start + block.stop], dtype=np.int64)
            with np.errstate(over="ignore", invalid="ignore"):
                i_P, j_P = self._pairs_within(x_MD, part, known_M)
                squared_P = squared_of_pairs(x_MD, part.exact_CD, i_P, j_P)
            order = np.lexsort((rows_C[j_P], squared_P, i_P))
            found, first = np.unique(i_P[order], return_index=True)
            squared, rows = squared_P[order][first], rows_C[j_P[order][first]]
            known, nearest = known_M[found], nearest_M[found]
            is_nearer = (squared < known) | ((squared == known) & (rows < nearest))
            known_M, nearest_M = known_M.copy(), nearest_M.copy()
            known_M[found] = np.where(is_nearer, squared, known)
            nearest_M[found] = np.where(is_nearer, rows, nearest)
        return known_M, nearest_M

    def _pairs_within(
        self, x_MD: np.ndarray, part: Part, limits_M: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The pairs (row, centre) that may be a row's nearest within its limit.

        The others are ruled out by a product.
        """
        n_rows, n_centres = len(x_MD), len(part.norms_C)
        if n_centres <= MANY_PAIRS:
            return np.divmod(np.arange(n_rows * n_centres), n_centres)
        if n_rows * part.exact_CD.size >= SMALL_PRODUCT:
            i_P, j_P = _ruled_in(self._shifted(x_MD), part.shifted_CD, part.norms_C, limits_M)
            if len(i_P) <= MANY_PAIRS * n_rows:
                return i_P, j_P
        c_CD = part.exact_CD - self._shift_D
        return _ruled_in(x_MD - self._shift_D.astype(np.float64), c_CD, _squared_lengths(c_CD), limits_M)


def squared_of_pairs(x_MD: np.ndarray, c_CD: np.ndarray, i_P: np.ndarray, j_P: np.ndarray) -> np.ndarray:
    """Compute sum((x_i - c_j)²) for each pair in float64.

    The definition, from which every decision is made.
    """
    squared_P = np.empty(len(i_P))
    for block in blocks(len(i_P), 2**20 // x_MD.shape[1]):
        squared_P[block] = np.square(x_MD[i_P[block]] - c_CD[j_P[block]]).sum(axis=1)
    return squared_P


def _squared_lengths(vectors_MD: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.einsum("md,md->m", vectors_MD, vectors_MD))


def _ruled_in(
    a_MD: np.ndarray, b_CD: np.ndarray, norms_C: np.ndarray, limits_M: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs that a product in the vectors' own dtype cannot rule out."""
    width, dtype = a_MD.shape[1], a_MD.dtype.type
    norms_MC = _squared_lengths(a_MD)[:, None] + norms_C
    if len(a_MD) * b_CD.size < SMALL_PRODUCT:
        product_MC = np.einsum("md,cd->mc", a_MD, b_CD)
    else:
        product_MC = (torch.from_numpy(a_MD) @ torch.from_numpy(b_CD).T).numpy()
    squared_MC = norms_MC - 2 * product_MC
    squared_MC[~np.isfinite(norms_MC + np.abs(product_MC))] = np.nan
    # Twice for (|x| + |c|)² ≤ 2(|x|² + |c|²), and again because the exact values that are compared are
    # rounded too.
    slack_MC = 4 * product_error(width, dtype) * norms_MC.astype(np.float64) + width * np.finfo(dtype).tiny
    limits_M = np.minimum(limits_M, (squared_MC + slack_MC).min(axis=1))
    i_P, j_P = np.nonzero(
        ~(squared_MC - slack_MC > limits_M[:, None])
    )  # "not beyond", so that NaN from an overflow stays in
    return i_P, j_P
