"""Greedy K-Center: each pick is the row farthest from everything chosen so far.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), section on K-Center sampling; the greedy rule is
Gonzalez's farthest-first traversal (1985). Differs from the published code in that distances cannot become NaN, near-ties are
decided by direct differences in float64 and then by the lowest row, and no N × N matrix is built.
The picks depend on the embeddings alone: not on the device, the blocks, the threads or the number of processes.
Cost: one pass over the rows (first_bounds.py) and, per pick, only the few rows whose bound is still in the lead; some 40 bytes a row
beside the embeddings. Rows are shared out over the ranks, which exchange 32 bytes each per pick; every rank reads the rows that it needs
from the whole array.
Shape letters: N pool rows, C chosen rows, D embedding width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ..base import dist
from ..errors import SelectionError
from .candidates import candidate_rows, check_chosen_rows
from .reader import RowReader
from .signals import Embeddings, Selection, Signal, Signals
from .traversal import farthest_first

Pick = tuple[float, int, int]


@dataclass(frozen=True, slots=True)
class KCenter:
    """Adds the rows that lie farthest from the current training set.

    Attributes:
        metric: euclidean, or cosine (1 - cos; the same as Euclidean on rows of unit length).
        device: where the product runs: auto (the embeddings' own GPU, else this process's, else the CPU), cpu, cuda, cuda:0, …
        block_rows: rows a block; None: as many as fit into 16 MB (a GPU: 256 MB). Changes memory and time, never the picks.
    """

    metric: Literal["euclidean", "cosine"] = "euclidean"
    device: str = "auto"
    block_rows: int | None = None

    def __post_init__(self) -> None:
        if self.metric not in ("euclidean", "cosine"):
            raise SelectionError(f"metric must be 'euclidean' or 'cosine'; found {self.metric!r}.")
        _device(self.device)
        if self.block_rows is not None and (not isinstance(self.block_rows, int) or self.block_rows < 1):
            raise SelectionError(f"block_rows must be a whole number of at least 1, or none; found {self.block_rows!r}.")

    @property
    def needs(self) -> frozenset[str]:
        """The embeddings."""
        return frozenset({Signal.EMBEDDING})

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick `n_new` rows, farthest first; equal distances go to the lowest row. `rng` is not used.

        With nothing chosen yet, the first pick is the row farthest from the mean of the rows that may be picked.

        Returns:
            The picks with the columns `distance` (float64: to the nearest row chosen before; for the first of all, to the mean)
            and `nearest_row` (int64: that row, the lowest if several are as near; -1 for the first of all).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            NonFiniteError: a row that is chosen or may be picked holds NaN or infinite values.
            SelectionError: another argument is unusable.
        """
        return selection_of(list(self.traverse(signals, chosen_rows, n_new)))

    def traverse(self, signals: Signals, chosen_rows: np.ndarray, n_new: int) -> Iterator[Pick]:
        """The picks of `select` one by one, as they are found: (distance, row, nearest row). Taken as chosen, they lead to the same next ones.

        Raises:
            DiverseEvolError: as `select`, before the first pick.
        """
        if signals.embeddings is None:
            raise SelectionError("k_center needs embeddings and got none. Give Signals(embeddings=…).")
        centre_rows = check_chosen_rows(chosen_rows, signals.n_rows)
        candidates = candidate_rows(signals, centre_rows, n_new)
        reader = RowReader(signals.embeddings, is_unit=self.metric == "cosine")
        device = _device(self.device, reader.embeddings)
        picks = farthest_first(reader, centre_rows, candidates, n_new, device, self.block_rows, watch=signals.watch)
        for squared, row, nearest_row in picks:
            yield squared / 2 if self.metric == "cosine" else math.sqrt(squared), row, nearest_row


def selection_of(picks: Sequence[Pick]) -> Selection:
    """Picks of `KCenter.traverse` as a selection."""
    distances, rows, nearest_rows = zip(*picks, strict=True)
    columns = {"distance": np.array(distances), "nearest_row": np.array(nearest_rows, dtype=np.int64)}
    return Selection(np.array(rows, dtype=np.int64), columns)


def _device(name: str, embeddings: Embeddings | None = None) -> torch.device:
    if name != "auto":
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise SelectionError(f"device must be auto, cpu, cuda or cuda:NUMBER; found {name!r}.") from error
        if device.type == "cuda" and not torch.cuda.is_available():
            raise SelectionError(f"device is {name!r}, but torch sees no GPU here. Use device auto or cpu.")
        return device
    if isinstance(embeddings, torch.Tensor) and embeddings.device.type == "cuda":
        return embeddings.device
    return torch.device("cuda", dist.local_rank()) if torch.cuda.is_available() else torch.device("cpu")
