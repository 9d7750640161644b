"""The engine below K-Center: exact nearest centres, bounds that hold, the lazy search and the traversal, each against its definition."""

from contextlib import contextmanager

import numpy as np
import pytest

from diverseevol.errors import SelectionError
from diverseevol.selection import distances as unit
from diverseevol.selection.distances import GONE, NO_ROW, Centres, LazyDistances, farthest_first, first_bounds, squared_of_pairs
from diverseevol.selection.rows import RowReader, blocks


def exact_squared(x, c):
    x, c = np.asarray(x, dtype=np.float64), np.asarray(c, dtype=np.float64)
    return np.stack([np.square(x - centre).sum(axis=1) for centre in c], axis=1)


def nearest_centres(x, c, centre_rows, limits):
    points = np.zeros((int(centre_rows.max()) + 1, c.shape[1]))
    points[centre_rows] = c
    return Centres(RowReader(points), centre_rows).lower(x, 0, len(c), limits, np.full(len(x), NO_ROW))


def test_nearest_centres_are_exact_and_respect_limits():
    rng = np.random.default_rng(1)
    x, c = rng.integers(0, 3, (50, 3)).astype(float), rng.integers(0, 3, (20, 3)).astype(float)
    centre_rows = rng.permutation(100)[:20]  # in no order: ties go to the lowest row, not to the first centre
    table = exact_squared(x, c)
    squared, nearest = nearest_centres(x, c, centre_rows, np.full(50, np.inf))
    assert squared.tolist() == table.min(axis=1).tolist()
    assert nearest.tolist() == [int(centre_rows[row == row.min()].min()) for row in table]
    known, unmoved = nearest_centres(x, c, centre_rows, np.full(50, 1.0))
    assert known.tolist() == np.minimum(table.min(axis=1), 1).tolist()
    assert (unmoved == NO_ROW).tolist() == (table.min(axis=1) > 1).tolist()


@pytest.mark.parametrize("scale", [1.0, 1e8, 1e150])
def test_nearest_centres_where_a_product_is_too_coarse(scale):
    rng = np.random.default_rng(2)
    c = rng.normal(size=(30, 8)) + scale * rng.choice([-1, 1], size=(30, 1))  # two far groups: |x|² rounds at about 1
    x = c[rng.integers(0, 30, 60)] + 0.01 * rng.normal(size=(60, 8))
    table = exact_squared(x, c)
    squared, nearest = nearest_centres(x, c, np.arange(30), np.full(60, np.inf))
    assert squared.tolist() == table.min(axis=1).tolist()
    assert nearest.tolist() == table.argmin(axis=1).tolist()


@pytest.mark.parametrize("kept", [0, 60, 2**24])
def test_centres_whether_they_are_kept_or_read_again(kept, monkeypatch):
    monkeypatch.setattr(unit, "KEPT_NUMBERS", kept)
    monkeypatch.setattr(unit, "BLOCK_NUMBERS", 200)
    points = np.random.default_rng(4).normal(size=(40, 5))
    centres = Centres(RowReader(points), np.arange(0, 30, 2), n_more=2)  # a third more than it was made for
    for row in (3, 39, 1):
        centres.add(np.array([row]))
    rows = np.array([*range(0, 30, 2), 3, 39, 1])
    assert centres.rows == rows.tolist()
    for start, stop in ((0, 18), (4, 5), (11, 18), (15, 17)):
        known, nearest = centres.lower(points, start, stop, np.full(40, np.inf), np.full(40, NO_ROW))
        table = exact_squared(points, points[rows[start:stop]])
        assert known.tolist() == table.min(axis=1).tolist()
        assert nearest.tolist() == rows[start:stop][table.argmin(axis=1)].tolist()


def test_a_pair_has_the_same_bits_in_any_company():
    rng = np.random.default_rng(3)
    x, c = rng.normal(size=(9, 1000)), rng.normal(size=(700, 1000))
    i, j = np.repeat(np.arange(9), 300), rng.integers(0, 700, 2700)
    alone = [
        squared_of_pairs(x[a : a + 1], c[b : b + 1], np.zeros(1, int), np.zeros(1, int))[0] for a, b in zip(i, j, strict=True)
    ]
    assert squared_of_pairs(x, c, i, j).tolist() == alone


