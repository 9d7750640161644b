import numpy as np
import pytest

from diverseevol.selection import isolation as unit
from diverseevol.selection.isolation import isolation_of
from diverseevol.selection.reader import RowReader


@pytest.mark.parametrize("offset", [0, 1e4])
@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_equals_its_definition_on_any_number_of_ranks(offset, n_ranks, on_ranks, monkeypatch):
    monkeypatch.setattr(unit, "N_LANDMARKS", 30)
    monkeypatch.setattr(unit, "BLOCK_NUMBERS", 300)
    points = np.random.default_rng(0).normal(size=(90, 5)) + offset
    rows, counted = np.arange(10, 90), np.arange(5, 90)
    landmarks = np.random.default_rng(0).choice(counted, 30, replace=False)
    expected = []
    for row in rows:
        distances = np.linalg.norm(points[row] - points[landmarks[landmarks != row]], axis=1)
        expected.append(np.sort(distances)[3])
    for found in on_ranks(n_ranks, lambda: isolation_of(RowReader(points), rows, counted)):
        assert found == pytest.approx(np.array(expected), rel=1e-6) and found.dtype == np.float32


def test_copies_are_equally_isolated_and_few_rows_are_enough():
    points = np.repeat(np.random.default_rng(1).normal(size=(12, 700)) + 50, 5, axis=0)
    found = isolation_of(RowReader(points), np.arange(60), np.arange(60))
    assert (found.reshape(12, 5) == found[::5, None]).all()
    assert isolation_of(RowReader(np.array([[1.0], [4]])), np.arange(2), np.arange(2)).tolist() == [3, 3]
    assert isolation_of(RowReader(np.ones((1, 2))), np.arange(1), np.arange(1)).tolist() == [np.inf]
