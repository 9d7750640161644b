"""How diverse a growing subset is, against random sets of the same sizes, and the whole pool.

Sources: Vendi score, Friedman and Dieng, 2022, https://arxiv.org/abs/2210.02410 (selection/vendi.py), as in
DiverseEvol's analysis (Wu et al., 2023, https://arxiv.org/abs/2311.08182); the rest in coverage.py. The
Vendi score looks at directions (rows of unit length); distances and cells take the vectors as they are.
The measures say how a subset lies in the pool, not whether a model tuned on it is better.
Cost: of each set an eigenvalue problem a size, of min(n, D); one product N × C × D of all sets' C rows with
the pool's N, which is read once a set, in blocks. One set's rows are held at a time.
Shape letters: N pool rows, D embedding width, R random sets, T sizes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base import dist
from ..base.files import write_json
from ..base.progress import SILENT, Watch
from ..data import Pool
from ..data.columns import pool_columns
from ..data.json_files import open_text
from ..errors import EmbedError, PoolExhaustedError, RunFolderError, SelectionError
from ..run import RunFolder
from ..selection.vectors import FileVectors, open_vectors
from ..selection.vendi import ORDERS, vendi_score, vendi_scores
from .coverage import (
    NO_CELL,
    Vectors,
    cell_entropy,
    cells_of_labels,
    check_rows,
    distances_to_prefixes,
    k_means_cells,
    mean_nearest_within,
    share_hit,
)

__all__ = ["DiversityReport", "diversity", "vendi_score"]

N_CELLS = 100
VENDI_NAMES = tuple(f"vendi_{q:g}" for q in ORDERS)
POOL_ROWS_ASKED = 2048
"""So many of the pool's rows, drawn by the seed, stand for all in its own mean nearest-neighbour distance, N²
pairs otherwise.
"""
BAND = (0.05, 0.95)
"""The quantiles over the sets between which nine of ten random sets lie."""
Measures = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class DiversityReport:
    """Measures by name, and what they were made of.

    They are `vendi_0.5` … `vendi_inf`, `covering_radius`, `mean_nearest_to_subset`, `mean_nearest_within`,
    `cells_hit` and `cell_entropy` (bits). A value that is not defined, such as the distance to the nearest
    other row of a single row, is NaN.

    Attributes:
        sizes: how many rows count, ascending; one a round.
        chosen: float64[T] each; empty where the pool alone was measured.
        random: float64[R, T] each; the sets grow like the subset.
        pool: of all rows; without the distances to the subset.
        embeddings: where the vectors come from; `n_rows` and `width`: N and D.
        coverage_of: what the cells are; `n_cells`: how many; `n_without_label`: rows that have none.
        rounds: a run's finished rounds; `run`: its folder.
    """

    sizes: tuple[int, ...]
    chosen: Measures
    random: Measures
    pool: dict[str, float]
    embeddings: str
    n_rows: int
    width: int
    coverage_of: str
    n_cells: int
    n_without_label: int
    random_sets: int
    seed: int
    rounds: tuple[int, ...] = ()
    run: str | None = None

    def band(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean over the random sets, and the 5 % and 95 % quantiles; float64[T] each."""
        values_RT = self.random[name]
        low_T, high_T = np.quantile(values_RT, BAND, axis=0)
        return values_RT.mean(axis=0), low_T, high_T

    def values(self) -> dict[str, Any]:
        """Everything as plain values for JSON, the subset after each round in `sets`; NaN becomes null."""
        sets: list[dict[str, Any]] = []
        for pos, size in enumerate(self.sizes):
            measures = {name: {"value": _plain(values_T[pos])} for name, values_T in self.chosen.items()}
            for name in self.random:
                figures = zip(("random_mean", "random_low", "random_high"), self.band(name), strict=True)
                measures[name] |= {key: _plain(figure_T[pos]) for key, figure_T in figures}
            start = {"round": self.rounds[pos]} if self.rounds else {}
            sets.append(start | {"n_chosen": size, "measures": measures})
        names = ("embeddings", "n_rows", "width", "coverage_of", "n_cells", "n_without_label", "random_sets")
        found = {"run": self.run} if self.run is not None else {}
        found |= {name: getattr(self, name) for name in (*names, "seed")}
        return found | {"sets": sets, "pool": {name: _plain(value) for name, value in self.pool.items()}}


