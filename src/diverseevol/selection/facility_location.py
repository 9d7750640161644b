"""Facility location: the picks that leave every row of the pool a similar row among the chosen.

Maximises f(S) = Σ_i max_{j in P ∪ S} sim(i, j) greedily; sim is the cosine, or 0 where that is negative. The
greedy set reaches at least 1 - 1/e of the best possible f (Nemhauser, Wolsey and Fisher, 1978,
https://doi.org/10.1007/BF01588971). As data selection: Mirzasoleiman et al., "Distributed Submodular
Maximization", 2016, https://arxiv.org/abs/1411.0541, whose section on decomposable functions also shows that
a uniform sample of the rows i estimates f; that is done beyond `represented` rows.

Instead of a graph of neighbours, all gains are kept and corrected: after a pick only the rows i change that
it brought closer, some N/t of them at pick t. This is the exact greedy, where a graph of so many neighbours
as fit would lose what the distant pairs add. The kept gains come from float32 products and only tell which
candidates are in the lead; those are computed anew in float64, until no other can reach the best of them
(lazily: Minoux, 1978, an old gain is a bound, since gains only fall). How far float32 may be off is measured
on the ones computed anew. Gains that float64 cannot tell apart, some 1e-14 a represented row, are equal and
go to the lowest row, so the picks do not depend on the device, the blocks or the number of processes.
Cost: (1 + ln(1 + k/C)) products of (N, D, M), at worst 1 + k; memory 4·N·D + 8·M·D bytes; all of it on rank
0.
Shape letters: N rows that may be picked, M represented rows, D embedding width, C chosen rows, K picks, P
both, B rows of a block, R changed rows, L rows in the lead.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from pydantic import PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor

from ..base import dist
from .base import STRICT, Selection, Signal, Signals
from .rows import RowReader, blocks

BLOCK_NUMBERS = 2**20  # products at once: small, so that they are still in the cache when they are summed
BLOCK_ROWS = 4096  # represented rows at once
N_AHEAD = 16  # candidates computed anew at first, each time twice as many
GONE = -np.inf  # as a gain: picked


@dataclass(frozen=True, config=STRICT)
class FacilityLocation:
    """Adds the rows that stand for the most others.

    Attributes:
        represented: rows whose similarity is summed, at most; of more candidates a sample drawn with `rng`
            stands for all.
    """

    needs: ClassVar[frozenset[str]] = frozenset({Signal.EMBEDDING})
    represented: PositiveInt = 20_000

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick `n_new` rows, the largest gain first; equal gains go to the lowest row.

        Returns:
            The picks with the columns `gain` (float64: the growth of f, scaled up from the represented rows
            to all candidates) and `nearest_row` (int64: the most similar row chosen before, the lowest if
            several are; -1 for the first of all).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            NonFiniteError: a row that is chosen or may be picked holds NaN or infinite values.
            SelectionError: a row is zero and has no direction, or another argument is unusable.
        """
        reader = RowReader.of(signals, "facility_location", is_unit=True)
        chosen, free = signals.chosen(chosen_rows), signals.free(chosen_rows, n_new)
        represented = free
        if len(free) > self.represented:
            represented = np.sort(rng.choice(free, self.represented, replace=False))

        def greedy() -> Selection:
            reader.check(np.concatenate([free, chosen]))
            coverage, picks, gains = _Coverage(reader, free, represented, chosen), [], []
            with signals.watch.task("select", n_new, "picks") as task:
                for _ in range(n_new):
                    picks.append(coverage.best())
                    gains.append(coverage.add(picks[-1]) * len(free) / len(represented))
                    task.advance()
            rows = np.array(picks, dtype=np.int64)
            nearest = _most_similar_before(reader, rows, chosen)
            return Selection(rows, {"gain": np.array(gains), "nearest_row": nearest})

        return dist.on_main(greedy)


