"""Quality and diversity: the best rows that are not near a chosen one, or the largest quality × distance.

Source of the filter: DEITA (Liu et al., 2023, https://arxiv.org/abs/2312.15685), "score-first,
diversity-aware" selection: rows in falling quality, each taken if its cosine distance to the nearest row
taken so far exceeds 0.1. Differs in that a shortfall is filled with the best of the rest, and said so. Source
of the product: greedy K-Center (Gonzalez, 1985) with distances weighted by quality.
Cost: filter: a product of the rows looked at with the chosen ones, on rank 0; product: that of K-Center.
Shape letters: N pool rows, B rows of a block, D embedding width, S picks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, FiniteFloat
from pydantic.dataclasses import dataclass

from ..base import dist
from ..base.text import some_of
from ..errors import NonFiniteError, SelectionError
from .base import STRICT, Selection, Signal, Signals
from .distances import NO_ROW, Centres, farthest_first
from .rows import RowReader, blocks

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
        for is_bad_N, error, found in (
            (~np.isfinite(quality_N), NonFiniteError, "NaN or infinite"),
            (quality_N < 0, SelectionError, "negative"),
        ):
            bad = free[is_bad_N[free]]
            if bad.size:
                raise error(
                    f"the quality {self.quality!r} of {len(bad)} rows is {found}: {some_of(bad)}. Exclude "
                    "them, or give numbers of at least 0."
                )
        columns: dict[str, np.ndarray] = {}
        if self.mode == "filter":
            ranked = free[np.argsort(-quality_N[free], kind="stable")]
            picks = dist.on_main(lambda: self._filtered(reader, ranked, chosen, n_new))
            squared_S, rows_S, nearest_S, is_fill_S = map(np.array, zip(*picks, strict=True))
            columns = {"distance": squared_S / 2, "is_fill": is_fill_S}
        else:
            reader.check(np.concatenate([free, chosen]))
            # A power of two rounds nothing: equal products stay equal, and powers within float64.
            scale = np.ldexp(1.0, int(np.frexp(quality_N[free].max())[1]))
            weights = (quality_N[free] / scale) ** (2 * self.power)  # on squared distances
            found_S = farthest_first(
                reader, chosen, free, n_new, reader.device, weights=weights, watch=signals.watch
            )
            squared_S, rows_S, nearest_S = map(np.array, zip(*found_S, strict=True))
            columns = {"distance": np.sqrt(squared_S)}
        return Selection(rows_S, {**columns, "nearest_row": nearest_S, "quality": quality_N[rows_S]})

    def _filtered(
        self, reader: RowReader, ranked: np.ndarray, chosen: np.ndarray, n_new: int
    ) -> list[tuple[float, int, int, bool]]:
        """Take the rows in their order that are far enough from all taken; then fill up from the top."""
        reader.check(np.concatenate([ranked, chosen]))
        picks: list[tuple[float, int, int, bool]] = []
        if not chosen.size:
            picks.append((2 * LARGEST, int(ranked[0]), -1, False))
            chosen, ranked = ranked[:1], ranked[1:]
        centres = Centres(reader, chosen, n_new)
        for limit, is_fill in ((2 * self.threshold, False), (-1.0, True)):
            for squared, row, nearest in _taken(centres, ranked, limit, n_new - len(picks)):
                picks.append((squared, row, nearest, is_fill))
            ranked = ranked[~np.isin(ranked, [row for _, row, *_ in picks])]
        return picks


def _taken(
    centres: Centres, ranked: np.ndarray, limit: float, n_most: int
) -> Iterator[tuple[float, int, int]]:
    """Make each row a centre whose squared distance to every centre exceeds `limit`, up to `n_most`.

    Yields:
        (squared distance, row, nearest centre's row; of equally near ones the lowest).
    """
    for block in blocks(len(ranked) if n_most else 0, BLOCK_ROWS):
        x_BD, n_before = centres.reader.float64(ranked[block]), len(centres.rows)
        known, nearest = np.full(len(x_BD), np.inf), np.full(len(x_BD), NO_ROW)
        known, nearest = centres.lower(x_BD, 0, n_before, known, nearest)
        for pos in np.flatnonzero(known > limit):
            one = slice(pos, pos + 1)  # again, since rows of this very block may have become centres
            squared, row = centres.lower(x_BD[one], n_before, len(centres.rows), known[one], nearest[one])
            if squared[0] > limit:
                centres.add(ranked[block][one])
                n_most -= 1
                yield float(squared[0]), int(ranked[block][pos]), int(row[0])
                if not n_most:
                    return
