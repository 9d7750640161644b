"""Facility location: the picks that leave every row of the pool a similar row among the chosen.

Maximises f(S) = Σ_i max_{j in P ∪ S} sim(i, j) greedily; sim is the cosine, or 0 where that is negative. The greedy set reaches at
least 1 - 1/e of the best possible f (Nemhauser, Wolsey and Fisher, 1978, https://doi.org/10.1007/BF01588971). As data selection:
Mirzasoleiman et al., "Distributed Submodular Maximization", 2016, https://arxiv.org/abs/1411.0541, whose section on decomposable
functions also shows that a uniform sample of the rows i estimates f; that is done beyond `represented` rows.

Instead of a graph of neighbours, all gains are kept and corrected: after a pick only the rows i change that it brought closer, some
N/t of them at pick t. This is the exact greedy, where a graph of so many neighbours as fit would lose what the distant pairs add.
It is exact in the strict sense too: directions are rounded to whole numbers of a length of at most 4096, whose products and sums
float32 holds without error (the partial sums stay below 2²⁴ by Cauchy and Schwarz), so the picks do not depend on the device, the blocks
or the number of processes, and equal gains go to the lowest row. The rounding moves a cosine by some 1e-4.
Cost: (1 + ln(1 + k/C)) products of (N, D, M), at worst 1 + k; memory 2·N·D bytes over all ranks and 4·M·D on each.
Shape letters: N candidates (C of this rank), M represented rows, D embedding width, P chosen rows, B rows of a block, R changed rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .. import dist
from ..errors import SelectionError
from .distances import blocks
from .needed import CPU, is_whole, ready
from .reader import RowReader
from .signals import Selection, Signal, Signals

LENGTH = 4096  # of a rounded direction, at most: its square is 2²⁴, up to which float32 holds every whole number
BLOCK_NUMBERS = 2**20  # products at once: small, so that they are still in the cache when they are summed
GONE = -1.0  # as a gain: picked


@dataclass(frozen=True, slots=True)
class FacilityLocation:
    """Adds the rows that stand for the most others.

    Attributes:
        represented: rows whose similarity is summed, at most; of more candidates a sample drawn with `rng` stands for all.
    """

    represented: int = 20_000

    def __post_init__(self) -> None:
        if not is_whole(self.represented):
            raise SelectionError(f"represented must be a whole number of at least 1; found {self.represented!r}.")

    @property
    def needs(self) -> frozenset[str]:
        """The embeddings."""
        return frozenset({Signal.EMBEDDING})

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick `n_new` rows, the largest gain first; equal gains go to the lowest row.

        Returns:
            The picks with the columns `gain` (float64: the growth of f, scaled up from the represented rows to all candidates)
            and `nearest_row` (int64: the most similar row chosen before, the lowest if several are; -1 for the first of all).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            NonFiniteError: a row that is chosen or may be picked holds NaN or infinite values.
            SelectionError: a row is zero and has no direction, or another argument is unusable.
        """
        reader, chosen, candidates = ready(signals, "facility_location", chosen_rows, n_new, is_unit=True)
        represented = candidates
        if len(candidates) > self.represented:
            represented = np.sort(rng.choice(candidates, self.represented, replace=False))
        directions = Directions.of(reader)
        coverage = _Coverage(directions, candidates, represented, chosen)
        picks, gains = [], []
        with signals.watch.task("select", n_new, "picks") as task:
            for _ in range(n_new):
                gain, row = coverage.best()
                coverage.add(row)
                picks.append(row)
                gains.append(gain / directions.length**2 * len(candidates) / len(represented))
                task.advance()
        rows = np.array(picks, dtype=np.int64)
        return Selection(rows, {"gain": np.array(gains), "nearest_row": _most_similar_before(directions, rows, chosen)})