def test_blocks_cover_everything_once():
    assert [list(range(10))[block] for block in blocks(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(blocks(3, 0)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert list(blocks(0, 5)) == []


@pytest.mark.parametrize("kind", ["plain", "duplicates", "near_duplicates", "huge_offset", "huge_scale", "lattice"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("width", "n_centres", "gap"), [(1, 40, 1), (30, 40, 2), (30, 1, 3), (3000, 40, 1)])
def test_first_bounds_hold(kind, dtype, width, n_centres, gap, make_points):
    with np.errstate(over="ignore"):
        points = np.nan_to_num(make_points(kind, 120, width, np.random.default_rng(0)).astype(dtype), posinf=6e4, neginf=-6e4)
    rows, centre_rows = np.arange(n_centres, 120, gap), np.arange(n_centres)
    exact = exact_squared(points[rows], points[centre_rows]).min(axis=1)
    for block_rows in (None, 7):
        assert (first_bounds(RowReader(points), rows, centre_rows, block_rows=block_rows) >= exact).all()


def test_first_bounds_are_those_of_unit_rows(make_points):
    points = make_points("plain", 200, 12, np.random.default_rng(1)).astype(np.float64) * 1e100
    units = points / np.abs(points).max(axis=1, keepdims=True)
    exact = exact_squared(
        units / np.linalg.norm(units, axis=1, keepdims=True), (units / np.linalg.norm(units, axis=1, keepdims=True))[:50]
    )
    bounds = first_bounds(RowReader(points, is_unit=True), np.arange(50, 200), np.arange(50))
    assert (bounds >= exact[50:].min(axis=1)).all()
    assert (bounds <= exact[50:].max(axis=1) * 1.001).all()


def test_a_row_that_is_not_finite_or_too_large_has_no_bound(make_points):
    points = make_points("plain", 30, 4, np.random.default_rng(4)).astype(np.float64)
    points[[10, 11, 12], 0] = [np.nan, np.inf, 1e200]
    bounds = first_bounds(RowReader(points), np.arange(5, 30), np.arange(5))
    assert np.flatnonzero(np.isinf(bounds)).tolist() == [5, 6, 7]


@pytest.mark.parametrize(("kind", "is_quick"), [("clustered", True), ("falling", True), ("plain", False)])
@pytest.mark.parametrize("few", [40, 90])
def test_the_quick_guess_is_taken_where_it_is_good_and_the_bounds_are_tight(kind, is_quick, few, monkeypatch):
    for name, value in {"N_ANCHORS": 200, "N_DIRECTIONS": 8, "N_PROBED": 100, "GUESSED_NUMBERS": few * 60}.items():
        monkeypatch.setattr(unit, name, value)
    rng = np.random.default_rng(5)
    points = rng.normal(size=(3000, 60)).astype(np.float32)
    if kind == "clustered":
        points = rng.normal(size=(100, 60)).astype(np.float32)[rng.integers(0, 100, 3000)] + points / 50
    elif kind == "falling":
        points /= np.arange(1, 61, dtype=np.float32) ** 2
    reader, rows, centre_rows = RowReader(points), np.arange(90, 3000), np.arange(90)
    guess = unit._guess(reader, rows, reader.float32(centre_rows[:few]), unit.CPU)
    assert (guess.__name__ == "quick") is is_quick
    exact = exact_squared(points[rows], points[centre_rows]).min(axis=1)
    bounds = first_bounds(reader, rows, centre_rows)
    assert (bounds >= exact).all()
    if few == 90:
        assert (bounds <= exact * 1.01).mean() > 0.9


def on_a_line(places, bounds, weights=None):
    """Rows at `places` on a line and one centre at 0, which is the last row."""
    points = np.append(places, 0.0)[:, None]
    centres = Centres(RowReader(points), np.array([len(places)]))
    weights = np.ones(len(places)) if weights is None else weights
    return LazyDistances(np.arange(len(places)), centres, np.array(bounds, dtype=np.float64), weights)


def test_a_tie_outside_the_front_is_not_overlooked():
    places = np.ones(1100)
    bounds = np.full(1100, 10.0)  # loose: the front is made of these
    bounds[:5] = 1.0  # exact: these stay outside, and the lowest of them must win
    assert on_a_line(places, bounds).farthest() == (1.0, 1.0, 0, 1100)


def test_a_row_outside_the_front_wins_when_the_front_falls_below_it():
    places, bounds = np.full(3000, 0.5), np.full(3000, 10.0)
    places[7], bounds[7] = 3.0, 9.5
    assert on_a_line(places, bounds).farthest() == (9.0, 9.0, 7, 3000)


@pytest.mark.parametrize("n", [0, 3, 1100])
def test_each_row_is_found_once_and_then_none(n):
    places = np.random.default_rng(0).permutation(n) + 1.0
    distances = on_a_line(places, places**2 * 1.01)
    found = []
    for _ in range(n):
        found.append(distances.farthest())
        distances.take(found[-1][2])
    assert sorted(row for _, _, row, _ in found) == list(range(n))
    assert (np.diff([squared for squared, *_ in found]) <= 0).all()
    assert distances.farthest()[0] == GONE


def test_a_bound_below_the_distance_is_our_bug_and_does_not_pass_silently():
    with pytest.raises(AssertionError, match="an upper bound was below the exact distance"):
        on_a_line([1.0, 2.0], [0.5, 0.5]).farthest()


def picks_of(points, centres, candidates, n_new, weights=None, **options):
    rows = np.array(centres, dtype=np.int64)
    return list(farthest_first(RowReader(points), rows, np.asarray(candidates), n_new, weights=weights, **options))


def by_definition(points, centres, candidates, n_new, weights):
    points, centres, picks = points.astype(np.float64), sorted(centres), []
    left = dict(zip(candidates, weights, strict=True))
    for _ in range(n_new):
        squared = {row: [np.square(points[row] - points[centre]).sum() for centre in sorted(centres)] for row in left}
        row = min(left, key=lambda row: (-left[row] * min(squared[row]), row))
        picks.append((min(squared[row]), row, sorted(centres)[int(np.argmin(squared[row]))]))
        centres.append(row)
        del left[row]
    return picks


@pytest.mark.parametrize("kind", ["plain", "duplicates", "near_duplicates", "huge_scale", "lattice"])
@pytest.mark.parametrize("seed", range(3))
def test_weights_multiply_the_squared_distances(kind, seed, make_points):
    rng = np.random.default_rng(seed)
    points, weights = make_points(kind, 50, 6, rng), rng.choice([0.0, 0.5, 1.0, 3.0], 45)
    found = picks_of(points, [0, 1, 2, 3, 4], np.arange(5, 50), 45, weights)
    assert found == by_definition(points, [0, 1, 2, 3, 4], list(range(5, 50)), 45, weights.tolist())


@pytest.mark.parametrize("kind", ["plain", "duplicates", "lattice"])
def test_what_was_picked_before_a_stop_is_a_start_to_go_on_from(kind, make_points):
    points = make_points(kind, 120, 5, np.random.default_rng(1))
    whole = picks_of(points, [3, 9], np.setdiff1d(np.arange(120), [3, 9]), 60)
    for n_before in (1, 17, 59):
        rows = [row for _, row, _ in whole[:n_before]]
        rest = np.setdiff1d(np.arange(120), [3, 9, *rows])
        assert whole[:n_before] + picks_of(points, [3, 9, *rows], rest, 60 - n_before) == whole


@pytest.mark.parametrize("n_ranks", [2, 4])
@pytest.mark.parametrize("centres", [[3, 9], []])
def test_weights_on_any_number_of_ranks(n_ranks, centres, make_points, on_ranks):
    points = make_points("lattice", 100, 4, np.random.default_rng(2))
    candidates = np.setdiff1d(np.arange(100), centres)
    weights = np.random.default_rng(3).choice([1.0, 2.0], len(candidates))
    alone = picks_of(points, centres, candidates, 60, weights)
    assert on_ranks(n_ranks, lambda: picks_of(points, centres, candidates, 60, weights)) == [alone] * n_ranks
    if not centres:
        squared = weights * np.square(points - points.mean(axis=0, dtype=np.float64)).sum(axis=1)
        assert alone[0][1:] == (squared.argmax(), -1)


def test_a_distance_beyond_float64_names_its_row():
    points = np.array([[0.0], [1.0], [1e200]])
    with pytest.raises(SelectionError, match=r"the distance of row 2 is too large for float64. Scale the embeddings down"):
        picks_of(points, [0], [1, 2], 1)


def test_progress_is_shown(make_points):
    class Watch:
        def __init__(self):
            self.said = []

        @contextmanager
        def task(self, name, total, unit):
            self.said.append((name, total, unit))
            yield self

        def advance(self, n=1):
            self.said.append(n)

    watch, points = Watch(), make_points("plain", 30, 3, np.random.default_rng(4))
    assert len(picks_of(points, [0], np.arange(1, 30), 3, watch=watch)) == 3
    assert watch.said == [("distances to the chosen", 29, "rows"), 29, ("select", 3, "picks"), 1, 1, 1]
