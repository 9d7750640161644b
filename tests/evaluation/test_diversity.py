import json
import math

import numpy as np
import pytest

import diverseevol
from diverseevol.errors import EmbedError, NonFiniteError, PoolExhaustedError, SelectionError
from diverseevol.evaluation import diversity
from diverseevol.evaluation.cells import cell_entropy, cells_of_labels, share_hit
from diverseevol.evaluation.coverage import covering_radius, distances_to_prefixes, mean_nearest_within
from diverseevol.evaluation.diversity import draw_random_sets, measure_diversity, measure_pool
from diverseevol.selection import vendi
from diverseevol.selection.vectors import open_vectors

N = 60
CHOSEN = np.random.default_rng(5).permutation(N)[:20]
SIZES = [1, 4, 9, 20]
POINTS = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32) + np.float32(0.5)
CELLS = cells_of_labels(np.array([f"label {row % 7}" if row % 5 else "" for row in range(N)]))


def by_hand(rows):
    """Every measure of a subset by its own function."""
    rows = np.array(rows)
    found = {f"vendi_{q:g}": vendi.vendi_score(POINTS[rows], q) for q in (0.5, 1, 2, math.inf)}
    found |= {
        "covering_radius": covering_radius(POINTS, rows),
        "mean_nearest_to_subset": distances_to_prefixes(POINTS, [rows], [len(rows)])[1][0, 0],
    }
    found["mean_nearest_within"] = mean_nearest_within(POINTS, rows) if len(rows) > 1 else math.nan
    found |= {"cells_hit": share_hit(CELLS, rows), "cell_entropy": cell_entropy(CELLS, rows)}
    return found


@pytest.fixture(scope="module")
def report():
    return measure_diversity(POINTS, CHOSEN, SIZES, n_random=5, seed=3, cells=CELLS)


def test_the_score_is_the_one_that_selection_draws_by():
    assert diversity.vendi_score is vendi.vendi_score is diverseevol.vendi_score
    assert diverseevol.measure_diversity is measure_diversity
    assert diverseevol.covering_radius is covering_radius


def test_each_round_is_the_subset_so_far(report):
    assert report.sizes == tuple(SIZES)
    for at, size in enumerate(SIZES):
        found = {name: values[at] for name, values in report.chosen.items()}
        assert found == pytest.approx(by_hand(CHOSEN[:size]), rel=1e-9, nan_ok=True)


def test_random_sets_are_of_the_same_sizes_from_the_same_pool(report):
    for number, rows in enumerate(draw_random_sets(N, 20, 5, seed=3)):
        for at, size in enumerate(SIZES):
            found = {name: values[number, at] for name, values in report.random.items()}
            assert found == pytest.approx(by_hand(rows[:size]), rel=1e-9, nan_ok=True)


def test_random_sets_are_drawn_from_what_could_be_chosen():
    choosable = np.arange(20, N)
    found = measure_diversity(POINTS, CHOSEN, [20], n_random=3, seed=3, choosable_rows=choosable)
    for number, rows in enumerate(draw_random_sets(choosable, 20, 3, seed=3)):
        assert rows.min() >= 20
        assert found.random["covering_radius"][number, 0] == pytest.approx(covering_radius(POINTS, rows), rel=1e-12)
    with pytest.raises(PoolExhaustedError, match="random sets of 20 rows from 19"):
        measure_diversity(POINTS, CHOSEN, choosable_rows=choosable[:19])


def test_the_pool_is_all_rows(report):
    expected = by_hand(range(N))
    del expected["covering_radius"], expected["mean_nearest_to_subset"]
    assert report.pool == pytest.approx(expected, rel=1e-9)


def test_large_pools_are_represented_by_some_rows(monkeypatch):
    monkeypatch.setattr(diversity, "POOL_ROWS_ASKED", 11)
    found = measure_pool(POINTS, seed=2)
    asked = np.sort(np.random.default_rng(2).choice(N, 11, replace=False))
    assert found["mean_nearest_within"] == mean_nearest_within(POINTS, np.arange(N), asked)


def test_the_band_is_mean_and_quantiles_over_the_sets(report):
    values = report.random["vendi_1"]
    mean, low, high = report.band("vendi_1")
    assert values.shape == (5, 4)
    np.testing.assert_allclose(mean, values.mean(axis=0))
    np.testing.assert_allclose(low, [np.quantile(column, 0.05) for column in values.T])
    np.testing.assert_allclose(high, [np.quantile(column, 0.95) for column in values.T])


