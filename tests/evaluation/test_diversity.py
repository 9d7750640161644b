"""Every measure of a report by its own function; the verb's tests hold runs, files and messages."""

import json
import math

import numpy as np
import pytest

import diverseevol
from diverseevol.errors import EmbedError, NonFiniteError, PoolExhaustedError, SelectionError
from diverseevol.evaluation import diversity as module
from diverseevol.evaluation.coverage import (
    cell_entropy,
    cells_of_labels,
    covering_radius,
    distances_to_prefixes,
    mean_nearest_within,
    share_hit,
)
from diverseevol.evaluation.diversity import diversity, draw_random_sets
from diverseevol.selection import vendi

N = 60
CHOSEN = np.random.default_rng(5).permutation(N)[:20]
SIZES = [1, 4, 9, 20]
POINTS = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32) + np.float32(0.5)
LABELS = np.array([f"label {row % 7}" if row % 5 else "" for row in range(N)])
CELLS = cells_of_labels(LABELS)


def by_hand(rows):
    """Every measure of a subset by its own function."""
    rows = np.array(rows)
    found = {f"vendi_{q:g}": vendi.vendi_score(POINTS[rows], q) for q in (0.5, 1, 2, math.inf)}
    found["covering_radius"] = covering_radius(POINTS, rows)
    found["mean_nearest_to_subset"] = distances_to_prefixes(POINTS, rows, [len(rows)])[1][0]
    found["mean_nearest_within"] = mean_nearest_within(POINTS, rows) if len(rows) > 1 else math.nan
    return found | {"cells_hit": share_hit(CELLS, rows), "cell_entropy": cell_entropy(CELLS, rows)}


@pytest.fixture(scope="module")
def report():
    return diversity(POINTS, CHOSEN, SIZES, labels=LABELS, random_sets=5, seed=3)


def test_each_round_is_the_subset_so_far_beside_random_sets_of_its_size_and_the_pool(report):
    assert diverseevol.diversity is diversity
    assert report.sizes == tuple(SIZES)
    sets = draw_random_sets(N, 20, 5, seed=3)
    for at, size in enumerate(SIZES):
        found = {name: values[at] for name, values in report.chosen.items()}
        assert found == pytest.approx(by_hand(CHOSEN[:size]), rel=1e-9, nan_ok=True)
        for number, rows in enumerate(sets):
            found = {name: values[number, at] for name, values in report.random.items()}
            assert found == pytest.approx(by_hand(rows[:size]), rel=1e-9, nan_ok=True)
    expected = by_hand(range(N))
    del expected["covering_radius"], expected["mean_nearest_to_subset"]
    assert report.pool == pytest.approx(expected, rel=1e-9)


def test_random_sets_are_drawn_from_what_could_be_chosen():
    choosable = np.arange(20, N)
    found = diversity(POINTS, CHOSEN, [20], random_sets=3, seed=3, choosable_rows=choosable)
    for number, rows in enumerate(draw_random_sets(choosable, 20, 3, seed=3)):
        assert rows.min() >= 20
        assert found.random["covering_radius"][number, 0] == pytest.approx(covering_radius(POINTS, rows), rel=1e-12)
    with pytest.raises(PoolExhaustedError, match="random sets of 20 rows from 19"):
        diversity(POINTS, CHOSEN, choosable_rows=choosable[:19])


def test_large_pools_are_represented_by_some_rows(monkeypatch):
    monkeypatch.setattr(module, "POOL_ROWS_ASKED", 11)
    asked = np.sort(np.random.default_rng(2).choice(N, 11, replace=False))
    found = diversity(POINTS, labels=LABELS, seed=2)
    assert found.pool["mean_nearest_within"] == mean_nearest_within(POINTS, np.arange(N), asked)
    assert (found.sizes, found.chosen, found.random) == ((), {}, {})


