"""Rows of the embeddings in the two forms that selection computes with: float64 to decide, float32 to go fast.

The array may be numpy, memory-mapped, a torch tensor on any device, or anything that reads its rows on demand (`Vectors`); only the
rows asked for are ever read. Under the cosine metric rows are scaled to unit length, which turns it into the Euclidean one:
1 - cos = half the squared distance.

Shape letters: N pool rows, M rows asked for, D embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..base import dist
from ..base.text import some_of
from ..errors import NonFiniteError, SelectionError
from .signals import Embeddings

EXACT = (np.float16, np.float32, np.int8, np.uint8, np.int16, torch.float16, torch.bfloat16, torch.float32, torch.int8)
"""Types whose numbers float32 holds exactly."""


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads rows of `embeddings`, scaled to unit length if `is_unit`."""

    embeddings: Embeddings
    is_unit: bool = False

    def __post_init__(self) -> None:
        dtype = self.embeddings.dtype
        is_real = dtype.kind in "fiu" if isinstance(dtype, np.dtype) else not dtype.is_complex and dtype is not torch.bool
        if not is_real:
            raise SelectionError(f"embeddings must be floating-point or integer numbers; found {dtype}. Convert them to float32.")

    @property
    def width(self) -> int:
        """D."""
        return int(self.embeddings.shape[1])

    @property
    def is_exact_in_float32(self) -> bool:
        """Whether `float32` gives the rows as they are, without rounding."""
        return not self.is_unit and self.embeddings.dtype in EXACT

    def float64(self, rows: np.ndarray) -> np.ndarray:
        """Read `rows` as (M, D) float64; the same row has the same bits in whatever company it is read."""
        return self._float64(self._take(rows))

    def exact(self, rows: np.ndarray) -> np.ndarray:
        """Read `rows` as they are: (M, D) float32 where that holds them exactly, which is half the work, else float64."""
        return self.float32(rows, torch.device("cpu")).numpy() if self.is_exact_in_float32 else self.float64(rows)

    def float32(self, rows: np.ndarray, device: torch.device) -> Tensor:
        """Read `rows` as (M, D) float32 on `device`; do not write into it."""
        if isinstance(self.embeddings, Tensor) and not self.is_unit:
            return self.embeddings.detach()[torch.from_numpy(rows).to(self.embeddings.device)].to(device, torch.float32)
        return self._float32(self._take(rows), device)

    def float32_between(self, start: int, stop: int, device: torch.device) -> Tensor:
        """Read the rows from `start` up to `stop` as float32 on `device`, without a copy where there is none to make."""
        if isinstance(self.embeddings, Tensor) and not self.is_unit:
            return self.embeddings.detach()[start:stop].to(device, torch.float32)
        if isinstance(self.embeddings, Tensor):
            return self._float32(self._take(np.arange(start, stop)), device)
        return self._float32(self.embeddings[start:stop], device)

    def check_finite(self, suspects: np.ndarray) -> None:
        """Look at the rows that some rank found suspicious; every rank must call this.

        Raises:
            NonFiniteError: rows that hold NaN or infinite values, on every rank alike.
            SelectionError: the metric is cosine and rows are zero.
        """
        bad = [rows[~np.isfinite(self.float64(rows)).all(axis=1)] for rows in np.split(suspects, range(256, len(suspects), 256))]
        rows = np.unique(np.concatenate(dist.gather(np.concatenate(bad))))
        if not rows.size:
            return
        is_zero = [self.is_unit and not self._take(rows[i : i + 1]).any() for i in range(len(rows))]
        if all(is_zero):
            raise SelectionError(
                f"{len(rows)} rows are all zeros and have no direction: {some_of(rows)}. Exclude them, or take euclidean."
            )
        bad_rows = [row for row, zero in zip(rows.tolist(), is_zero, strict=True) if not zero]
        text = f"{len(bad_rows)} rows of the embeddings hold NaN or infinite values: {some_of(bad_rows)}. Embed or exclude them."
        raise NonFiniteError(text, bad_rows)

    def _float64(self, values_MD: np.ndarray) -> np.ndarray:
        values_MD = np.ascontiguousarray(values_MD, dtype=np.float64)
        if self.is_unit:
            with np.errstate(invalid="ignore"):  # a zero row has no direction and becomes NaN, which `check_finite` reports
                values_MD = values_MD / np.abs(values_MD).max(axis=1, keepdims=True)  # first, so that no square can overflow
                values_MD /= np.sqrt(np.square(values_MD).sum(axis=1, keepdims=True))
        return values_MD

    def _float32(self, values_MD: np.ndarray, device: torch.device) -> Tensor:
        if self.is_unit:
            values_MD = self._float64(values_MD)
        with np.errstate(over="ignore", invalid="ignore"):
            values_MD = np.ascontiguousarray(values_MD, dtype=np.float32)
        if not values_MD.flags.writeable:  # torch warns of memory that it may not write
            values_MD = values_MD.copy()
        return torch.from_numpy(values_MD).to(device)

    def _take(self, rows: np.ndarray) -> np.ndarray:
        if isinstance(self.embeddings, Tensor):
            taken = self.embeddings.detach()[torch.from_numpy(rows).to(self.embeddings.device)].cpu()
            return (taken.float() if taken.dtype is torch.bfloat16 else taken).numpy()
        return np.asarray(self.embeddings[rows])
