import numpy as np
import pytest

from diverseevol.selection.distances import Centres
from diverseevol.selection.lazy_distances import GONE, LazyDistances
from diverseevol.selection.reader import RowReader


def on_a_line(places, bounds, weights=None):
    """Rows at `places` on a line and one centre at 0, which is the last row."""
    points = np.append(places, 0.0)[:, None]
    centres = Centres(RowReader(points), np.array([len(places)]))
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


@pytest.mark.parametrize("n", [3, 1100])
def test_each_row_is_found_once_and_then_none(n):
    places = np.random.default_rng(0).permutation(n) + 1.0
    distances = on_a_line(places, places**2 * 1.01)
    found = []
    for _ in range(n):
        found.append(distances.farthest())
        distances.add_centre(found[-1][2])
    assert sorted(row for _, _, row, _ in found) == list(range(n))
    assert (np.diff([squared for squared, *_ in found]) <= 0).all()
    assert distances.farthest()[0] == GONE
    assert on_a_line([], []).farthest()[0] == GONE


def test_a_bound_below_the_distance_is_our_bug_and_does_not_pass_silently():
    with pytest.raises(AssertionError, match="an upper bound was below the exact distance"):
        on_a_line([1.0, 2.0], [0.5, 0.5]).farthest()


@pytest.mark.parametrize("n", [5, 3000])
def test_weights_decide_with_the_distance(n):
    rng = np.random.default_rng(1)
    places, weights = rng.permutation(n) + 1.0, rng.uniform(0, 2, n)
    weights[rng.integers(0, n)] = 0
    distances = on_a_line(places, places**2 * 1.01, weights)
    chosen = [0.0]
    for _ in range(min(n, 25)):
        squared = np.square(places[:, None] - np.array(chosen)).min(axis=1)
        score = np.where(np.isin(places, chosen), -1, squared * weights)
        row = int(score.argmax())
        found = distances.farthest()
        assert found[:3] == (pytest.approx(score[row]), squared[row], row)
        chosen.append(places[row])
        distances.add_centre(row)


def test_a_row_that_lies_on_a_centre_is_not_compared_again_until_it_wins(monkeypatch):
    n_compared = []
    compare = LazyDistances._compare
    monkeypatch.setattr(
        LazyDistances,
        "_compare",
        lambda self, positions, *which: n_compared.append(len(positions)) or compare(self, positions, *which),
    )
    distances = on_a_line(np.zeros(500), np.full(500, 1e-9))
    for row in range(500):
        assert distances.farthest() == (0.0, 0.0, row, 0 if row else 500)
        distances.add_centre(row)
    assert sum(n_compared) <= 1000