@dataclass(frozen=True, slots=True)
class Directions:
    """The rows' directions as vectors of whole numbers, in a type whose products are exact on the embeddings' device."""

    reader: RowReader
    device: torch.device
    dtype: torch.dtype
    length: int

    @classmethod
    def of(cls, reader: RowReader) -> Directions:
        """Products run where the embeddings are; in float64 where a program has allowed coarse ones in float32."""
        device = reader.embeddings.device if isinstance(reader.embeddings, Tensor) else CPU
        settings = torch.backends.cuda if device.type == "cuda" else torch.backends.mkldnn
        is_exact = settings.matmul.fp32_precision in ("none", "ieee")
        length = math.floor(LENGTH - math.sqrt(reader.width) / 2) - 1  # rounding adds at most √D / 2
        return cls(reader, device, torch.float32 if is_exact else torch.float64, length)

    def at(self, rows: np.ndarray) -> Tensor:
        """Read rows as int16[M, D]."""
        parts = [np.empty((0, self.reader.width), dtype=np.int16)]
        for block in blocks(len(rows), 2**20 // self.reader.width):
            parts.append(np.rint(self.reader.float64(rows[block]) * self.length).astype(np.int16))
        return torch.from_numpy(np.concatenate(parts)).to(self.device)

    def products(self, a_BD: Tensor, b_RD: Tensor) -> Tensor:
        """The similarities times length², whole numbers, (B, R)."""
        return a_BD.to(self.dtype) @ b_RD.to(self.dtype).T


class _Coverage:
    """How similar a chosen row each represented row has, and what each of this rank's candidates would add to the sum of that."""

    def __init__(self, directions: Directions, candidates: np.ndarray, represented: np.ndarray, chosen: np.ndarray) -> None:
        shard = dist.shard(len(candidates))
        self.directions = directions
        self.rows = candidates[shard.start : shard.stop]
        self.units_CD = directions.at(self.rows)
        self.represented_MD = directions.at(represented).to(directions.dtype)
        self.best_M = torch.zeros(len(represented), dtype=directions.dtype, device=directions.device)
        for block in blocks(len(chosen), BLOCK_NUMBERS // len(represented)):
            products_BM = directions.products(directions.at(chosen[block]), self.represented_MD)
            self.best_M = torch.maximum(self.best_M, products_BM.amax(dim=0))
        everything = slice(None)
        self.gains_C = self._sum_between(everything, self.best_M, torch.full_like(self.best_M, LENGTH**2))

    def best(self) -> tuple[float, int]:
        """The largest gain over all ranks, times length², and its row."""
        mine = (GONE, -1)
        if len(self.rows):
            pos = int(np.argmax(self.gains_C))
            mine = (float(self.gains_C[pos]), int(self.rows[pos]))
        return max(dist.gather(mine), key=lambda found: (found[0], -found[1]))

    def add(self, row: int) -> None:
        """Count `row` as chosen: represented rows that it is closer to add less from now on."""
        products_M = self.directions.products(self.directions.at(np.array([row])), self.represented_MD)[0]
        changed_R = torch.nonzero(products_M > self.best_M)[:, 0]
        self.gains_C -= self._sum_between(changed_R, self.best_M[changed_R], products_M[changed_R])
        self.best_M[changed_R] = products_M[changed_R]
        pos = int(np.searchsorted(self.rows, row))
        if pos < len(self.rows) and self.rows[pos] == row:
            self.gains_C[pos] = GONE

    def _sum_between(self, some: slice | Tensor, low_R: Tensor, high_R: Tensor) -> np.ndarray:
        """For each candidate the sum over some represented rows of what its similarity exceeds `low_R` by, cut off at `high_R`."""
        represented_RD = self.represented_MD[some]
        sums_C = np.zeros(len(self.rows))
        for block in blocks(len(self.rows) if len(low_R) else 0, BLOCK_NUMBERS // max(1, len(low_R))):
            products_BR = self.directions.products(self.units_CD[block], represented_RD)
            exceeding_BR = torch.clamp(products_BR, low_R, high_R).sub_(low_R)
            sums_C[block] = exceeding_BR.sum(dim=1, dtype=torch.float64).cpu().numpy()
        return sums_C


def _most_similar_before(directions: Directions, picks: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """For each pick the most similar of the chosen rows and the picks before it; the lowest of equal ones; -1 if there is none."""
    rows = np.concatenate([chosen, picks])
    before = [rows[: len(chosen) + n] for n in range(len(picks))]
    units_XD, picks_KD = directions.at(rows), directions.at(picks)
    nearest = np.full(len(picks), -1)
    for n, others in enumerate(before):
        if len(others):
            similar = directions.products(picks_KD[n : n + 1], units_XD[: len(others)])[0].cpu().numpy()
            nearest[n] = others[similar == similar.max()].min()
    return nearest