def test_plain_values_are_json_without_nan(report):
    sets = json.loads(json.dumps(report.sets(), allow_nan=False))
    assert [each["n_chosen"] for each in sets] == SIZES
    assert sets[0]["measures"]["mean_nearest_within"]["value"] is None
    measured = sets[2]["measures"]["covering_radius"]
    mean, low, high = report.band("covering_radius")
    assert measured == {
        "value": report.chosen["covering_radius"][2],
        "random_mean": mean[2],
        "random_low": low[2],
        "random_high": high[2],
    }
    assert json.loads(json.dumps(report.pool_values(), allow_nan=False)) == report.pool
    assert list(report.chosen)[:7] == [*diversity.VENDI_NAMES, "covering_radius", "mean_nearest_to_subset", "mean_nearest_within"]


def test_nothing_but_the_embeddings_is_needed(tmp_path):
    np.save(tmp_path / "x.npy", POINTS)
    vectors = open_vectors(tmp_path / "x.npy")
    alone = measure_diversity(vectors, CHOSEN, n_random=0)
    assert alone.sizes == (20,)
    assert alone.random == {}
    assert "cells_hit" not in alone.chosen
    assert set(alone.sets()[0]["measures"]["vendi_1"]) == {"value"}
    assert alone.chosen["covering_radius"][0] == covering_radius(POINTS, CHOSEN)
    assert measure_pool(POINTS[:1])["vendi_1"] == pytest.approx(1)


def test_torch_gives_the_same(report):
    import torch

    found = measure_diversity(torch.from_numpy(POINTS), CHOSEN, SIZES, n_random=5, seed=3, cells=CELLS)
    for name, values in found.chosen.items():
        np.testing.assert_allclose(values, report.chosen[name], rtol=1e-9)


def test_k_center_covers_better_and_is_more_diverse_than_random():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(400, 8)) * np.where(rng.random(400) < 0.9, 0.2, 2.0)[:, None] + 1
    picks = diverseevol.select(points, [0], 29).rows
    found = measure_diversity(points, np.concatenate([[0], picks]))
    _, low, high = ({name: found.band(name)[at][0] for name in found.random} for at in range(3))
    value = {name: values[0] for name, values in found.chosen.items()}
    assert value["covering_radius"] < low["covering_radius"]
    assert value["mean_nearest_within"] > high["mean_nearest_within"]
    assert value["vendi_1"] > high["vendi_1"]


@pytest.mark.parametrize(
    ("chosen", "sizes", "error", "message"),
    [
        ([], None, SelectionError, "diversity needs at least one chosen row"),
        ([N], None, SelectionError, r"diversity: row 60 is outside 0\.\.59"),
        ([3, 3], None, SelectionError, "row 3 is named 2 times"),
        ([3, 4], [1, 3], SelectionError, r"sizes must ascend from 1 to at most 2, the rows chosen; found \[1, 3\]"),
        ([3, 4], [0, 2], SelectionError, "sizes must ascend from 1"),
        ([3, 4], [2, 2], SelectionError, "sizes must ascend from 1"),
        ([3, 4], [2, 1], SelectionError, "sizes must ascend from 1"),
    ],
)
def test_subsets_that_are_none(chosen, sizes, error, message):
    with pytest.raises(error, match=message):
        measure_diversity(POINTS, np.array(chosen, dtype=np.int64), sizes)


def test_unusable_pool_rows_are_named_by_their_numbers():
    for value, error, message in ((np.nan, NonFiniteError, "in the rows 31"), (0, EmbedError, "the rows 31 are all zeros")):
        points = POINTS.copy()
        points[31] = value
        with pytest.raises(error, match=message):
            measure_diversity(points, np.array([2, 31]))


def test_more_random_rows_than_the_pool_has():
    with pytest.raises(PoolExhaustedError, match="random sets of 61 rows from 60"):
        draw_random_sets(N, 61, 1, 0)


def test_sets_are_different_rows_of_the_pool_and_follow_the_seed():
    sets = draw_random_sets(30, 12, 5, seed=1)
    assert len(sets) == 5
    for rows in sets:
        assert len(set(rows.tolist())) == 12
        assert rows.min() >= 0
        assert rows.max() < 30
    assert len({tuple(rows) for rows in sets}) == 5
    assert [list(rows) for rows in draw_random_sets(30, 12, 5, seed=1)] == [list(rows) for rows in sets]
    assert list(draw_random_sets(30, 12, 5, seed=2)[0]) != list(sets[0])


def test_sets_grow_and_do_not_depend_on_how_many_there_are():
    larger = draw_random_sets(30, 30, 2, seed=1)
    for small, large in zip(draw_random_sets(30, 12, 5, seed=1), larger, strict=False):
        assert list(small) == list(large[:12])
    assert sorted(larger[0].tolist()) == list(range(30))
    assert draw_random_sets(30, 12, 0, seed=1) == []
