"""Exact Euclidean distances to the nearest of some centres, for many rows at the price of a float32 product.

The value is the definition, the root of sum((x - c)²) in float64, so near duplicates lose nothing to cancellation. Which pairs need
it is found by a product: with x, c minus a common shift, |x|² + |c|² - 2 x·c in float32 differs from the squared distance by at most
e·(|x| + |c|)² ≤ 2e·(|x|² + |c|²), where e = (D + 16) u for unit roundoff u (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1). Every pair that this leaves in question is computed; what overflows float32 is in question, too.
Cost: 2·N·C·D operations and some N pairs, in blocks of 2²² numbers beside the centres.
Shape letters: N rows, B rows of a block, C centres, D embedding width, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..base.text import some_of
from ..errors import EmbedError, NonFiniteError, SelectionError

BLOCK_NUMBERS = 1 << 22  # 16 MB in float32
TINY = 2.0**-100  # what squares lose where float32 ends below, beside the largest centre


class Vectors(Protocol):
    """(N, D) numbers whose rows can be read: numpy, memory-mapped, torch, or files (`diverseevol.open_vectors`)."""

    @property
    def shape(self) -> Any:  # noqa: ANN401 - a tuple, or torch's own kind of one
        """(N, D)."""

    def __getitem__(self, rows: Any, /) -> Any:  # noqa: ANN401 - a slice or row numbers; an array or a tensor
        """Rows, in the order asked for."""


def blocks(n: int, n_at_once: int) -> Iterator[slice]:
    """Cut range(n) into slices of at most `n_at_once`."""
    step = max(1, n_at_once)
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


def read(embeddings_ND: Vectors, rows: slice | NDArray[np.int64]) -> NDArray[np.float64]:
    """Read rows in float64.

    Raises:
        NonFiniteError: one of them holds NaN or infinite values.
    """
    values = embeddings_ND[rows]
    values = values if isinstance(values, np.ndarray) else values.detach().cpu().double().numpy()
    values_BD = np.ascontiguousarray(values, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(values_BD).all(axis=1))
    if bad.size:
        numbers = rows.start + bad if isinstance(rows, slice) else rows[bad]
        raise NonFiniteError(
            f"embeddings hold NaN or infinite values in the rows {some_of(numbers)}. Leave them out or embed them again."
        )
    return values_BD


def check_rows(rows: NDArray[np.int64], embeddings_ND: Vectors, what: str) -> None:
    """Check row numbers against the embeddings.

    Raises:
        EmbedError: the embeddings are not rows of numbers.
        SelectionError: there are no rows, one is outside 0 … N-1, or one is named twice.
    """
    shape = tuple(embeddings_ND.shape)
    if len(shape) != 2 or 0 in shape:
        raise EmbedError(f"embeddings must be a 2-D array of at least one row; found the shape {shape}.")
    if len(rows) == 0:
        raise SelectionError(f"{what} needs at least one chosen row, found none.")
    outside = rows[(rows < 0) | (rows >= shape[0])]
    if outside.size:
        raise SelectionError(
            f"{what}: row {outside[0]} is outside 0..{shape[0] - 1}. Are they other vectors' rows?"
        )
    values, counts = np.unique(rows, return_counts=True)
    if counts.max() > 1:
        raise SelectionError(
            f"{what}: row {values[counts.argmax()]} is named {counts.max()} times. Name each row once."
        )


@dataclass(frozen=True, slots=True)
class Screened:
    """Rows in two forms: float64 as they are, and float32 minus the shift, over the scale, with squared lengths."""

    exact_BD: NDArray[np.float64]
    shifted_BD: NDArray[np.float32]
    norms_B: NDArray[np.float32]


class Centres:
    """Rows that distances are measured to."""

    def __init__(self, exact_CD: NDArray[np.float64]) -> None:
        # Their mean takes an offset away that all rows share. The scale, a power of two, keeps squares inside float32's range.
        self._scale = 2.0 ** int(np.frexp(max(np.abs(exact_CD).max(), 2.0**-960))[1] - 1)
        self._shift_D = (exact_CD / self._scale).mean(axis=0)
        screened = self.screened(exact_CD)
        self._exact_CD, self._norms_C = exact_CD, screened.norms_B
        self._minus_twice_CD = np.float32(-2) * screened.shifted_BD
        self._slack = 2 * (exact_CD.shape[1] + 16) * 2.0**-24

    def screened(self, exact_BD: NDArray[np.float64]) -> Screened:
        """Make rows ready for `nearer`."""
        with np.errstate(over="ignore", invalid="ignore"):
            shifted_BD = (exact_BD / self._scale - self._shift_D).astype(np.float32)
            return Screened(exact_BD, shifted_BD, np.einsum("bd,bd->b", shifted_BD, shifted_BD))

    def nearer(
        self,
        rows: Screened,
        start: int,
        stop: int,
        best_B: NDArray[np.float64],
        own_B: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """Lower each row's best distance to that of the nearest centre from number `start` up to `stop`, if that is nearer.

        Args:
            rows: as `screened` gives them.
            start: the first centre looked at.
            stop: the one behind the last.
            best_B: distances known so far; infinity: none.
            own_B: the number of the centre that the row itself is, which does not count.
        """
        best_B = best_B.copy()
        for part in blocks(
            stop - start, BLOCK_NUMBERS // 4 // max(1, len(best_B))
        ):  # a block that caches still hold
            first, last = start + part.start, start + part.stop
            row_P, centre_P = np.nonzero(self._in_question(rows, first, last, best_B, own_B))
            for some in blocks(len(row_P), BLOCK_NUMBERS // rows.exact_BD.shape[1]):
                distances_P = self._distances(rows.exact_BD[row_P[some]], first + centre_P[some])
                np.minimum.at(best_B, row_P[some], distances_P)
        return best_B

    def _in_question(
        self,
        rows: Screened,
        first: int,
        last: int,
        best_B: NDArray[np.float64],
        own_B: NDArray[np.int64] | None,
    ) -> NDArray[np.bool_]:
        """Which centres may be nearer than the best known, or than one of these that looks nearest.

        With s the slack, a squared distance is at least (1 - s)(|x|² + |c|²) - 2 x·c, and at most the same with 1 + s. What depends on
        the row alone is kept out of the (B, C) array.
        """
        norms_C, norms_B, s = self._norms_C[first:last], rows.norms_B.astype(np.float64), self._slack
        is_own_BC = None if own_B is None else own_B[:, None] == np.arange(first, last)
        with np.errstate(over="ignore", invalid="ignore"):
            least_BC = rows.shifted_BD @ self._minus_twice_CD[first:last].T
            least_BC += np.float32(1 - s) * norms_C
            if is_own_BC is not None:
                least_BC[is_own_BC] = np.inf
            nearest_B = least_BC.argmin(axis=1)
            most_B = (
                least_BC[np.arange(len(nearest_B)), nearest_B]
                + 2 * s * norms_C[nearest_B]
                + (1 + s) * norms_B
                + TINY
            )
            bound_B = np.minimum(np.square(best_B / self._scale), most_B) - (1 - s) * norms_B + TINY
            bound_B = np.where(np.isfinite(norms_B), bound_B, np.inf).astype(np.float32)
            # NaN is in question, too.
            in_question_BC: NDArray[np.bool_] = ~(
                least_BC > np.nextafter(bound_B, np.float32(np.inf))[:, None]
            )
        return in_question_BC if is_own_BC is None else in_question_BC & ~is_own_BC

    def _distances(self, exact_PD: NDArray[np.float64], centre_P: NDArray[np.int64]) -> NDArray[np.float64]:
        differences_PD = (exact_PD - self._exact_CD[centre_P]) / self._scale
        return np.asarray(self._scale * np.sqrt(np.einsum("pd,pd->p", differences_PD, differences_PD)))
