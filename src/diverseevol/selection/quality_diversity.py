"""Quality and diversity together.

The best rows that are not near a chosen one, or the largest product of quality and distance.

Source of the filter: DEITA (Liu et al., 2023, https://arxiv.org/abs/2312.15685), "score-first,
diversity-aware" selection: rows in falling quality, each taken if its cosine distance to the nearest row
taken so far exceeds 0.1. Differs in that a shortfall is filled with the best of the rest, and said so. Source
of the product: greedy K-Center (Gonzalez, 1985) with distances weighted by quality. Distances that decide are
direct differences in float64, so the picks are the same on any device and number of processes.
Cost: filter: a product of the rows looked at with the chosen ones, on every rank; product: that of K-Center.
Shape letters: N pool rows, M rows that may be picked, B rows of a block, D embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, FiniteFloat
from pydantic.dataclasses import dataclass

from ..base.text import some_of
from ..errors import NonFiniteError, SelectionError
from .base import STRICT, Selection, Signal, Signals
from .distances import NO_ROW, Centres
from .reader import RowReader, blocks
from .traversal import farthest_first

BLOCK_ROWS = 256
LARGEST = 2.0  # the largest cosine distance


@dataclass(frozen=True, config=STRICT)
class QualityDiversity:
    """Adds rows that are good and unlike what is there.

    Attributes:
        quality: the column of the pool's records, or the signal, that says how good a row is: a number of at
            least 0.
        mode: filter, or product.
        threshold: of the filter: a row whose cosine distance to a chosen one is not above it is passed over.
        power: of the product: quality^power × Euclidean distance; 0 is K-Center.
    """

    quality: Annotated[str, Field(min_length=1)]
    mode: Literal["filter", "product"] = "filter"
    threshold: Annotated[float, Field(ge=0, le=LARGEST)] = 0.1
    power: Annotated[FiniteFloat, Field(ge=0)] = 1.0

    @property
    def needs(self) -> frozenset[str]:
        """The embeddings and the quality."""
        return frozenset({Signal.EMBEDDING, self.quality})

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick `n_new` rows; equal qualities, or products, go to the lowest row. `rng` is not used.

        Returns:
            The picks with the columns `quality`, `distance` (float64: to the nearest row chosen before;
            cosine for the filter and Euclidean for the product; for the first of all 2, or the distance to
            the mean), `nearest_row` (-1 for the first of all) and, for the filter, `is_fill` (bool: passed
            over at first, and taken because too few were left).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            NonFiniteError: a row that matters holds NaN or infinite values, or a candidate's quality is.
            SelectionError: a candidate's quality is negative, or another argument is unusable.
        """
        reader = RowReader.of(signals, "quality_diversity", is_unit=self.mode == "filter")
        quality_N = signals.numbers(self.quality, "quality_diversity")
        chosen, free = signals.chosen(chosen_rows), signals.free(chosen_rows, n_new)
        _check_quality(self.quality, quality_N, free)
        reader.check(np.concatenate([free, chosen]))
        if self.mode == "filter":
            picks = self._filtered(reader, free[np.argsort(-quality_N[free], kind="stable")], chosen, n_new)
        else:
            picks = self._largest_products(reader, quality_N, free, chosen, n_new, signals)
        picks.columns["quality"] = quality_N[picks.rows]
        return picks

    def _filtered(self, reader: RowReader, ranked: np.ndarray, chosen: np.ndarray, n_new: int) -> Selection:
        """Go through the rows, ranked by quality, and take those far enough from all taken.

        Then fill up from the top.
        """
        picks: list[tuple[int, float, int, bool]] = []
        if not chosen.size:
            picks.append((int(ranked[0]), LARGEST, -1, False))
            chosen, ranked = ranked[:1], ranked[1:]
        centres = Centres(reader, chosen, n_new)
        for limit, is_fill in ((2 * self.threshold, False), (-1.0, True)):
            for row, squared, nearest in _taken(centres, ranked, limit, n_new - len(picks)):
                picks.append((row, squared / 2, nearest, is_fill))
            ranked = ranked[~np.isin(ranked, [row for row, *_ in picks])]
        rows, distances, nearest_rows, is_fill_K = zip(*picks, strict=True)
        columns = {"distance": distances, "nearest_row": nearest_rows, "is_fill": is_fill_K}
        return Selection(
            np.array(rows, dtype=np.int64), {name: np.array(column) for name, column in columns.items()}
        )

    def _largest_products(
        self,
        reader: RowReader,
        quality_N: np.ndarray,
        free: np.ndarray,
        chosen: np.ndarray,
        n_new: int,
        signals: Signals,
    ) -> Selection:
        """Farthest-first traversal, weighted."""
        # A power of two rounds nothing, so that equal products stay equal; it keeps powers within what
        # float64 holds.
        scale = np.ldexp(1.0, int(np.frexp(quality_N[free].max())[1]))
        weights = (quality_N[free] / scale) ** (2 * self.power)  # on squared distances
        picks = farthest_first(
            reader, chosen, free, n_new, reader.device, weights=weights, watch=signals.watch
        )
        squared, rows, nearest = zip(*picks, strict=True)
        return Selection(
            np.array(rows, dtype=np.int64), {"distance": np.sqrt(squared), "nearest_row": np.array(nearest)}
        )


def _check_quality(name: str, quality_N: np.ndarray, free: np.ndarray) -> None:
    for is_bad, error, found in (
        (~np.isfinite(quality_N[free]), NonFiniteError, "NaN or infinite"),
        (quality_N[free] < 0, SelectionError, "negative"),
    ):
        rows = free[is_bad]
        if rows.size:
            raise error(
                f"the quality {name!r} of {len(rows)} rows is {found}: {some_of(rows)}. Exclude them, or "
                "give numbers of at least 0."
            )


def _taken(
    centres: Centres, ranked: np.ndarray, limit: float, n_most: int
) -> Iterator[tuple[int, float, int]]:
    """Make each row a centre whose squared distance to every centre exceeds `limit`, up to `n_most`.

    Yields:
        (row, squared distance, nearest centre's row; of equally near ones the lowest).
    """
    for block in blocks(len(ranked) if n_most else 0, BLOCK_ROWS):
        x_BD, n_before = centres.reader.exact(ranked[block]), len(centres.rows)
        known, nearest = np.full(len(x_BD), np.inf), np.full(len(x_BD), NO_ROW)
        known, nearest = centres.lower(x_BD, 0, n_before, known, nearest)
        for pos in np.flatnonzero(known > limit):
            one = slice(pos, pos + 1)  # again, since rows of this very block may have become centres
            squared, row = centres.lower(x_BD[one], n_before, len(centres.rows), known[one], nearest[one])
            if squared[0] > limit and n_most:
                centres.add(ranked[block][one])
                n_most -= 1
                yield int(ranked[block][pos]), float(squared[0]), int(row[0])
        if not n_most:
            return
