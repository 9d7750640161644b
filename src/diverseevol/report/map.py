"""The page's map: places of pool rows in the plane. One set of vectors for all rounds gives a row one place.

Its axes are the first two principal components of the shown rows, or of every k-th of them, by the randomised
method of Halko et al., 2011 (https://arxiv.org/abs/0909.4061); or UMAP (McInnes et al., 2018,
https://arxiv.org/abs/1802.03426) of the first 50, in which distances mean little.
Shape letters: P shown rows, S rows that the components are found on, D embedding width, K components.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from ..errors import ConfigError
from .samples import PoolVectors, Rows

Method = Literal["pca", "umap"]
FIT_NUMBERS = 1 << 24
"""Of the vectors that the components are found on, about."""
UMAP_WIDTH = 50


@dataclass(frozen=True)
class Map:
    """Where pool rows lie in the plane, what its two axes are, and how they were found."""

    rows_P: Rows
    xy_P2: NDArray[np.floating]
    axes: tuple[str, str]
    note: str


def project(vectors: PoolVectors, rows: Rows, method: Method = "pca") -> Map | None:
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
    fitted = PCA(width, svd_solver="randomized", random_state=0).fit(fit_SD)
    placed_PK = fitted.transform(shown_PD)
    if method == "umap":
        try:
            from umap import UMAP
        except ImportError:
            raise ConfigError(
                "--map umap needs a package that is not installed. Install it with: "
                "pip install 'diverseevol[umap]', or give --map pca."
            ) from None
        placed_P2 = UMAP(random_state=0, n_jobs=1).fit_transform(placed_PK)
        note = f"UMAP of the vectors by {vectors.whose}. Only who is near whom means something in it."
        return Map(rows_P, placed_P2, ("UMAP 1", "UMAP 2"), note)
    shares = fitted.explained_variance_ratio_
    axes = (f"first component ({shares[0]:.0%} of the variance)", f"second component ({shares[1]:.0%})")
    of = "the shown" if len(fit_SD) == len(rows_P) else f"{len(fit_SD):,} of the shown"
    return Map(rows_P, placed_PK, axes, f"Principal components of {of} rows' vectors by {vectors.whose}.")
