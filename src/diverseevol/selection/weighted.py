"""Quality and diversity together: the best rows that are not near a chosen one, or the largest product of quality and distance.

Source of the filter: DEITA (Liu et al., 2023, https://arxiv.org/abs/2312.15685), "score-first, diversity-aware" selection: rows in
falling quality, each taken if its cosine distance to the nearest row taken so far exceeds 0.1. Differs in that a shortfall is filled
with the best of the rest, and said so. Source of the product: greedy K-Center (Gonzalez, 1985) with distances weighted by quality.
Distances that decide are direct differences in float64, so the picks are the same on any device and number of processes.
Cost: filter: a product of the rows looked at with the chosen ones, on every rank; product: that of K-Center.
Shape letters: N pool rows, M candidates, B rows of a block, D embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ..base.text import some_of
from ..errors import NonFiniteError, SelectionError
from .candidates import candidate_rows, check_chosen_rows
from .distances import BLOCK_NUMBERS, Centres, blocks
from .needed import CPU, check_rows, embeddings_of, is_number, numbers_of
from .reader import RowReader
from .signals import Selection, Signal, Signals
from .traversal import farthest_first

BLOCK_ROWS = 256
LARGEST = 2.0  # the largest cosine distance


@dataclass(frozen=True, slots=True)
class QualityDiversity:
    """Adds rows that are good and unlike what is there.

    Attributes:
        quality: the column of the pool's records, or the signal, that says how good a row is: a number of at least 0.
        mode: filter, or product.
        threshold: of the filter: a row whose cosine distance to a chosen one is not above it is passed over.
        power: of the product: quality^power × Euclidean distance; 0 is K-Center.
    """

    quality: str
    mode: Literal["filter", "product"] = "filter"
    threshold: float = 0.1
    power: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.quality, str) or not self.quality:
            raise SelectionError(f"quality must be the name of a column or a signal; found {self.quality!r}.")
        if self.mode not in ("filter", "product"):
            raise SelectionError(f"mode must be 'filter' or 'product'; found {self.mode!r}.")
        if not is_number(self.threshold) or not 0 <= self.threshold <= LARGEST:
            raise SelectionError(f"threshold must be a cosine distance from 0 to {LARGEST:g}; found {self.threshold!r}.")
        if not is_number(self.power) or self.power < 0:
            raise SelectionError(f"power must be a number of at least 0; found {self.power!r}.")

    @property
    def needs(self) -> frozenset[str]:
        """The embeddings and the quality."""
        return frozenset({Signal.EMBEDDING, self.quality})

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick `n_new` rows; equal qualities, or products, go to the lowest row. `rng` is not used.

        Returns:
            The picks with the columns `quality`, `distance` (float64: to the nearest row chosen before; cosine for the filter and
            Euclidean for the product; for the first of all 2, or the distance to the mean), `nearest_row` (-1 for the first of all)
            and, for the filter, `is_fill` (bool: passed over at first, and taken because too few were left).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            NonFiniteError: a row that matters holds NaN or infinite values, or a candidate's quality is.
            SelectionError: a candidate's quality is negative, or another argument is unusable.
        """
        embeddings = embeddings_of(signals, "quality_diversity")
        quality_N = numbers_of(signals, self.quality, "quality_diversity")
        chosen = check_chosen_rows(chosen_rows, signals.n_rows)
        candidates = candidate_rows(signals, chosen, n_new)
        _check_quality(self.quality, quality_N, candidates)
        reader = RowReader(embeddings, is_unit=self.mode == "filter")
        check_rows(reader, np.concatenate([candidates, chosen]))
        if self.mode == "filter":
            picks = self._filtered(reader, candidates[np.argsort(-quality_N[candidates], kind="stable")], chosen, n_new)
        else:
            picks = self._largest_products(reader, quality_N, candidates, chosen, n_new, signals)
        picks.columns["quality"] = quality_N[picks.rows]
        return picks

    def _filtered(self, reader: RowReader, ranked: np.ndarray, chosen: np.ndarray, n_new: int) -> Selection:
        """Go through the candidates, ranked by quality; then fill up from the top."""
        picks: list[tuple[int, float, int, bool]] = []
        if not chosen.size:
            picks.append((int(ranked[0]), LARGEST, -1, False))
            chosen, ranked = ranked[:1], ranked[1:]
        centres = Centres(reader, chosen)
        for row, squared, nearest_row in _far_enough(centres, ranked, 2 * self.threshold, n_new - len(picks)):
            picks.append((row, squared / 2, nearest_row, False))
        left = ranked[~np.isin(ranked, [pick[0] for pick in picks])]
        for row in left[: n_new - len(picks)].tolist():
            squared, nearest_row = _nearest(centres, row)
            centres.add(np.array([row]))
            picks.append((row, squared / 2, nearest_row, True))
        rows, distances, nearest, is_fill = zip(*picks, strict=True)
        columns = {"distance": np.array(distances), "nearest_row": np.array(nearest), "is_fill": np.array(is_fill)}
        return Selection(np.array(rows, dtype=np.int64), columns)

    def _largest_products(
        self, reader: RowReader, quality_N: np.ndarray, candidates: np.ndarray, chosen: np.ndarray, n_new: int, signals: Signals
    ) -> Selection:
        """Farthest-first traversal, weighted."""
        # A power of two rounds nothing, so that equal products stay equal; it keeps powers within what float64 holds.
        scale = np.ldexp(1.0, int(np.frexp(quality_N[candidates].max())[1]))
        weights = (quality_N[candidates] / scale) ** (2 * self.power)  # on squared distances
        device = reader.embeddings.device if isinstance(reader.embeddings, torch.Tensor) else CPU
        picks = farthest_first(reader, chosen, candidates, n_new, device, weights=weights, watch=signals.watch)
        squared, rows, nearest = zip(*picks, strict=True)
        return Selection(np.array(rows, dtype=np.int64), {"distance": np.sqrt(squared), "nearest_row": np.array(nearest)})


