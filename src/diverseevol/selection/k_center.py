"""Greedy K-Center: each pick is the row farthest from everything chosen so far.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), section on K-Center sampling; the
greedy rule is Gonzalez's farthest-first traversal (1985). Differs from the published code in that distances
cannot become NaN, near-ties are decided by direct differences in float64 and then by the lowest row, and no N
× N matrix is built. The picks depend on the embeddings alone: not on the device, the blocks, the threads or
the number of processes. How the farthest row is found, and at what cost: distances.py.
Shape letters: N pool rows, C chosen rows, D embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import PositiveInt
from pydantic.dataclasses import dataclass

from ..errors import SelectionError
from .base import STRICT, Selection, Signal, Signals
from .distances import farthest_first
from .rows import RowReader

Pick = tuple[float, int, int]


@dataclass(frozen=True, config=STRICT)
class KCenter:
    """Adds the rows that lie farthest from the current training set.

    Attributes:
        metric: euclidean, or cosine (1 - cos; the same as Euclidean on rows of unit length).
        device: where the product runs: auto (the embeddings' own GPU, else this process's, else the CPU),
            cpu, cuda, cuda:0, …
        block_rows: rows a block; None: as many as fit into 16 MB (a GPU: 256 MB). Changes memory and time,
            never the picks.
    """

    needs: ClassVar[frozenset[str]] = frozenset({Signal.EMBEDDING})
    metric: Literal["euclidean", "cosine"] = "euclidean"
    device: str = "auto"
    block_rows: PositiveInt | None = None

    def __post_init__(self) -> None:
        _device(self.device)

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick `n_new` rows, farthest first; equal distances go to the lowest row. `rng` is not used.

        With nothing chosen yet, the first pick is the row farthest from the mean of the rows that may be
        picked.

        Returns:
            The picks with the columns `distance` (float64: to the nearest row chosen before; for the first of
            all, to the mean) and `nearest_row` (int64: that row, the lowest if several are as near; -1 for
            the first of all).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            NonFiniteError: a row that is chosen or may be picked holds NaN or infinite values.
            SelectionError: another argument is unusable.
        """
        return selection_of(list(self.traverse(signals, chosen_rows, n_new)))

    def traverse(self, signals: Signals, chosen_rows: np.ndarray, n_new: int) -> Iterator[Pick]:
        """The picks of `select` one by one, as they are found: (distance, row, nearest row).

        Taken as chosen, they lead to the same next ones.

        Raises:
            DiverseEvolError: as `select`, before the first pick.
        """
        reader = RowReader.of(signals, "k_center", is_unit=self.metric == "cosine")
        chosen, free = signals.chosen(chosen_rows), signals.free(chosen_rows, n_new)
        device = _device(self.device, reader)
        picks = farthest_first(reader, chosen, free, n_new, device, self.block_rows, watch=signals.watch)
        for squared, row, nearest_row in picks:
            yield squared / 2 if self.metric == "cosine" else math.sqrt(squared), row, nearest_row


def selection_of(picks: Sequence[Pick]) -> Selection:
    """Picks of `KCenter.traverse` as a selection."""
    distances, rows, nearest_rows = zip(*picks, strict=True)
    columns = {"distance": np.array(distances), "nearest_row": np.array(nearest_rows, dtype=np.int64)}
    return Selection(np.array(rows, dtype=np.int64), columns)


def _device(name: str, reader: RowReader | None = None) -> torch.device:
    if name == "auto":
        is_there = reader is not None and reader.device.type == "cuda"
        name = str(reader.device) if reader and is_there else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)  # cuda alone: this process's own
    except RuntimeError:
        raise SelectionError(f"device must be auto, cpu, cuda or cuda:NUMBER; found {name!r}.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SelectionError(f"device is {name!r}, but torch sees no GPU here. Use device auto or cpu.")
    return device
