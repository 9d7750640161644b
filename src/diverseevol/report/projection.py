"""Two coordinates for each of some pool rows: the first two principal components, or UMAP where it is asked for and installed.

The components are found on a random sample of the pool (Halko et al., 2011, https://arxiv.org/abs/0909.4061, as scikit-learn has it) and
the rows projected in blocks, so that the memory is bounded whatever the size of the pool. UMAP: McInnes et al., 2018,
https://arxiv.org/abs/1802.03426, on the first 50 components of the rows that are shown; distances in it mean little.
Shape letters: P shown rows, D embedding width, S sampled rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from .vectors import PoolVectors

Method = Literal["pca", "umap"]
FIT_NUMBERS = 1 << 24  # of the sample: 128 MB in float64
BLOCK_NUMBERS = 1 << 22
UMAP_WIDTH = 50


@dataclass(frozen=True)
class Projection:
    """Where rows lie.

    Attributes:
        xy_P2: Coordinates; NaN for a row whose vector holds no finite numbers.
        axes: What the two axes are, in words.
        note: How they were found.
    """

    xy_P2: NDArray[np.float64]
    axes: tuple[str, str]
    note: str


def project(vectors: PoolVectors, rows_P: NDArray[np.int64], method: Method = "pca", seed: int = 0) -> Projection | None:
    """Place pool rows, which have vectors, in the plane; None where there are too few different vectors for that.

    Raises:
        ConfigError: UMAP is asked for and not installed.
    """
    sample_SD, scale = _sample(vectors, seed)
    width = min(2 if method == "pca" else UMAP_WIDTH, *sample_SD.shape)
    if width < 2 or not np.ptp(sample_SD, axis=0).any():
        return None
    from sklearn.decomposition import PCA

    fitted = PCA(width, svd_solver="randomized", random_state=seed).fit(sample_SD)
    placed_PK = np.full((len(rows_P), width), np.nan)
    step = max(1, BLOCK_NUMBERS // vectors.vectors_ND.shape[1])
    for start in range(0, len(rows_P), step):
        block_BD = vectors.read(rows_P[start : start + step]) / scale
        is_good = np.isfinite(block_BD).all(axis=1)
        if is_good.any():
            placed_PK[start : start + step][is_good] = fitted.transform(block_BD[is_good])
    if method == "umap":
        return _umap(placed_PK, vectors.whose, seed)
    shares = fitted.explained_variance_ratio_
    axes = (f"first component ({shares[0]:.0%} of the variance)", f"second component ({shares[1]:.0%})")
    of = "all" if len(sample_SD) == len(vectors.known_rows) else f"{len(sample_SD):,} random"
    note = f"Principal components of {of} rows' vectors by {vectors.whose}; the same coordinates in all rounds."
    return Projection(placed_PK * scale, axes, note)


def _sample(vectors: PoolVectors, seed: int) -> tuple[NDArray[np.float64], float]:
    """Random rows' vectors without unusable ones, and the number that all were divided by so that no square overflows."""
    known, n = vectors.known_rows, max(2, FIT_NUMBERS // vectors.vectors_ND.shape[1])
    if len(known) > n:
        known = np.sort(np.random.default_rng(seed).choice(known, n, replace=False))
    sample_SD = vectors.read(known)
    sample_SD = sample_SD[np.isfinite(sample_SD).all(axis=1)]
    scale = float(np.abs(sample_SD).max(initial=0.0)) or 1.0
    return sample_SD / scale, scale


def _umap(reduced_PK: NDArray[np.float64], whose: str, seed: int) -> Projection:
    try:
        from umap import UMAP
    except ImportError:
        raise ConfigError(
            "--map umap needs a package that is not installed. Install it with: pip install 'diverseevol[umap]', or give --map pca."
        ) from None
    is_good = np.isfinite(reduced_PK).all(axis=1)
    xy_P2 = np.full((len(reduced_PK), 2), np.nan)
    xy_P2[is_good] = UMAP(random_state=seed, n_jobs=1).fit_transform(reduced_PK[is_good])
    note = f"UMAP of the vectors by {whose}; the same coordinates in all rounds. Only who is near whom means something in it."
    return Projection(xy_P2, ("UMAP 1", "UMAP 2"), note)