def _check_quality(name: str, quality_N: np.ndarray, candidates: np.ndarray) -> None:
    for is_bad, error, found in (
        (~np.isfinite(quality_N[candidates]), NonFiniteError, "NaN or infinite"),
        (quality_N[candidates] < 0, SelectionError, "negative"),
    ):
        rows = candidates[is_bad]
        if rows.size:
            raise error(
                f"the quality {name!r} of {len(rows)} rows is {found}: {some_of(rows)}. Exclude them, or give numbers of at least 0."
            )


def _far_enough(centres: Centres, ranked: np.ndarray, limit: float, n_most: int) -> Iterator[tuple[int, float, int]]:
    """Go through rows and make each a centre whose squared distance to every centre exceeds `limit`, until there are `n_most`.

    Yields:
        (row, squared distance, nearest centre's row).
    """
    n_found = 0
    for block in blocks(len(ranked), BLOCK_ROWS):
        for row in _beyond(centres, ranked[block], limit).tolist() if n_found < n_most else []:
            squared, nearest_row = _nearest(centres, row)  # again, since rows of this very block may have become centres
            if squared > limit and n_found < n_most:
                centres.add(np.array([row]))
                n_found += 1
                yield row, squared, nearest_row


def _nearest(centres: Centres, row: int) -> tuple[float, int]:
    """The exact squared distance of a row to its nearest centre, and that centre; of equal ones the lowest."""
    x_1D = centres.reader.float64(np.array([row]))
    found = [
        centres.nearest(x_1D, part.start, part.stop, np.array([np.inf]))
        for part in blocks(len(centres.rows), BLOCK_NUMBERS // centres.reader.width)
    ]
    return min((float(squared[0]), int(nearest[0])) for squared, nearest in found)


def _beyond(centres: Centres, rows: np.ndarray, limit: float) -> np.ndarray:
    """The rows, in their order, whose squared distance to every centre exceeds `limit`."""
    for part in blocks(len(centres.rows), BLOCK_NUMBERS // centres.reader.width):
        squared, _ = centres.nearest(centres.reader.float64(rows), part.start, part.stop, np.full(len(rows), limit))
        rows = rows[squared > limit]
    return rows
