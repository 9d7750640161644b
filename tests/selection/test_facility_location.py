import numpy as np
import pytest
import torch

from diverseevol.errors import NonFiniteError, SelectionError
from diverseevol.selection import Signals, select
from diverseevol.selection import facility_location as unit
from diverseevol.selection.facility_location import FacilityLocation


def rounded(points):
    """The directions as whole numbers, by the definition in the module's docstring."""
    length = int(4096 - np.sqrt(points.shape[1]) / 2) - 1
    units = points.astype(np.float64) / np.abs(points).max(axis=1, keepdims=True)
    return np.rint(units / np.sqrt(np.square(units).sum(axis=1, keepdims=True)) * length).astype(np.int64), length


def exact_greedy(vectors, chosen, n_new, represented=None):
    """The definition, word for word, in whole numbers or float64: the largest growth of f, then the lowest row."""
    similar = np.maximum(vectors @ vectors.T, 0)
    picks, chosen = [], list(chosen)
    candidates = np.setdiff1d(np.arange(len(vectors)), chosen)
    represented = candidates if represented is None else represented
    for _ in range(n_new):
        best = similar[np.ix_(represented, chosen)].max(axis=1) if chosen else np.zeros(len(represented), similar.dtype)
        gains = np.maximum(similar[represented], best[:, None]).sum(axis=0) - best.sum()
        gains[chosen] = -1
        row = int(gains.argmax())
        others = np.sort(chosen).astype(int)
        nearest = int(others[(vectors[row] @ vectors[others].T).argmax()]) if chosen else -1
        picks.append((row, gains[row], nearest))
        chosen.append(row)
    return picks


@pytest.mark.parametrize("kind", ["plain", "duplicates", "near_duplicates", "huge_offset", "huge_scale", "lattice"])
@pytest.mark.parametrize("n_chosen", [0, 1, 9])
def test_equals_the_exact_greedy_pick_for_pick(kind, n_chosen, make_points, monkeypatch):
    monkeypatch.setattr(unit, "BLOCK_NUMBERS", 500)
    rng = np.random.default_rng([n_chosen, len(kind)])
    points = make_points(kind, 70, 12, rng)
    points[~points.any(axis=1)] = 1
    chosen = rng.permutation(70)[:n_chosen]
    picks = select(points, chosen, 25, strategy="facility_location")
    vectors, length = rounded(points)
    rows, gains, nearest = zip(*exact_greedy(vectors, chosen.tolist(), 25), strict=True)
    assert picks.rows.tolist() == list(rows)
    assert picks.columns["gain"] == pytest.approx(np.array(gains) / length**2, abs=1e-12)
    assert picks.columns["nearest_row"].tolist() == list(nearest)


@pytest.mark.parametrize("scale", [0.0, 20.0])
def test_reaches_the_objective_of_the_exact_greedy_on_cosines(scale):
    rng = np.random.default_rng(3)
    points = rng.normal(size=(1500, 40)) + scale * rng.normal(size=(30, 40))[rng.integers(0, 30, 1500)]
    units = points / np.linalg.norm(points, axis=1, keepdims=True)

    def reached(rows):
        return np.maximum(units @ units[rows].T, 0).max(axis=1).sum()

    ours = reached(select(points, [], 20, strategy="facility_location").rows)
    assert ours >= 0.999 * reached([row for row, *_ in exact_greedy(units, [], 20)])


def test_of_many_rows_a_sample_is_represented():
    points = np.random.default_rng(1).normal(size=(90, 8))
    picks = FacilityLocation(represented=30).select(Signals(90, points), np.array([4, 70]), 12, np.random.default_rng(5))
    candidates = np.setdiff1d(np.arange(90), [4, 70])
    represented = np.sort(np.random.default_rng(5).choice(candidates, 30, replace=False))
    vectors, length = rounded(points)
    expected = exact_greedy(vectors, [4, 70], 12, represented)
    assert picks.rows.tolist() == [row for row, *_ in expected]
    assert picks.columns["gain"] == pytest.approx([gain / length**2 * 88 / 30 for _, gain, _ in expected])


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
    expected = [row for row, *_ in exact_greedy(rounded(points)[0], [1], 9)]
    assert unit.Directions.of(unit.RowReader(points, True)).dtype is torch.float64
    assert select(points, [1], 9, strategy="facility_location").rows.tolist() == expected


@pytest.mark.parametrize("width", [1, 7, 512, 4096])
def test_products_stay_below_what_float32_holds_exactly(width):
    points = np.random.default_rng(0).normal(size=(3, width)) ** 3
    points[2] = 1  # rounds up everywhere or nowhere
    directions = unit.Directions.of(unit.RowReader(points, True))
    units = directions.at(np.arange(3)).numpy().astype(np.int64)
    assert (units.astype(object) ** 2).sum(axis=1).max() <= 2**24
    assert (directions.products(torch.from_numpy(units), torch.from_numpy(units)).numpy() == units @ units.T).all()


def test_says_what_is_wrong():
    with pytest.raises(SelectionError, match="represented must be a whole number of at least 1; found 0"):
        FacilityLocation(represented=0)
    with pytest.raises(SelectionError, match=r"facility_location needs embeddings and got none"):
        FacilityLocation().select(Signals(3), np.array([], int), 1, np.random.default_rng(0))
    with pytest.raises(SelectionError, match="1 rows are all zeros and have no direction: 1"):
        select(np.array([[1.0, 2], [0, 0], [2, 1]]), [], 1, strategy="facility_location")
    with pytest.raises(NonFiniteError, match="hold NaN or infinite values: 1"):
        select(np.array([[1.0, 2], [np.nan, 0], [2, 1]]), [1], 1, strategy="facility_location")