def diversity(
    vectors: str | Path | Vectors | None = None,
    chosen_rows: NDArray[np.int64] | None = None,
    sizes: Sequence[int] | None = None,
    *,
    run: str | Path | None = None,
    model: str | None = None,
    labels: str | NDArray[Any] | None = None,
    n_cells: int | None = None,
    random_sets: int = 20,
    seed: int = 0,
    choosable_rows: NDArray[np.int64] | None = None,
    watch: Watch = SILENT,
) -> DiversityReport:
    """Measure a subset, or a run's after each round, beside random sets and the pool; every rank calls it.

    Args:
        vectors: one row a pool row: (N, D) numpy, memory-mapped, torch, or vectors in files; None: a run's
            pool as its base model (or `model`) sees it, computed once and kept in the run folder.
        chosen_rows: the subset, in the order in which it was chosen; None: the pool alone, or a run's own.
        sizes: how many of them each round had, ascending; None: all.
        run: a run folder, whose `diversity.json` receives the values.
        model: a model folder or Hub id to embed the run's pool with.
        labels: one a pool row, for coverage; with a run also the name of a column of its records.
        n_cells: without labels, so many k-means cells; None: 100.
        random_sets: how many; 0: none.
        seed: draws the random sets and the rows that stand for the pool, and starts the clustering.
        choosable_rows: what the random sets are drawn from; None: the whole pool, or what the run may choose.
        watch: sees the progress.

    Raises:
        SelectionError: no rows, rows that are not the pool's or named twice, sizes that do not ascend up to
            their number, no label at all, or more cells than rows.
        EmbedError: not rows of numbers, or not the pool's; or a row of zeros, which has no direction.
        NonFiniteError: a pool row holds NaN or infinite values.
        PoolExhaustedError: fewer rows are choosable than a random set needs.
        RunFolderError: this is no run folder, or no round is finished.
        ConfigError: no record has such a column.
    """
    rounds: tuple[int, ...] = ()
    source = str(vectors) if isinstance(vectors, str | Path) else "an array"
    coverage_of = f"labels in {labels!r}" if isinstance(labels, str) else "labels"
    if run is not None:
        folder = RunFolder(Path(run))
        pool, rounds = _opened(folder)
        labels = pool_columns(pool, [labels], "--labels")[labels] if isinstance(labels, str) else labels
        vectors, source = _vectors_of(folder, pool, vectors, source, model, watch)
        chosen_rows = np.array(folder.chosen_before(rounds[-1] + 1), dtype=np.int64)
        sizes = np.cumsum([len(folder.picks(index)) for index in rounds]).tolist()
        choosable_rows = np.setdiff1d(np.arange(len(pool)), pool.rows_of(folder.barred_ids()))
    if vectors is None or isinstance(labels, str):
        raise SelectionError("give vectors or a run; without a run, labels are an array, one a row.")
    opened: Vectors = open_vectors(vectors, None, watch) if isinstance(vectors, str | Path) else vectors

    def measure() -> DiversityReport:
        n_rows, width = map(int, opened.shape)
        if labels is None:
            cells = k_means_cells(opened, min(N_CELLS, n_rows) if n_cells is None else n_cells, seed)
        else:
            cells = cells_of_labels(labels)
        found, pool_found = _measured(
            opened, chosen_rows, sizes, choosable_rows, cells, random_sets, seed, watch
        )
        report = DiversityReport(
            sizes=() if chosen_rows is None else tuple(sizes or [len(chosen_rows)]),
            chosen={name: values[0] for name, values in found.items()},
            random={name: values[1:] for name, values in found.items()} if random_sets else {},
            pool=pool_found,
            embeddings=source,
            n_rows=n_rows,
            width=width,
            coverage_of="k-means cells" if labels is None else coverage_of,
            n_cells=len(set(cells.tolist()) - {NO_CELL}),
            n_without_label=int((cells == NO_CELL).sum()),
            random_sets=random_sets,
            seed=seed,
            rounds=rounds,
            run=None if run is None else str(run),
        )
        if run is not None:
            write_json(RunFolder(Path(run)).diversity_file, report.values())
        return report

    return dist.on_main(measure)


def _opened(folder: RunFolder) -> tuple[Pool, tuple[int, ...]]:
    """A run's pool, and its finished rounds."""
    folder.config()  # says whether this is a run folder
    rounds = tuple(folder.rounds_done())
    if not rounds:
        raise RunFolderError(f"{folder.root} has no finished round yet, so there is no subset to measure.")
    return Pool.open(folder.pool_dir), rounds