def test_values_are_json_with_mean_and_quantiles_over_the_sets_and_without_nan(report):
    found = json.loads(json.dumps(report.values(), allow_nan=False))
    assert [each["n_chosen"] for each in found["sets"]] == SIZES
    assert found["sets"][0]["measures"]["mean_nearest_within"]["value"] is None
    values = report.random["covering_radius"][:, 2]
    low, high = np.quantile(values, [0.05, 0.95])
    assert found["sets"][2]["measures"]["covering_radius"] == pytest.approx(
        {
            "value": report.chosen["covering_radius"][2],
            "random_mean": values.mean(),
            "random_low": low,
            "random_high": high,
        }
    )
    assert found["pool"] == report.pool
    first = [*module.VENDI_NAMES, "covering_radius", "mean_nearest_to_subset", "mean_nearest_within"]
    assert list(found["sets"][0]["measures"]) == [*first, "cells_hit", "cell_entropy"]
    assert (found["n_cells"], found["n_without_label"], found["coverage_of"]) == (7, 12, "labels")


def test_vectors_in_files_and_torch_give_the_same(report, tmp_path):
    import torch

    np.save(tmp_path / "x.npy", POINTS)
    for given in (torch.from_numpy(POINTS), tmp_path / "x.npy"):
        found = diversity(given, CHOSEN, SIZES, labels=LABELS, random_sets=0)
        for name, values in found.chosen.items():
            np.testing.assert_allclose(values, report.chosen[name], rtol=1e-9)
        assert set(found.values()["sets"][0]["measures"]["vendi_1"]) == {"value"}


def test_k_center_covers_better_and_is_more_diverse_than_random():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(400, 8)) * np.where(rng.random(400) < 0.9, 0.2, 2.0)[:, None] + 1
    picks = diverseevol.select(points, [0], 29).rows
    found = diversity(points, np.concatenate([[0], picks]))
    _, low, high = ({name: found.band(name)[at][0] for name in found.random} for at in range(3))
    value = {name: values[0] for name, values in found.chosen.items()}
    assert value["covering_radius"] < low["covering_radius"]
    assert value["mean_nearest_within"] > high["mean_nearest_within"]
    assert value["vendi_1"] > high["vendi_1"]


@pytest.mark.parametrize(
    ("chosen", "more", "message"),
    [
        ([], {}, "diversity needs at least one chosen row"),
        ([N], {}, r"diversity: row 60 is outside 0\.\.59"),
        ([3, 3], {}, "row 3 is named 2 times"),
        ([3, 4], {"sizes": [1, 3]}, r"sizes must ascend from 1 to at most 2, the rows chosen; found \[1, 3\]"),
        ([3, 4], {"sizes": [0, 2]}, "sizes must ascend from 1"),
        ([3, 4], {"sizes": [2, 2]}, "sizes must ascend from 1"),
        ([3, 4], {"labels": LABELS[:9]}, "9 labels for 60 rows"),
        ([3, 4], {"labels": "kind"}, "labels are an array"),
    ],
)
def test_what_cannot_be_measured_is_refused(chosen, more, message):
    with pytest.raises(SelectionError, match=message):
        diversity(POINTS, np.array(chosen, dtype=np.int64), **more)


@pytest.mark.parametrize(
    ("value", "error", "message"), [(np.nan, NonFiniteError, "rows 31"), (0, EmbedError, "31 are all zeros")]
)
def test_unusable_pool_rows_are_named_by_their_numbers(value, error, message):
    points = POINTS.copy()
    points[31] = value
    with pytest.raises(error, match=message):
        diversity(points, np.array([2, 31]), labels=LABELS)


def test_sets_are_different_rows_that_grow_and_follow_the_seed():
    sets, larger = draw_random_sets(30, 12, 5, seed=1), draw_random_sets(30, 30, 2, seed=1)
    assert all(len(set(rows.tolist())) == 12 for rows in sets)
    assert len({tuple(rows) for rows in sets}) == 5
    assert list(draw_random_sets(30, 12, 5, seed=2)[0]) != list(sets[0])
    for small, large in zip(sets, larger, strict=False):
        assert list(small) == list(large[:12])
        assert sorted(large.tolist()) == list(range(30))
