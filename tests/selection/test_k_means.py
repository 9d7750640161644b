import numpy as np
import pytest

from diverseevol.errors import NonFiniteError, SelectionError
from diverseevol.selection import Signals, make_strategy, select
from diverseevol.selection import k_means as unit
from diverseevol.selection.k_means import KMeans


def islands(sizes, rng, width=6):
    """Groups far from each other, and which row lies where."""
    middles = 100 * np.eye(width)[: len(sizes)]
    group = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(group))
    points = middles[group] + rng.normal(size=(len(group), width))
    return points[order].astype(np.float32), group[order]


@pytest.mark.parametrize(
    ("share", "n_new", "expected"), [("equal", 12, [4, 4, 4]), ("proportional", 12, [6, 4, 2]), ("equal", 50, [18, 18, 14])]
)
def test_each_cluster_gives_its_share_nearest_to_the_middle_first(share, n_new, expected):
    points, group = islands([42, 28, 14], np.random.default_rng(0))
    picks = select(points, [], n_new, strategy="k_means", clusters=3, share=share)
    assert np.bincount(group[picks.rows]).tolist() == expected
    for cluster in range(3):
        mine = picks.columns["cluster"] == cluster
        members = np.flatnonzero(group == group[picks.rows[mine][0]])
        assert (group[picks.rows[mine]] == group[members[0]]).all()
        distances = picks.columns["distance"][mine]
        assert (np.diff(distances) >= 0).all()
        middle = points[members].astype(float).mean(axis=0)  # MiniBatchKMeans is near it, not on it
        by_mean = np.linalg.norm(points[members] - middle, axis=1)
        assert distances == pytest.approx(np.sort(by_mean)[: len(distances)], abs=0.6)
        rest = np.setdiff1d(members, picks.rows)
        assert by_mean[np.isin(members, rest)].min(initial=np.inf) >= distances.max() - 0.6
    assert sorted(picks.columns["cluster"][:3]) == [0, 1, 2]  # the first of each, then the second of each
    assert picks.columns["cluster"].dtype == np.int64


def test_distances_are_those_to_the_centroids(monkeypatch):
    models = []

    class Recorded(unit.MiniBatchKMeans):
        def fit(self, rows):
            models.append(super().fit(rows))
            return models[-1]

    monkeypatch.setattr(unit, "MiniBatchKMeans", Recorded)
    points = np.random.default_rng(1).normal(size=(60, 4)) + 1000
    picks = select(points, [3], 59, strategy="k_means", clusters=5)
    middle = points[np.setdiff1d(np.arange(60), 3)].mean(axis=0)
    centroids = models[0].cluster_centers_ + middle
    all_distances = np.linalg.norm(points[picks.rows][:, None] - centroids, axis=2)
    assert picks.columns["distance"] == pytest.approx(all_distances.min(axis=1), abs=1e-3)
    assert (picks.columns["cluster"] == all_distances.argmin(axis=1)).all()


def test_chosen_rows_count_as_their_clusters():
    points, group = islands([40, 40, 40], np.random.default_rng(2))
    chosen = np.concatenate([np.flatnonzero(group == 0)[:9], np.flatnonzero(group == 1)[:2]])
    picks = select(points, chosen, 10, strategy="k_means", clusters=3)  # 21 in all: 7 each
    assert np.bincount(group[picks.rows], minlength=3).tolist() == [0, 4, 6]
    proportional = select(points, chosen, 10, strategy="k_means", clusters=3, share="proportional")
    assert np.bincount(group[proportional.rows], minlength=3).tolist() == [0, 4, 6]


@pytest.mark.parametrize(("share", "expected"), [("equal", [2, 12]), ("proportional", [6, 8])])
def test_proportional_is_to_the_whole_cluster(share, expected):
    points, group = islands([40, 20], np.random.default_rng(4))
    chosen = np.flatnonzero(group == 0)[:10]
    picks = select(points, chosen, 14, strategy="k_means", clusters=2, share=share)
    assert np.bincount(group[picks.rows]).tolist() == expected


def test_no_more_clusters_than_rows():
    assert sorted(select(np.random.default_rng(0).normal(size=(9, 2)), [2], 8, strategy="k_means", clusters=50).rows) == [
        *range(2),
        *range(3, 9),
    ]


def test_by_default_one_of_each_of_n_new_clusters_fitted_on_a_sample(monkeypatch):
    monkeypatch.setattr(unit, "FIT_NUMBERS", 6 * 60)
    points, group = islands([30, 30, 30, 30], np.random.default_rng(3))
    picks = KMeans().select(Signals(120, points), np.array([], int), 4, np.random.default_rng(8))
    assert sorted(group[picks.rows]) == [0, 1, 2, 3]
    again = KMeans().select(Signals(120, points), np.array([], int), 4, np.random.default_rng(8))
    assert again.rows.tolist() == picks.rows.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 0}, "clusters: Input should be greater than 0; found 0"),
        ({"clusters": 2.5}, "found 2.5"),
        ({"share": "fair"}, "share: Input should be 'equal' or 'proportional'; found 'fair'"),
    ],
)
def test_says_what_is_wrong(options, message):
    with pytest.raises(SelectionError, match=message):
        make_strategy("k_means", **options)


def test_bad_rows_are_named():
    points = np.ones((9, 2))
    points[4] = np.inf
    with pytest.raises(NonFiniteError, match="1 rows of the embeddings hold NaN or infinite values: 4"):
        select(points, [4], 2, strategy="k_means")
    points[4] = 1e200
    with pytest.raises(SelectionError, match="the embeddings of row 4 are too large for float32"):
        select(points, [], 2, strategy="k_means")


def test_small_differences_beside_a_large_offset_are_seen_in_float64():
    points, group = islands([30, 30], np.random.default_rng(4))
    picks = select(points.astype(np.float64) + 2.0**33, [], 2, strategy="k_means", clusters=2)
    assert sorted(group[picks.rows]) == [0, 1]
