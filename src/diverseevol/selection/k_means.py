"""K-means quotas: the pool in clusters, and from each its share of rows, those nearest to the middle first.

Source: Lloyd's clustering in the mini-batch form of Sculley (2010, https://doi.org/10.1145/1772690.1772862), scikit-learn's
MiniBatchKMeans. Rank 0 clusters, because scikit-learn's sums depend on its threads, and tells the others.
Cost: the fit on at most `FIT_NUMBERS` numbers, one product of (N, D, clusters) to assign the rows; O(N) memory beside that.
Shape letters: M candidates and chosen rows, D embedding width, G clusters, B rows of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from ..base import dist
from ..errors import SelectionError
from .distances import BLOCK_NUMBERS, blocks, mean_of
from .needed import is_whole, ready
from .reader import RowReader
from .share_out import share_out
from .signals import Selection, Signal, Signals

FIT_NUMBERS = 2**27  # 512 MB of float32


@dataclass(frozen=True, slots=True)
class KMeans:
    """Adds the rows nearest to the centroids, so many of each cluster as its share.

    Attributes:
        clusters: how many; None: as many as rows are picked.
        share: equal, or proportional to the clusters' sizes.
    """

    clusters: int | None = None
    share: Literal["equal", "proportional"] = "equal"

    def __post_init__(self) -> None:
        if self.clusters is not None and not is_whole(self.clusters):
            raise SelectionError(f"clusters must be a whole number of at least 1, or none; found {self.clusters!r}.")
        if self.share not in ("equal", "proportional"):
            raise SelectionError(f"share must be 'equal' or 'proportional'; found {self.share!r}.")

    @property
    def needs(self) -> frozenset[str]:
        """The embeddings."""
        return frozenset({Signal.EMBEDDING})

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick `n_new` rows, every cluster's nearest first, then every cluster's second, and so on; `rng` seeds the clustering.

        The shares are of the training set: rows chosen earlier count as their cluster's. Of equal distances the lowest row is first.

        Returns:
            The picks with the columns `cluster` (int64) and `distance` (float64: Euclidean, to the cluster's centroid).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            NonFiniteError: a row that is chosen or may be picked holds NaN or infinite values.
            SelectionError: another argument is unusable.
        """
        reader, chosen, candidates = ready(signals, "k_means", chosen_rows, n_new, is_unit=False)
        n_clusters = min(self.clusters or n_new, len(candidates))
        seed = int(rng.integers(2**31))
        work = _clustered(reader, candidates, chosen, n_clusters, seed) if dist.is_main() else None
        clusters, distances, of_chosen = dist.gather(work)[0]  # type: ignore[misc]
        room_G, have_G = (np.bincount(labels, minlength=n_clusters) for labels in (clusters, of_chosen))
        shares_G = (room_G + have_G).astype(np.float64) if self.share == "proportional" else np.ones(n_clusters)
        quota_G = share_out(n_new, shares_G, room_G, have_G)
        order = np.lexsort((candidates, distances, clusters))
        place = np.empty(len(candidates), dtype=np.int64)
        place[order] = np.arange(len(order)) - np.searchsorted(clusters[order], clusters[order])
        picked = np.flatnonzero(place < quota_G[clusters])
        picked = picked[np.lexsort((clusters[picked], place[picked]))]
        return Selection(candidates[picked], {"cluster": clusters[picked], "distance": distances[picked]})


def _clustered(
    reader: RowReader, candidates: np.ndarray, chosen: np.ndarray, n_clusters: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cluster the candidates: (cluster of each, distance of each to its centroid, cluster of each chosen row)."""
    n_fit = max(n_clusters, FIT_NUMBERS // reader.width)
    fit_rows = candidates
    if n_fit < len(candidates):
        fit_rows = np.sort(np.random.default_rng(seed).choice(candidates, n_fit, replace=False))
    shift_D = mean_of(reader, fit_rows)  # float32 would lose small differences beside a large offset
    parts = [
        np.subtract(reader.exact(fit_rows[block]), shift_D) for block in blocks(len(fit_rows), BLOCK_NUMBERS // reader.width)
    ]
    exponent = int(np.frexp(max(np.abs(part).max() for part in parts))[1])  # squares of what is left overflow nowhere

    def scaled(shifted_BD: np.ndarray) -> np.ndarray:
        scaled_BD: np.ndarray = np.ldexp(shifted_BD, -exponent).astype(np.float32)
        return scaled_BD

    model = MiniBatchKMeans(n_clusters, random_state=seed).fit(np.concatenate([scaled(part) for part in parts]))
    centroids_GD = np.ldexp(model.cluster_centers_.astype(np.float64), exponent) + shift_D

    def assigned(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        clusters, distances = np.empty(len(rows), dtype=np.int64), np.empty(len(rows))
        for block in blocks(len(rows), BLOCK_NUMBERS // reader.width):
            clusters[block] = model.predict(scaled(np.subtract(reader.exact(rows[block]), shift_D)))
            to_centroid_BD = reader.float64(rows[block]) - centroids_GD[clusters[block]]
            distances[block] = np.sqrt(np.square(to_centroid_BD).sum(axis=1))
        return clusters, distances

    return *assigned(candidates), assigned(chosen)[0]
