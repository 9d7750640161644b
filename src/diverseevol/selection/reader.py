"""Rows of the embeddings in the two forms that selection computes with.

Float64 to decide, float32 to go fast.

The array may be numpy, memory-mapped, a torch tensor on any device, or anything that reads its rows on demand
(`Vectors`); only the rows asked for are ever read. Under the cosine metric rows are scaled to unit length,
which turns it into the Euclidean one: 1 - cos = half the squared distance.

Shape letters: N pool rows, M rows asked for, D embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..base.text import some_of
from ..errors import NonFiniteError, SelectionError
from .base import Embeddings, Signals

CPU = torch.device("cpu")
BLOCK_NUMBERS = 2**22  # numbers in one block of work: 16 MB of float32, which the allocator still recycles
EXACT = (
    np.float16,
    np.float32,
    np.int8,
    np.uint8,
    np.int16,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.int8,
)
"""Types whose numbers float32 holds exactly."""


def blocks(n: int, n_at_once: int) -> Iterator[slice]:
    """Cut range(n) into slices of at most `n_at_once`."""
    step = max(1, n_at_once)
    for start in range(0, n, step):
        yield slice(start, min(n, start + step))


@dataclass(frozen=True, slots=True)
class RowReader:
    """Reads rows of `embeddings`, scaled to unit length if `is_unit`."""

    embeddings: Embeddings
    is_unit: bool = False

    def __post_init__(self) -> None:
        dtype = self.embeddings.dtype
        is_real = (
            dtype.kind in "fiu"
            if isinstance(dtype, np.dtype)
            else not dtype.is_complex and dtype is not torch.bool
        )
        if not is_real:
            raise SelectionError(
                f"embeddings must be floating-point or integer numbers; found {dtype}. Convert them to "
                "float32."
            )

    @classmethod
    def of(cls, signals: Signals, who: str, is_unit: bool = False) -> RowReader:
        """The reader of the signals' embeddings.

        Raises:
            SelectionError: there are none, or they are no numbers.
        """
        if signals.embeddings is None:
            raise SelectionError(f"{who} needs embeddings and got none. Give Signals(embeddings=…).")
        return cls(signals.embeddings, is_unit)

    @property
    def width(self) -> int:
        """D."""
        return int(self.embeddings.shape[1])

    @property
    def device(self) -> torch.device:
        """Where the embeddings are: a GPU, or the CPU."""
        return self.embeddings.device if isinstance(self.embeddings, Tensor) else CPU

    @property
    def is_exact_in_float32(self) -> bool:
        """Whether `float32` gives the rows as they are, without rounding."""
        return not self.is_unit and self.embeddings.dtype in EXACT

    def float64(self, rows: np.ndarray) -> np.ndarray:
        """Read `rows` as (M, D) float64; the same row has the same bits in whatever company it is read."""
        return self._float64(self._take(rows))

    def exact(self, rows: np.ndarray) -> np.ndarray:
        """Read `rows` as they are: (M, D) float32 where that holds them exactly, else float64."""
        return self.float32(rows, CPU).numpy() if self.is_exact_in_float32 else self.float64(rows)

    def float32(self, rows: np.ndarray, device: torch.device) -> Tensor:
        """Read `rows` as (M, D) float32 on `device`; do not write into it."""
        if isinstance(self.embeddings, Tensor) and not self.is_unit:
            taken = self.embeddings.detach()[torch.from_numpy(rows).to(self.embeddings.device)]
            return taken.to(device, torch.float32)
        return self._float32(self._take(rows), device)

    def float32_between(self, start: int, stop: int, device: torch.device) -> Tensor:
        """Read the rows from `start` up to `stop` as float32 on `device`, without a copy where it can be."""
        if not isinstance(self.embeddings, Tensor):
            return self._float32(self.embeddings[start:stop], device)
        if self.is_unit:
            return self._float32(self._take(np.arange(start, stop)), device)
        return self.embeddings.detach()[start:stop].to(device, torch.float32)

    def mean_of(self, rows: np.ndarray, n_used: int = 1024) -> np.ndarray:
        """Average some of the rows in float64, (D,): near the middle of things, and held by float32."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean_D: np.ndarray = self.float64(rows[:: max(1, len(rows) // n_used)]).mean(axis=0)
            mean_D[~(np.abs(mean_D) < 1e37)] = 0
        return mean_D

    def check(self, rows: np.ndarray) -> None:
        """Check that float32 can hold `rows`.

        Raises:
            NonFiniteError: rows hold NaN or infinite values.
            SelectionError: values are too large for float32, or rows that need a direction are zero.
        """
        is_fine = np.ones(len(rows), dtype=bool)
        for block in blocks(len(rows), BLOCK_NUMBERS // self.width):
            is_fine[block] = torch.isfinite(self.float32(rows[block], CPU)).all(dim=1).numpy()
        self.check_finite(rows[~is_fine])
        if not is_fine.all():
            raise SelectionError(
                f"the embeddings of row {rows[~is_fine][0]} are too large for float32. Scale them down."
            )

    def check_finite(self, rows: np.ndarray) -> None:
        """Look closely at rows that are suspicious.

        Raises:
            NonFiniteError: rows hold NaN or infinite values.
            SelectionError: the metric is cosine and rows are zero.
        """
        is_bad = [~np.isfinite(self.float64(rows[block])).all(axis=1) for block in blocks(len(rows), 256)]
        bad = np.unique(rows[np.concatenate([np.zeros(0, dtype=bool), *is_bad])])
        zeros = [row for row in bad.tolist() if self.is_unit and not self._take(np.array([row])).any()]
        others = [row for row in bad.tolist() if row not in zeros]
        if others:
            raise NonFiniteError(
                f"{len(others)} rows of the embeddings hold NaN or infinite values: {some_of(others)}. "
                "Embed or exclude them.",
                others,
            )
        if zeros:
            raise SelectionError(
                f"{len(zeros)} rows are all zeros and have no direction: {some_of(zeros)}. Exclude them, or "
                "take euclidean."
            )

    def _float64(self, values_MD: np.ndarray) -> np.ndarray:
        values_MD = np.ascontiguousarray(values_MD, dtype=np.float64)
        if self.is_unit:
            with np.errstate(
                invalid="ignore"
            ):  # a zero row has no direction and becomes NaN, which `check_finite` reports
                # First by the largest, so that no square can overflow.
                values_MD = values_MD / np.abs(values_MD).max(axis=1, keepdims=True)
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
