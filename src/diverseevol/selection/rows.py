"""Rows of the embeddings in the two forms selection computes with: float64 to decide, float32 to go fast.

The array may be numpy, memory-mapped, a torch tensor on any device, or anything that reads its rows on
demand (`Vectors`); only the rows asked for are ever read. Under the cosine metric rows are scaled to unit
length, which turns it into the Euclidean one: 1 - cos = half the squared distance.
Shape letters: M rows asked for, D embedding width.
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
HELD_BY_FLOAT32 = {"float16", "bfloat16", "float32", "int8", "uint8", "int16"}  # without rounding


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

    @classmethod
    def of(cls, signals: Signals, who: str, is_unit: bool = False) -> RowReader:
        """The reader of the signals' embeddings.

        Raises:
            SelectionError: there are none, or they are no numbers.
        """
        embeddings = signals.embeddings
        if embeddings is None:
            raise SelectionError(f"{who} needs embeddings and got none. Give Signals(embeddings=…).")
        dtype = embeddings.dtype
        is_number = (
            not dtype.is_complex and dtype is not torch.bool
            if isinstance(dtype, torch.dtype)
            else dtype.kind in "fiu"
        )
        if not is_number:
            raise SelectionError(
                f"embeddings must be floating-point or integer numbers; found {dtype}. "
                "Convert them to float32."
            )
        return cls(embeddings, is_unit)

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
        return not self.is_unit and str(self.embeddings.dtype).removeprefix("torch.") in HELD_BY_FLOAT32

    def float64(self, rows: np.ndarray | slice) -> np.ndarray:
        """Read `rows` as (M, D) float64; the same row has the same bits in whatever company it is read."""
        taken = self._taken(rows)
        if isinstance(taken, Tensor):
            taken = taken.double().cpu().numpy()
        values_MD = np.ascontiguousarray(taken, dtype=np.float64)
        if self.is_unit:
            with np.errstate(invalid="ignore"):  # zeros become NaN, which `check_finite` reports
                values_MD = values_MD / np.abs(values_MD).max(
                    axis=1, keepdims=True
                )  # first, so that no square overflows
                values_MD /= np.sqrt(np.square(values_MD).sum(axis=1, keepdims=True))
        return values_MD

    def float32(self, rows: np.ndarray | slice, device: torch.device = CPU) -> Tensor:
        """Read `rows` as (M, D) float32 on `device`, maybe without a copy: do not write into it."""
        taken = self.float64(rows) if self.is_unit else self._taken(rows)
        if isinstance(taken, np.ndarray):
            with np.errstate(over="ignore", invalid="ignore"):
                taken = np.ascontiguousarray(taken, dtype=np.float32)
            taken = torch.from_numpy(
                taken if taken.flags.writeable else taken.copy()
            )  # torch warns of read-only memory
        return taken.to(device, torch.float32)

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
        parts = blocks(len(rows), BLOCK_NUMBERS // self.width)
        is_bad = [~torch.isfinite(self.float32(rows[part])).all(dim=1).numpy() for part in parts]
        bad = rows[np.concatenate(is_bad)]
        self.check_finite(bad)
        if bad.size:
            raise SelectionError(
                f"the embeddings of row {bad[0]} are too large for float32. Scale them down."
            )

    def check_finite(self, rows: np.ndarray) -> None:
        """Look closely at rows that are suspicious.

        Raises:
            NonFiniteError: rows hold NaN or infinite values.
            SelectionError: the metric is cosine and rows are zero.
        """
        is_bad = [~np.isfinite(self.float64(rows[part])).all(axis=1) for part in blocks(len(rows), 256)]
        bad = np.unique(rows[np.concatenate([np.zeros(0, dtype=bool), *is_bad])])
        is_zero = np.array(
            [not RowReader(self.embeddings).float64(bad[i : i + 1]).any() for i in range(len(bad))],
            dtype=bool,
        )
        others, zeros = bad[~is_zero].tolist(), bad[is_zero].tolist()
        if others:
            raise NonFiniteError(
                f"{len(others)} rows of the embeddings hold NaN or infinite values: {some_of(others)}. "
                "Embed or exclude them.",
                others,
            )
        if zeros:
            raise SelectionError(
                f"{len(zeros)} rows are all zeros and have no direction: {some_of(zeros)}. "
                "Exclude them, or take euclidean."
            )

    def _taken(self, rows: np.ndarray | slice) -> np.ndarray | Tensor:
        if not isinstance(self.embeddings, Tensor):
            return np.asarray(self.embeddings[rows])
        index = rows if isinstance(rows, slice) else torch.from_numpy(rows).to(self.embeddings.device)
        return self.embeddings.detach()[index]
