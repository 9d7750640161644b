"""The vectors that the page draws from, one set for all rounds, so that a sample has one place.

The map's axes are the first two principal components of the shown rows, or of every k-th of them, by the
randomised method of Halko et al., 2011 (https://arxiv.org/abs/0909.4061); or UMAP (McInnes et al., 2018,
https://arxiv.org/abs/1802.03426) of the first 50, in which distances mean little.
Shape letters: N rows with a vector, P shown rows, C picks, D embedding width, K components or neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from ..base.files import load_array
from ..errors import ConfigError
from ..run import BASE
from .runs import RunData

Method = Literal["pca", "umap"]
FIT_NUMBERS = 1 << 24
"""Of the vectors that the components are found on, about."""
UMAP_WIDTH = 50
N_NEAREST = 3
MOST_NUMBERS = 1 << 28
"""Of the vectors among which neighbours are looked for, 1 GB in float32; of more, a random part is taken."""


@dataclass(frozen=True)
class PoolVectors:
    """Vectors of a pool's rows.

    Attributes:
        vectors_ND: Memory-mapped.
        rows_N: The pool rows they are of, ascending.
        whose: The model, in words.
    """

    vectors_ND: NDArray[Any]
    rows_N: NDArray[np.int64]
    whose: str

    def known(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some pool rows that have a vector, in their order."""
        return rows[np.isin(rows, self.rows_N)]

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of pool rows that have one; all numbers are finite, for embedding refuses others."""
        return np.asarray(self.vectors_ND[np.searchsorted(self.rows_N, rows)], dtype=np.float32)


def find_vectors(run: RunData) -> PoolVectors | None:
    """The base model's vectors, else the outer model's, else those of the last round whose were kept."""
    folder, everything = run.folder, np.arange(len(run.pool))
    places = [(folder.fixed_file(BASE), everything, "the untuned base model")]
    places += [(folder.outer_dir / "embeddings.npy", everything, "the outer model")]
    for index in reversed(run.rounds):
        seen = folder.seen_rows(index)
        file = folder.signals_dir(index) / "embeddings.npy"
        places.append((file, everything if seen is None else seen, f"round {index}'s model"))
    for file, rows, whose in places:
        if file.exists() and len(vectors_ND := load_array(file)) == len(rows) and vectors_ND.ndim == 2:
            return PoolVectors(vectors_ND, rows, whose)
    return None


@dataclass(frozen=True)
class Map:
    """Where pool rows lie in the plane, what its two axes are, and how they were found."""

    rows_P: NDArray[np.int64]
    xy_P2: NDArray[np.floating]
    axes: tuple[str, str]
    note: str


def project(
    vectors: PoolVectors,
    rows: NDArray[np.int64],
    method: Method = "pca",
    seed: int = 0,
) -> Map | None:
    """Place those of some pool rows that have a vector; None where too few differ for a plane.

    Raises:
        ConfigError: UMAP is asked for and not installed.
    """
    rows_P = vectors.known(rows)
    shown_PD = vectors.read(rows_P)
    fit_SD = shown_PD[:: 1 + shown_PD.size // FIT_NUMBERS]
    width = min(2 if method == "pca" else UMAP_WIDTH, *fit_SD.shape)
    if width < 2 or not np.ptp(fit_SD, axis=0).any():
        return None
    fitted = PCA(width, svd_solver="randomized", random_state=seed).fit(fit_SD)
    placed_PK = fitted.transform(shown_PD)
    if method == "umap":
        note = f"UMAP of the vectors by {vectors.whose}. Only who is near whom means something in it."
        return Map(rows_P, _umap(placed_PK, seed), ("UMAP 1", "UMAP 2"), note)
    shares = fitted.explained_variance_ratio_
    axes = (f"first component ({shares[0]:.0%} of the variance)", f"second component ({shares[1]:.0%})")
    of = "the shown" if len(fit_SD) == len(rows_P) else f"{len(fit_SD):,} of the shown"
    return Map(rows_P, placed_PK, axes, f"Principal components of {of} rows' vectors by {vectors.whose}.")


def _umap(reduced_PK: NDArray[np.float32], seed: int) -> NDArray[np.floating]:
    try:
        from umap import UMAP
    except ImportError:
        raise ConfigError(
            "--map umap needs a package that is not installed. Install it with: "
            "pip install 'diverseevol[umap]', or give --map pca."
        ) from None
    xy_P2: NDArray[np.floating] = UMAP(random_state=seed, n_jobs=1).fit_transform(reduced_PK)
    return xy_P2


def nearest_unchosen(
    vectors: PoolVectors, picks_C: NDArray[np.int64], barred_rows: NDArray[np.int64], seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the rows nearest to picks that are not barred: C × N × D multiplications.

    Args:
        vectors: The pool's.
        picks_C: Pool rows with a vector.
        barred_rows: Pool rows that are no answer: chosen ones, and those that could not be.
        seed: Draws the rows that are looked at, where not all are.

    Returns:
        int64[C, K] pool rows, nearest first, float32[C, K] distances; K is 3, or as many rows as are left.
    """
    open_rows = np.setdiff1d(vectors.rows_N, barred_rows)
    most = MOST_NUMBERS // vectors.vectors_ND.shape[1]
    if len(open_rows) > most:
        open_rows = np.sort(np.random.default_rng(seed).choice(open_rows, most, replace=False))
    n_found = min(N_NEAREST, len(open_rows))
    if not n_found or not len(picks_C):
        return np.zeros((len(picks_C), n_found), np.int64), np.zeros((len(picks_C), n_found), np.float32)
    picks_CD = vectors.read(picks_C)
    search = NearestNeighbors(n_neighbors=n_found, algorithm="brute").fit(vectors.read(open_rows))
    rows_CK = open_rows[search.kneighbors(picks_CD, return_distance=False)]
    # The search multiplies squares out, which leaves a remainder between equal vectors; a copy shall be at 0.
    distances = [np.linalg.norm(vectors.read(rows_C) - picks_CD, axis=1) for rows_C in rows_CK.T]
    return rows_CK, np.stack(distances, axis=1)
