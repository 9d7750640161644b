"""How diverse a growing subset is, against random sets of the same sizes, and the whole pool.

Sources: Vendi score, Friedman and Dieng, 2022, https://arxiv.org/abs/2210.02410 (vendi.py), as in
DiverseEvol's analysis (Wu et al., 2023, https://arxiv.org/abs/2311.08182); distances in coverage.py, cells in
cells.py. The Vendi score looks at directions (rows of unit length); distances and cells take the vectors as
they are.
The measures say how a subset lies in the pool, not whether a model tuned on it is better.
Cost: of each set an eigenvalue problem a size, of min(n, D); one product N × C × D of all sets' C rows with
the pool's N, which is read in blocks. One set's rows are held at a time, beside what coverage.py holds.
Shape letters: N pool rows, D embedding width, R random sets, T sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.progress import SILENT, Watch
from ..errors import PoolExhaustedError, SelectionError
from ..selection.vendi import ORDERS, vendi_score, vendi_scores
from .cells import cell_entropy, share_hit
from .coverage import Vectors, check_rows, distances_to_prefixes, mean_nearest_within

__all__ = ["DiversityReport", "measure_diversity", "measure_pool", "vendi_score"]

VENDI_NAMES = tuple(f"vendi_{q:g}" for q in ORDERS)
POOL_ROWS_ASKED = 2048
"""So many of the pool's rows, drawn by the seed, stand for all in its own mean nearest-neighbour distance, N²
pairs otherwise.
"""
BAND = (0.05, 0.95)
"""The quantiles over the sets between which nine of ten random sets lie."""


@dataclass(frozen=True)
class DiversityReport:
    """Measures by name.

    They are `vendi_0.5` … `vendi_inf`, `covering_radius`, `mean_nearest_to_subset`, `mean_nearest_within`,
    and, where asked for, `cells_hit` and `cell_entropy` (bits).
    A value that is not defined, such as the distance to the nearest other row of a single row, is NaN.

    Attributes:
        sizes: how many rows count, ascending; one a round.
        chosen: float64[T] each.
        random: float64[R, T] each; the sets grow like the subset.
        pool: of all rows; without the distances to the subset.
    """

    sizes: tuple[int, ...]
    chosen: dict[str, NDArray[np.float64]]
    random: dict[str, NDArray[np.float64]]
    pool: dict[str, float]

    def band(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean over the random sets, and the 5 % and 95 % quantiles; float64[T] each."""
        values_RT = self.random[name]
        low_T, high_T = np.quantile(values_RT, BAND, axis=0)
        return values_RT.mean(axis=0), low_T, high_T

    def sets(self) -> list[dict[str, Any]]:
        """The subset after each round as plain values for JSON; what is not defined becomes null."""
        sets = []
        for size_pos, size in enumerate(self.sizes):
            measures = {name: {"value": _plain(values_T[size_pos])} for name, values_T in self.chosen.items()}
            for name in self.random:
                figures = zip(("random_mean", "random_low", "random_high"), self.band(name), strict=True)
                measures[name] |= {key: _plain(figure_T[size_pos]) for key, figure_T in figures}
            sets.append({"n_chosen": size, "measures": measures})
        return sets

    def pool_values(self) -> dict[str, float | None]:
        """The whole pool's values for JSON, likewise."""
        return {name: _plain(value) for name, value in self.pool.items()}


