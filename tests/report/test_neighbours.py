import numpy as np
import pytest

from diverseevol.report import neighbours
from diverseevol.report.neighbours import nearest_unchosen
from diverseevol.report.vectors import PoolVectors


def brute_force(points, picks, barred):
    left = [row for row in range(len(points)) if row not in set(barred.tolist())]
    found = []
    for pick in picks:
        distances = sorted((float(np.linalg.norm(points[pick].astype(float) - points[row])), row) for row in left)
        found.append(distances[:3])
    return found


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_matches_brute_force(offset):
    points = (np.random.default_rng(0).normal(size=(80, 5)) + offset).astype(np.float32)
    picks = np.array([70, 3, 11])
    barred = np.array([70, 3, 11, 0, 40])
    rows, distances = nearest_unchosen(PoolVectors(points, None, "m", 80), picks, barred)
    expected = brute_force(points, picks, barred)
    assert rows.tolist() == [[row for _, row in each] for each in expected]
    assert np.allclose(distances, [[far for far, _ in each] for each in expected], rtol=1e-6)


def test_rows_of_a_part_of_the_pool_are_named_by_their_place_in_it():
    points = np.random.default_rng(3).normal(size=(20, 3)).astype(np.float32)
    known, barred = np.arange(20) * 10, np.array([50, 70])
    rows, _ = nearest_unchosen(PoolVectors(points, known, "m", 200), np.array([50]), barred)
    assert rows.tolist() == [[row * 10 for _, row in brute_force(points, [5], barred // 10)[0]]]


def test_a_copy_is_at_no_distance():
    points = np.random.default_rng(1).normal(size=(40, 64)).astype(np.float32) + 3
    points[20:30] = points[:10]
    rows, distances = nearest_unchosen(PoolVectors(points, None, "m", 40), np.arange(10), np.arange(10))
    assert rows[:, 0].tolist() == list(range(20, 30))
    assert distances[:, 0].tolist() == [0.0] * 10


def test_few_or_no_rows_left():
    points = PoolVectors(np.eye(4), None, "m", 4)
    rows, distances = nearest_unchosen(points, np.array([0]), np.array([0, 1]))
    assert (sorted(rows[0].tolist()), distances.shape) == ([2, 3], (1, 2))
    for rows, distances in (
        nearest_unchosen(points, np.array([0]), np.arange(4)),
        nearest_unchosen(points, np.arange(0), np.array([2, 3])),
    ):
        assert rows.shape == distances.shape
        assert rows.size == 0
    assert rows.shape == (0, 2)


def test_of_many_rows_a_random_part_is_looked_at(monkeypatch):
    points = PoolVectors(np.random.default_rng(2).normal(size=(50, 3)), None, "m", 50)
    asked = np.arange(20)
    whole = nearest_unchosen(points, asked, asked)[0]
    monkeypatch.setattr(neighbours, "MOST_NUMBERS", 3 * 10 + 2)
    rows, _ = nearest_unchosen(points, asked, asked)
    assert rows.shape == (20, 3)
    assert rows.min() >= 20
    assert 3 < len(np.unique(rows)) <= 10 < len(np.unique(whole))
    assert np.array_equal(rows, nearest_unchosen(points, asked, asked)[0])
    assert not np.array_equal(rows, nearest_unchosen(points, asked, asked, seed=1)[0])
