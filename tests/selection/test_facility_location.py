import numpy as np
import pytest
import torch

from diverseevol.errors import NonFiniteError, SelectionError
from diverseevol.selection import Signals, make_strategy, select
from diverseevol.selection import facility_location as unit
from diverseevol.selection.facility_location import FacilityLocation


def units(points):
    return points / np.linalg.norm(points.astype(np.float64), axis=1, keepdims=True)


def exact_greedy(vectors, chosen, n_new, represented=None):
    """The definition, word for word, in float64: the largest growth of f; what rounding tells apart goes to the lowest row."""
    similar = np.maximum(vectors @ vectors.T, 0)
    picks, chosen = [], list(chosen)
    candidates = np.setdiff1d(np.arange(len(vectors)), chosen)
    represented = candidates if represented is None else represented
    for _ in range(n_new):
        best = similar[np.ix_(represented, chosen)].max(axis=1) if chosen else np.zeros(len(represented))
        gains = np.maximum(similar[represented] - best[:, None], 0).sum(axis=0)
        gains[chosen] = -1
        row = int(np.flatnonzero(gains >= gains.max() - len(represented) * vectors.shape[1] ** 0.5 * 2.0**-50)[0])
        others = np.sort(chosen).astype(int)
        to_others = vectors[row] @ vectors[others].T
        picks.append(
            (row, gains[row], int(others[to_others >= to_others.max() - vectors.shape[1] ** 0.5 * 2.0**-50][0]) if chosen else -1)
        )
        chosen.append(row)
    return picks


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("kind", ["plain", "duplicates", "near_duplicates", "huge_offset", "huge_scale", "lattice"])
@pytest.mark.parametrize("n_chosen", [0, 1, 9])
def test_equals_the_exact_greedy_pick_for_pick(kind, n_chosen, dtype, make_points, monkeypatch):
    monkeypatch.setattr(unit, "BLOCK_NUMBERS", 500)
    monkeypatch.setattr(unit, "BLOCK_ROWS", 17)
    rng = np.random.default_rng([n_chosen, len(kind)])
    points = make_points(kind, 70, 12, rng)
    points[~points.any(axis=1)] = 1
    points = (points / np.abs(points).max(axis=1, keepdims=True)).astype(dtype)
    chosen = rng.permutation(70)[:n_chosen]
    picks = select(points, chosen, 61, strategy="facility_location")
    rows, gains, nearest = zip(*exact_greedy(units(points), chosen.tolist(), 61), strict=True)
    assert picks.rows.tolist() == list(rows)
    assert picks.columns["gain"] == pytest.approx(gains, abs=1e-11)
    assert picks.columns["nearest_row"].tolist() == list(nearest)


def test_gains_that_float32_cannot_tell_apart_are_told_apart_in_float64():
    rng = np.random.default_rng(8)
    points = np.repeat(rng.normal(size=(40, 300)), 10, axis=0)
    points += 1e-8 * rng.normal(size=points.shape)
    expected = exact_greedy(units(points), [], 60)
    assert select(points, [], 60, strategy="facility_location").rows.tolist() == [row for row, *_ in expected]


def test_of_many_rows_a_sample_is_represented():
    points = np.random.default_rng(1).normal(size=(90, 8))
    picks = FacilityLocation(represented=30).select(Signals(90, points), np.array([4, 70]), 12, np.random.default_rng(5))
    candidates = np.setdiff1d(np.arange(90), [4, 70])
    represented = np.sort(np.random.default_rng(5).choice(candidates, 30, replace=False))
    expected = exact_greedy(units(points), [4, 70], 12, represented)
    assert picks.rows.tolist() == [row for row, *_ in expected]
    assert picks.columns["gain"] == pytest.approx([gain * 88 / 30 for _, gain, _ in expected])


def test_copies_of_chosen_rows_come_last():
    rng = np.random.default_rng(2)
    distinct = rng.normal(size=(50, 16))
    copies = distinct[:1] + 1e-5 * rng.normal(size=(1000, 16))
    picks = select(np.concatenate([distinct, copies]), [0], 49, strategy="facility_location")
    assert sorted(picks.rows) == list(range(1, 50))


@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_equal_gains_go_to_the_lowest_row_of_all_ranks(n_ranks, on_ranks):
    points = np.repeat(np.eye(3), 10, axis=0)
    rows = on_ranks(n_ranks, lambda: select(points, [20], 6, strategy="facility_location").rows.tolist())
    assert rows == [[0, 10, 1, 2, 3, 4]] * n_ranks


@pytest.fixture
def coarse_products():
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    yield
    torch.backends.mkldnn.matmul.fp32_precision = before


def test_products_in_float64_where_coarse_ones_are_allowed(coarse_products):
    points = np.random.default_rng(4).normal(size=(40, 6))
    expected = [row for row, *_ in exact_greedy(units(points), [1], 9)]
    assert unit.fast_type(torch.device("cpu")) is torch.float64
    assert select(points, [1], 9, strategy="facility_location").rows.tolist() == expected


def test_says_what_is_wrong():
    with pytest.raises(SelectionError, match="represented: Input should be greater than 0; found 0"):
        make_strategy("facility_location", represented=0)
    with pytest.raises(SelectionError, match=r"facility_location needs embeddings and got none"):
        FacilityLocation().select(Signals(3), np.array([], int), 1, np.random.default_rng(0))
    with pytest.raises(SelectionError, match="1 rows are all zeros and have no direction: 1"):
        select(np.array([[1.0, 2], [0, 0], [2, 1]]), [], 1, strategy="facility_location")
    with pytest.raises(NonFiniteError, match="hold NaN or infinite values: 1"):
        select(np.array([[1.0, 2], [np.nan, 0], [2, 1]]), [1], 1, strategy="facility_location")
