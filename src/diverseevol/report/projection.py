"""Two coordinates for each of some pool rows: the first two principal components, or UMAP where it is asked for and installed.

The components are those of the rows that are shown, or of every k-th of them, by the randomised method of Halko et al., 2011
(https://arxiv.org/abs/0909.4061). UMAP: McInnes et al., 2018, https://arxiv.org/abs/1802.03426, on the first 50 components; distances in
it mean little.
Shape letters: P shown rows, D embedding width, K components, S rows that the components are found on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from ..errors import ConfigError
from .vectors import PoolVectors

Method = Literal["pca", "umap"]
FIT_NUMBERS = 1 << 24
"""Of the vectors that the components are found on, about."""
UMAP_WIDTH = 50


@dataclass(frozen=True)
class Projection:
    """Where rows lie.

    Attributes:
        xy_P2: Coordinates; NaN for a row without a vector.
        axes: What the two axes are, in words.
        note: How they were found.
    """

    xy_P2: NDArray[np.floating]
    axes: tuple[str, str]
    note: str


def project(vectors: PoolVectors, rows_P: NDArray[np.int64], method: Method = "pca", seed: int = 0) -> Projection | None:
    """Place pool rows, which have vectors, in the plane; None where there are too few different vectors for that.

    Raises:
        ConfigError: UMAP is asked for and not installed.
    """
    shown_PD = vectors.read(rows_P)
    fit_SD = shown_PD[:: 1 + shown_PD.size // FIT_NUMBERS]
    width = min(2 if method == "pca" else UMAP_WIDTH, *fit_SD.shape)
    if width < 2 or not np.ptp(fit_SD, axis=0).any():
        return None
    fitted = PCA(width, svd_solver="randomized", random_state=seed).fit(fit_SD)
    placed_PK = fitted.transform(shown_PD)
    if method == "umap":
        return _umap(placed_PK, vectors.whose, seed)
    shares = fitted.explained_variance_ratio_
    axes = (f"first component ({shares[0]:.0%} of the variance)", f"second component ({shares[1]:.0%})")
    of = "the shown" if len(fit_SD) == len(rows_P) else f"{len(fit_SD):,} of the shown"
    return Projection(
        placed_PK, axes, f"Principal components of {of} rows' vectors by {vectors.whose}; the same coordinates in all rounds."
    )


def _umap(reduced_PK: NDArray[np.float32], whose: str, seed: int) -> Projection:
    try:
        from umap import UMAP
    except ImportError:
        raise ConfigError(
            "--map umap needs a package that is not installed. Install it with: pip install 'diverseevol[umap]', or give --map pca."
        ) from None
    xy_P2 = UMAP(random_state=seed, n_jobs=1).fit_transform(reduced_PK)
    note = f"UMAP of the vectors by {whose}; the same coordinates in all rounds. Only who is near whom means something in it."
    return Projection(xy_P2, ("UMAP 1", "UMAP 2"), note)
