"""Distances against the definition in more digits, on inputs that a product alone gets wrong."""

import numpy as np
import pytest

from diverseevol.errors import EmbedError, NonFiniteError, SelectionError
from diverseevol.evaluation import nearest
from diverseevol.evaluation.nearest import Centres


def exact(points, centres):
    differences = points[:, None].astype(np.longdouble) - centres[None].astype(np.longdouble)
    return np.sqrt((differences**2).sum(axis=2)).astype(np.float64)


def hard_input(seed):
    rng = np.random.default_rng(seed)
    n, width = int(rng.integers(2, 30)), int(rng.integers(1, 9))
    points = rng.normal(size=(n, width))
    if seed % 3 == 0:  # near duplicates
        points = points[rng.integers(0, max(1, n // 3), n)] + rng.normal(size=(n, width)) * 10.0 ** rng.choice([-15, -9, -6])
    if seed % 4 == 0:  # far from the origin
        points += 10.0 ** rng.choice([1, 4, 6])
    if seed % 5 == 0:  # lengths of all kinds, some beyond float32
        points *= 10.0 ** rng.uniform(-25, 25, size=(n, 1))
    return points * 10.0 ** rng.choice([-30, 0, 0, 5, 100]), rng


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_definition(seed, monkeypatch):
    points, rng = hard_input(seed)
    monkeypatch.setattr(nearest, "BLOCK_NUMBERS", int(rng.choice([9, 40, 1 << 22])))
    centres = points[rng.permutation(len(points))[: int(rng.integers(1, len(points) + 1))]]
    made, expected = Centres(centres), exact(points, centres)
    rows = made.screened(points)
    half = len(centres) // 2
    best = made.nearer(rows, 0, half, np.full(len(points), np.inf))
    if half:
        np.testing.assert_allclose(best, expected[:, :half].min(axis=1), rtol=1e-13)
    before = best.copy()
    whole = made.nearer(rows, half, len(centres), best)
    np.testing.assert_allclose(whole, expected.min(axis=1), rtol=1e-13)
    np.testing.assert_array_equal(best, before)  # arguments stay as they are


@pytest.mark.parametrize("seed", range(30))
def test_a_row_is_not_its_own_neighbour(seed, monkeypatch):
    points, rng = hard_input(seed)
    monkeypatch.setattr(nearest, "BLOCK_NUMBERS", int(rng.choice([9, 40, 1 << 22])))
    made, expected = Centres(points), exact(points, points)
    np.fill_diagonal(expected, np.inf)
    best = made.nearer(made.screened(points), 0, len(points), np.full(len(points), np.inf), np.arange(len(points)))
    np.testing.assert_allclose(best, expected.min(axis=1), rtol=1e-13)


def test_a_row_beyond_float32_for_these_centres_knows_a_distance_from_others():
    row, far, near = np.array([[1e30, 0.0]]), np.array([[-1e30, 0.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    others, these = Centres(far), Centres(near)
    best = others.nearer(others.screened(row), 0, 1, np.full(1, np.inf))
    assert these.nearer(these.screened(row), 0, 2, best) == pytest.approx(1e30, rel=1e-13)


def test_few_pairs_are_computed(monkeypatch):
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(500, 64)) + 100, rng.normal(size=(200, 64)) + 100
    made, pairs = Centres(centres), []
    distances = Centres._distances
    monkeypatch.setattr(
        Centres, "_distances", lambda self, rows, numbers: pairs.append(len(rows)) or distances(self, rows, numbers)
    )
    made.nearer(made.screened(points), 0, 200, np.full(500, np.inf))
    assert 500 <= sum(pairs) < 520


def test_reads_any_kind_of_rows():
    import torch

    points = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    for source in (points, torch.from_numpy(points).requires_grad_(), torch.from_numpy(points)):
        read = nearest.read(source, np.array([4, 1]))
        assert read.dtype == np.float64
        np.testing.assert_array_equal(read, points[[4, 1]])
    assert nearest.read(torch.from_numpy(points).bfloat16(), slice(1, 3)).shape == (2, 3)


def test_unusable_rows_are_named():
    points = np.ones((9, 2))
    points[[3, 5], 1] = np.nan, np.inf
    with pytest.raises(NonFiniteError, match="NaN or infinite values in the rows 3, 5. Leave them out"):
        nearest.read(points, slice(2, 9))
    with pytest.raises(NonFiniteError, match=r"in the rows 5, 3\."):
        nearest.read(points, np.array([5, 0, 3]))
    points[:] = np.nan
    with pytest.raises(NonFiniteError, match=r"in the rows 0, 1, 2, 3, 4, …\."):
        nearest.read(points, slice(0, 9))


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([], SelectionError, "it needs at least one chosen row, found none"),
        ([0, 4], SelectionError, r"it: row 4 is outside 0\.\.3"),
        ([0, -1], SelectionError, r"it: row -1 is outside 0\.\.3"),
        ([2, 1, 2], SelectionError, "it: row 2 is named 2 times. Name each row once"),
    ],
)
def test_unusable_row_numbers(rows, error, message):
    with pytest.raises(error, match=message):
        nearest.check_rows(np.array(rows, dtype=np.int64), np.ones((4, 2)), "it")
    nearest.check_rows(np.array([0, 3]), np.ones((4, 2)), "it")


@pytest.mark.parametrize("shape", [(4,), (0, 2), (4, 0), (2, 2, 2)])
def test_embeddings_of_another_shape(shape):
    with pytest.raises(EmbedError, match=r"a 2-D array of at least one row; found the shape"):
        nearest.check_rows(np.array([0]), np.ones(shape), "it")