class _Coverage:
    """How similar a chosen row each represented row has, and what each row would add to the sum of that."""

    def __init__(
        self, reader: RowReader, rows: np.ndarray, represented: np.ndarray, chosen: np.ndarray
    ) -> None:
        n, self.reader, self.device, self.rows = len(represented), reader, reader.device, rows
        self.represented_MD = self._units(represented, torch.float64)
        self.units_ND = self._units(rows, fast_type(self.device))
        self.best_M = torch.zeros(n, dtype=torch.float64, device=self.device)
        for block in blocks(len(chosen), BLOCK_NUMBERS // n):
            self.best_M = torch.maximum(self.best_M, self._similar(chosen[block]).amax(dim=0))
        self.equal = rounding_of(reader)
        self.resolution, self.rounding = n * self.equal, math.sqrt(n) * 2.0**-22
        self.bounds_N, self.gains_N = np.full(len(rows), np.inf), np.zeros(len(rows))
        self._correct(torch.arange(n, device=self.device), self.best_M, torch.ones_like(self.best_M), 1)

    def best(self) -> int:
        """The row of the largest gain; of equal ones the lowest."""
        exact_N = self._leaders()
        largest = exact_N.max()
        is_best = exact_N >= largest - self.resolution
        if largest <= self.resolution:  # nothing is left to gain: all are equal
            is_best = self.gains_N > GONE
        return int(self.rows[is_best].min())

    def _leaders(self) -> np.ndarray:
        """Gains in float64 of all candidates that may have the largest one, and -inf for the others."""
        exact_N = np.full(len(self.rows), GONE)
        room, n_at_once = np.inf, N_AHEAD
        while True:
            left = np.flatnonzero((exact_N == GONE) & (self.gains_N > GONE))
            reach_L = np.minimum(self.gains_N[left] + room, self.bounds_N[left])
            is_able = reach_L > max(exact_N.max(initial=GONE) - self.resolution, self.resolution)
            left, reach_L = left[is_able], np.minimum(self.gains_N, self.bounds_N)[left[is_able]]
            if not len(left):
                return exact_N
            if len(left) > n_at_once:
                left = left[np.argpartition(-reach_L, n_at_once)[:n_at_once]]
            for block in blocks(len(left), BLOCK_NUMBERS // len(self.best_M)):
                exceeding_BM = self._similar(self.rows[left[block]]).sub_(self.best_M).clamp_(min=0)
                exact_N[left[block]] = exceeding_BM.sum(dim=1).cpu().numpy()
            self.bounds_N[left] = exact_N[left]
            done = np.flatnonzero(exact_N > GONE)
            off_L = exact_N[done] - self.gains_N[done]
            room = off_L.max() + 8 * (off_L.max() - off_L.min()) + self.rounding
            n_at_once *= 2

    def add(self, row: int) -> float:
        """Count `row` as chosen: represented rows close to it add less from now on. Returns its gain."""
        similar_M = self._similar(np.array([row]))[0]
        higher_M = torch.maximum(self.best_M, similar_M)
        changed_R = torch.nonzero(higher_M - self.best_M > self.equal)[:, 0]
        gain = float((higher_M - self.best_M).sum())
        self._correct(changed_R, self.best_M[changed_R], higher_M[changed_R], -1)
        self.best_M = higher_M
        self.gains_N[self.rows == row] = GONE
        return gain

    def _correct(self, some_R: Tensor, low_R: Tensor, high_R: Tensor, sign: int) -> None:
        """Add to each gain what similarity to represented rows exceeds `low_R` by, cut off at `high_R`."""
        dtype = self.units_ND.dtype
        for part in blocks(len(some_R), BLOCK_ROWS):
            represented_RD = self.represented_MD[some_R[part]].to(dtype)
            low, high = low_R[part].to(dtype), high_R[part].to(dtype)
            for block in blocks(len(self.rows), BLOCK_NUMBERS // len(represented_RD)):
                products_BR = self.units_ND[block] @ represented_RD.T
                exceeding_BR = torch.clamp(products_BR, low, high).sub_(low)
                self.gains_N[block] += sign * exceeding_BR.sum(dim=1, dtype=torch.float64).cpu().numpy()

    def _similar(self, rows: np.ndarray) -> Tensor:
        """The rows' cosines with the represented rows in float64, (B, M)."""
        return self._units(rows, torch.float64) @ self.represented_MD.T

    def _units(self, rows: np.ndarray, dtype: torch.dtype) -> Tensor:
        """The rows' directions, (B, D)."""
        units_BD = torch.empty((len(rows), self.reader.width), dtype=dtype, device=self.device)
        for block in blocks(len(rows), BLOCK_NUMBERS // self.reader.width):
            units_BD[block] = torch.from_numpy(self.reader.float64(rows[block])).to(self.device, dtype)
        return units_BD


def rounding_of(reader: RowReader) -> float:
    """Below it cosines are equal: ten times what float64 products round, whatever the order of their sums."""
    return math.sqrt(reader.width) * 2.0**-50


def fast_type(device: torch.device) -> torch.dtype:
    """float32, or float64 where a program has allowed coarse products in float32."""
    settings = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
    return torch.float32 if settings.matmul.fp32_precision in ("none", "ieee") else torch.float64


def _most_similar_before(reader: RowReader, picks: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """For each pick the most similar row chosen before it, the lowest of equal ones; -1 if there is none."""
    others = np.concatenate([chosen, picks])
    similar_KP = reader.float64(picks) @ reader.float64(others).T
    is_before_KP = np.arange(len(others)) < len(chosen) + np.arange(len(picks))[:, None]
    similar_KP[~is_before_KP] = -2.0
    is_top_KP = is_before_KP & (similar_KP >= similar_KP.max(axis=1, keepdims=True) - rounding_of(reader))
    lowest_K = np.where(is_top_KP, others, np.iinfo(np.int64).max).min(axis=1)
    return np.where(is_top_KP.any(axis=1), lowest_K, -1)