def measure_diversity(
    embeddings: Vectors,
    chosen_rows: NDArray[np.int64],
    sizes: Sequence[int] | None = None,
    *,
    n_random: int = 20,
    seed: int = 0,
    cells: NDArray[np.int64] | None = None,
    choosable_rows: NDArray[np.int64] | None = None,
    watch: Watch = SILENT,
) -> DiversityReport:
    """Measure a subset, round by round, beside random sets and the pool.

    Args:
        embeddings: (N, D), numpy, memory-mapped, torch, or vectors in files: one row a pool row.
        chosen_rows: the subset, in the order in which it was chosen.
        sizes: how many of them each round had, ascending; None: all.
        n_random: how many random sets; 0: none.
        seed: draws the random sets, and the rows that stand for the pool.
        cells: the cell of each pool row, -1 for none: `cells_of_labels` or `k_means_cells`.
        choosable_rows: what the random sets are drawn from; None: the whole pool.
        watch: shows progress.

    Raises:
        SelectionError: no rows, rows that are not the pool's or named twice, or sizes that do not ascend up
            to their number.
        EmbedError: not rows of numbers, or a row of zeros, which has no direction.
        NonFiniteError: a pool row holds NaN or infinite values.
        PoolExhaustedError: fewer rows are choosable than a random set needs.
    """
    check_rows(chosen_rows, embeddings, "diversity")
    sizes = list(sizes or [len(chosen_rows)])
    if sizes[0] < 1 or sizes[-1] > len(chosen_rows) or sorted(set(sizes)) != sizes:
        raise SelectionError(
            f"sizes must ascend from 1 to at most {len(chosen_rows)}, the rows chosen; found {sizes}."
        )
    # The pool first: it finds unusable rows by their numbers.
    pool = measure_pool(embeddings, seed=seed, cells=cells, watch=watch)
    drawn_from = int(embeddings.shape[0]) if choosable_rows is None else choosable_rows
    orders = [chosen_rows[: sizes[-1]], *draw_random_sets(drawn_from, sizes[-1], n_random, seed)]
    with watch.task("sets", float(len(orders)), "sets") as task:
        of_orders = []
        for order in orders:
            of_orders.append(_of_order(embeddings, order, sizes, cells))
            task.advance()
    found = {name: np.stack([measures[name] for measures in of_orders]) for name in of_orders[0]}
    found["covering_radius"], found["mean_nearest_to_subset"] = distances_to_prefixes(
        embeddings, orders, sizes, watch
    )
    first = (*VENDI_NAMES, "covering_radius", "mean_nearest_to_subset", "mean_nearest_within")
    names = [*first, *(name for name in found if name not in first)]
    chosen = {name: found[name][0] for name in names}
    return DiversityReport(
        tuple(sizes), chosen, {name: found[name][1:] for name in names} if n_random else {}, pool
    )


def draw_random_sets(
    rows: int | NDArray[np.int64], size: int, n_sets: int, seed: int
) -> list[NDArray[np.int64]]:
    """Draw `n_sets` orders of `size` different rows, uniform over `rows`; set i follows from the seed and i.

    A set is a shuffled pool of which the first rows count, so sets grow like a run's own subset, whatever
    their size.

    `rows` are those that could have been chosen, or a number: the first so many.

    Raises:
        PoolExhaustedError: the pool has fewer rows than a set.
    """
    n_rows = rows if isinstance(rows, int) else len(rows)
    if size > n_rows:
        raise PoolExhaustedError(
            f"cannot draw random sets of {size} rows from {n_rows}. Give the embeddings of the whole pool."
        )
    return [np.random.default_rng([seed, number]).permutation(rows)[:size].copy() for number in range(n_sets)]


def measure_pool(
    embeddings: Vectors,
    *,
    seed: int = 0,
    cells: NDArray[np.int64] | None = None,
    watch: Watch = SILENT,
) -> dict[str, float]:
    """Measure all rows at once; arguments and errors as of `measure_diversity`."""
    n_rows = int(embeddings.shape[0])
    everything = np.arange(n_rows)
    asked = (
        everything
        if n_rows <= POOL_ROWS_ASKED
        else np.sort(np.random.default_rng(seed).choice(everything, POOL_ROWS_ASKED, replace=False))
    )
    with watch.task("whole pool", 3.0, "measures") as task:
        found = dict(zip(VENDI_NAMES, vendi_scores(embeddings)[0].tolist(), strict=True))
        task.advance()
        found["mean_nearest_within"] = (
            mean_nearest_within(embeddings, everything, asked) if n_rows > 1 else math.nan
        )
        task.advance()
        if cells is not None:
            found |= {
                "cells_hit": share_hit(cells, everything),
                "cell_entropy": cell_entropy(cells, everything),
            }
        task.advance()
    return found


def _of_order(
    embeddings: Vectors,
    order: NDArray[np.int64],
    sizes: Sequence[int],
    cells: NDArray[np.int64] | None,
) -> dict[str, NDArray[np.float64]]:
    """What can be said of an order's first rows without the rest of the pool; float64[T] each."""
    vectors = embeddings[order]
    found: dict[str, Sequence[float]] = dict(
        zip(VENDI_NAMES, vendi_scores(vectors, sizes=sizes).T.tolist(), strict=True)
    )
    found["mean_nearest_within"] = [
        mean_nearest_within(vectors, np.arange(n)) if n > 1 else math.nan for n in sizes
    ]
    if cells is not None:
        found["cells_hit"] = [share_hit(cells, order[:n]) for n in sizes]
        found["cell_entropy"] = [cell_entropy(cells, order[:n]) for n in sizes]
    return {name: np.array(values, dtype=np.float64) for name, values in found.items()}


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