def _vectors_of(
    folder: RunFolder,
    pool: Pool,
    vectors: str | Path | Vectors | None,
    source: str,
    model: str | None,
    watch: Watch,
) -> tuple[Vectors, str]:
    """The vectors of a run's pool, its own where none are given; where ids lie beside them, in its order."""
    if vectors is None:
        from .base_embedding import fixed_embedding

        fixed = fixed_embedding(folder, model, watch)
        vectors, source = open_vectors(fixed.file), f"model {fixed.model}"
    elif isinstance(vectors, str | Path):
        vectors = open_vectors(vectors, folder.root, watch)
    if vectors.shape[0] != len(pool):
        raise EmbedError(
            f"{source} has {vectors.shape[0]:,} rows, the pool of {folder.root} {len(pool):,}. Give one "
            "vector for each pool row."
        )
    ids = vectors.folder / "ids.txt" if isinstance(vectors, FileVectors) else None
    if ids is None or not ids.exists():
        return vectors, source
    with open_text(ids) as lines:
        for row, (line, own) in enumerate(zip_longest(lines, pool.ids.tolist(), fillvalue="nothing")):
            if line.rstrip("\r\n") != own:
                found = f"row {row} is {line.rstrip()}, the pool's is {own}"
                raise EmbedError(f"{ids}: {found}. Give vectors in the pool's order.")
    return vectors, source


def _measured(
    vectors: Vectors,
    chosen_rows: NDArray[np.int64] | None,
    sizes: Sequence[int] | None,
    choosable_rows: NDArray[np.int64] | None,
    cells: NDArray[np.int64],
    n_random: int,
    seed: int,
    watch: Watch,
) -> tuple[Measures, dict[str, float]]:
    """Float64[1 + R, T] each, the subset first; and the pool's values."""
    if chosen_rows is not None:
        check_rows(chosen_rows, vectors, "diversity")
        sizes = list(sizes or [len(chosen_rows)])
        if sizes[0] < 1 or sizes[-1] > len(chosen_rows) or sorted(set(sizes)) != sizes:
            raise SelectionError(
                f"sizes must ascend from 1 to at most {len(chosen_rows)}, the rows chosen; found {sizes}."
            )
    n_rows = int(vectors.shape[0])
    everything = asked = np.arange(n_rows)
    if len(cells) != n_rows:
        raise SelectionError(f"{len(cells):,} labels for {n_rows:,} rows. Give one a row.")
    # The pool first: it finds unusable rows by their numbers.
    if n_rows > POOL_ROWS_ASKED:
        asked = np.sort(np.random.default_rng(seed).choice(everything, POOL_ROWS_ASKED, replace=False))
    with watch.task("whole pool", 2.0, "measures") as task:
        pool = dict(zip(VENDI_NAMES, vendi_scores(vectors)[0].tolist(), strict=True))
        task.advance()
        pool["mean_nearest_within"] = (
            mean_nearest_within(vectors, everything, asked) if n_rows > 1 else math.nan
        )
        pool |= {"cells_hit": share_hit(cells, everything), "cell_entropy": cell_entropy(cells, everything)}
        task.advance()
    if chosen_rows is None or sizes is None:
        return {}, pool
    drawn_from = n_rows if choosable_rows is None else choosable_rows
    orders = [chosen_rows[: sizes[-1]], *draw_random_sets(drawn_from, sizes[-1], n_random, seed)]
    found: dict[str, list[Any]] = defaultdict(list)
    with watch.task("sets", float(len(orders)), "sets") as task:
        for order in orders:
            held = vectors[order]
            for name, scores_T in zip(VENDI_NAMES, vendi_scores(held, sizes=sizes).T, strict=True):
                found[name].append(scores_T)
            largest_T, means_T = distances_to_prefixes(vectors, order, sizes)
            within = [mean_nearest_within(held, np.arange(n)) if n > 1 else math.nan for n in sizes]
            found["covering_radius"].append(largest_T)
            found["mean_nearest_to_subset"].append(means_T)
            found["mean_nearest_within"].append(within)
            found["cells_hit"].append([share_hit(cells, order[:n]) for n in sizes])
            found["cell_entropy"].append([cell_entropy(cells, order[:n]) for n in sizes])
            task.advance()
    return {name: np.array(values, dtype=np.float64) for name, values in found.items()}, pool


def draw_random_sets(
    rows: int | NDArray[np.int64], size: int, n_sets: int, seed: int
) -> list[NDArray[np.int64]]:
    """Draw `n_sets` orders of `size` different ones of `rows` (a number: the first so many), uniformly.

    A set is the start of a shuffled pool that follows from the seed and the set's number, so sets grow like a
    run's own subset.

    Raises:
        PoolExhaustedError: the pool has fewer rows than a set.
    """
    n_rows = rows if isinstance(rows, int) else len(rows)
    if size > n_rows:
        raise PoolExhaustedError(
            f"cannot draw random sets of {size} rows from {n_rows}. Give the embeddings of the whole pool."
        )
    return [np.random.default_rng([seed, number]).permutation(rows)[:size].copy() for number in range(n_sets)]


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
