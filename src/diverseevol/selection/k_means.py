"""K-means quotas: the pool in clusters, and from each its share of rows, those nearest to the middle first.

Source: Lloyd's clustering in the mini-batch form of Sculley (2010, https://doi.org/10.1145/1772690.1772862),
scikit-learn's MiniBatchKMeans. Rank 0 clusters, because scikit-learn's sums depend on its threads.
Cost: the fit on at most `FIT_NUMBERS` numbers, one product of (N, D, clusters) to assign the rows; O(N)
memory beside that.
Shape letters: M rows, D embedding width, G clusters, B rows of a block.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt
from pydantic.dataclasses import dataclass
from sklearn.cluster import MiniBatchKMeans

from ..base import dist
from ..base.share_out import share_out
from .base import STRICT, Selection, Signal, Signals
from .rows import BLOCK_NUMBERS, RowReader, blocks

FIT_NUMBERS = 2**27  # 512 MB of float32


@dataclass(frozen=True, config=STRICT)
class KMeans:
    """Adds the rows nearest to the centroids, so many of each cluster as its share.

    Attributes:
        clusters: how many; None: as many as rows are picked.
        share: equal, or proportional to the clusters' sizes.
    """

    needs: ClassVar[frozenset[str]] = frozenset({Signal.EMBEDDING})
    clusters: PositiveInt | None = None
    share: Literal["equal", "proportional"] = "equal"

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick `n_new` rows, every cluster's nearest first, then every cluster's second, and so on.

        `rng` seeds the clustering. The shares are of the training set: rows chosen earlier count as their
        cluster's. Of equal distances the lowest row is first.

        Returns:
            The picks with the columns `cluster` (int64) and `distance` (float64: Euclidean, to the cluster's
            centroid).

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            NonFiniteError: a row that is chosen or may be picked holds NaN or infinite values.
            SelectionError: another argument is unusable.
        """
        reader = RowReader.of(signals, "k_means")
        chosen, free = signals.chosen(chosen_rows), signals.free(chosen_rows, n_new)
        n_clusters, seed = min(self.clusters or n_new, len(free)), int(rng.integers(2**31))
        clusters, distances, of_chosen = dist.on_main(
            lambda: _clustered(reader, free, chosen, n_clusters, seed)
        )
        room_G, have_G = (np.bincount(labels, minlength=n_clusters) for labels in (clusters, of_chosen))
        shares_G = room_G + have_G if self.share == "proportional" else np.ones(n_clusters)
        quota_G = share_out(n_new, shares_G.astype(np.float64), room_G, have_G)
        order = np.lexsort((free, distances, clusters))
        place = np.empty(len(free), dtype=np.int64)  # a row's place within its cluster
        place[order] = np.arange(len(order)) - np.searchsorted(clusters[order], clusters[order])
        picked = np.flatnonzero(place < quota_G[clusters])
        picked = picked[np.lexsort((clusters[picked], place[picked]))]
        return Selection(free[picked], {"cluster": clusters[picked], "distance": distances[picked]})


def _clustered(
    reader: RowReader, free: np.ndarray, chosen: np.ndarray, n_clusters: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cluster the free rows: (cluster of each, its distance to the centroid, cluster of each chosen row)."""
    reader.check(np.concatenate([free, chosen]))
    fit_rows, n_fit = free, max(n_clusters, FIT_NUMBERS // reader.width)
    if n_fit < len(free):
        fit_rows = np.sort(np.random.default_rng(seed).choice(free, n_fit, replace=False))
    shift_D = reader.mean_of(fit_rows)  # float32 would lose small differences beside a large offset

    def parts(rows: np.ndarray) -> list[np.ndarray]:
        return [rows[block] for block in blocks(len(rows), BLOCK_NUMBERS // reader.width)]

    fit_MD = np.concatenate([(reader.float64(part) - shift_D).astype(np.float32) for part in parts(fit_rows)])
    model = MiniBatchKMeans(n_clusters, random_state=seed).fit(fit_MD)
    centroids_GD = model.cluster_centers_.astype(np.float64) + shift_D

    def assigned(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        clusters, distances = [np.zeros(0, np.int64)], [np.zeros(0)]
        for part in parts(rows):
            values_BD = reader.float64(part)
            clusters.append(model.predict((values_BD - shift_D).astype(np.float32)).astype(np.int64))
            distances.append(np.sqrt(np.square(values_BD - centroids_GD[clusters[-1]]).sum(axis=1)))
        return np.concatenate(clusters), np.concatenate(distances)

    return *assigned(free), assigned(chosen)[0]
