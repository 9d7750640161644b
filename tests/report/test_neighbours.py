import numpy as np
import pytest

from diverseevol.report import neighbours
from diverseevol.report.neighbours import nearest_unchosen
from diverseevol.report.vectors import PoolVectors


def brute_force(points, picks, barred):
    left = [row for row in range(len(points)) if row not in set(barred.tolist()) and np.isfinite(points[row]).all()]
    found = []
    for pick in picks:
        distances = sorted((float(np.linalg.norm(points[pick] - points[row])), row) for row in left)
        found.append(distances[:3])
    return found


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("block", [1 << 22, 60])
def test_matches_brute_force(monkeypatch, offset, block):
    monkeypatch.setattr(neighbours, "BLOCK_NUMBERS", block)
    points = np.random.default_rng(0).normal(size=(80, 5)) + offset
    picks = np.array([70, 3, 11])
    barred = np.array([70, 3, 11, 0, 40])
    rows, distances, n = nearest_unchosen(PoolVectors(points, None, "m", 80), picks, barred)
    assert n == 75
    expected = brute_force(points, picks, barred)
    assert rows.tolist() == [[row for _, row in each] for each in expected]
    assert np.allclose(distances, [[far for far, _ in each] for each in expected], rtol=1e-9)


def test_rows_without_finite_vectors_are_never_found():
    points = np.random.default_rng(1).normal(size=(20, 3))
    points[5] = np.nan
    rows, distances, _ = nearest_unchosen(PoolVectors(points, None, "m", 20), np.arange(5), np.arange(5))
    assert 5 not in rows and np.isfinite(distances).all()


def test_few_or_no_rows_left():
    points = PoolVectors(np.eye(4), None, "m", 4)
    rows, distances, n = nearest_unchosen(points, np.array([0]), np.array([0, 1]))
    assert (sorted(rows[0].tolist()), distances.shape, n) == ([2, 3], (1, 2), 2)
    assert nearest_unchosen(points, np.array([0]), np.arange(4))[0].shape == (1, 0)
    assert nearest_unchosen(points, np.array([], dtype=np.int64), np.array([0]))[0].shape == (0, 3)


def test_much_work_is_done_on_a_part(monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_WORK", 2 * 3 * 10)
    points = PoolVectors(np.random.default_rng(2).normal(size=(50, 3)), None, "m", 50)
    rows, _, n = nearest_unchosen(points, np.array([0, 1]), np.array([0, 1]))
    assert n == 10 and rows.shape == (2, 3)
    again = nearest_unchosen(points, np.array([0, 1]), np.array([0, 1]))[0]
    assert np.array_equal(rows, again)
