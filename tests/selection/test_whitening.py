import numpy as np
import pytest
import torch

from diverseevol.errors import NonFiniteError, SelectionError
from diverseevol.selection import Signals, make_strategy, select
from diverseevol.selection import whitening as unit
from diverseevol.selection.whitening import whiten


def by_svd(points, n):
    """METHOD: mean-centre, covariance, SVD, U · diag(1/√s), first n columns, each row to unit length."""
    centred = points - points.mean(axis=0)
    u, s, _ = np.linalg.svd(np.cov(points.T))
    whitened = centred @ (u @ np.diag(1 / np.sqrt(s)))[:, :n]
    return whitened / np.linalg.norm(whitened, axis=1, keepdims=True)


@pytest.mark.parametrize("n", [1, 4, 9])
def test_equals_the_singular_value_decomposition(n, monkeypatch):
    monkeypatch.setattr(unit, "BLOCK_NUMBERS", 100)
    points = np.random.default_rng(0).normal(size=(70, 9)) @ np.diag(np.arange(1, 10)) + 30
    for kind in (points, torch.from_numpy(points)):
        found = whiten(kind, n)
        assert found.dtype == np.float32 and found.shape == (70, n)
        assert found @ found.T == pytest.approx(by_svd(points, n) @ by_svd(points, n).T, abs=1e-5)  # up to the columns' signs
    assert np.abs(found) == pytest.approx(np.abs(by_svd(points, n)), abs=1e-5)


def test_only_the_rows_that_count():
    points = np.random.default_rng(1).normal(size=(50, 4))
    rows = np.arange(3, 50, 2)
    expected = whiten(points[rows], 3)
    points[::2] = np.nan
    found = whiten(points, 3, rows)
    assert (found[rows] == expected).all() and not found[::2].any()
    with pytest.raises(NonFiniteError, match="values: 0, 2, 4, 6, 8, …"):
        whiten(points, 3)


def test_a_row_at_the_mean_stays_zero_and_too_many_directions_are_refused():
    points = np.array([[1.0, 0, 5], [-1, 0, 5], [0, 2, 5], [0, -2, 5], [0, 0, 5]])
    assert whiten(points, 2)[4].tolist() == [0, 0]
    with pytest.raises(SelectionError, match="whiten is 3, but the 5 rows vary in 2 directions only. Lower whiten."):
        whiten(points, 3)
    with pytest.raises(SelectionError, match="vary in 0 directions only"):
        whiten(np.full((5, 3), 0.1), 1)


def test_the_option_of_every_strategy_that_needs_embeddings():
    points, selectable = np.random.default_rng(2).normal(size=(60, 6)) * [9, 1, 1, 1, 1, 1], np.arange(60) != 7
    points[7] = np.inf  # neither chosen nor selectable
    chosen, counted = [3, 40], np.delete(np.arange(60), 7)
    expected = select(whiten(points, 4, counted), chosen, 8, selectable=selectable)
    found = select(points, chosen, 8, selectable=selectable, whiten=4)
    assert found.rows.tolist() == expected.rows.tolist() != select(points, chosen, 8, selectable=selectable).rows.tolist()
    selectable[chosen] = False  # chosen rows count all the same
    assert select(points, chosen, 8, selectable=selectable, whiten=4).rows.tolist() == expected.rows.tolist()
    assert make_strategy("k_center", whiten=4).needs == {"embedding"}


@pytest.mark.parametrize(
    ("strategy", "n", "message"),
    [
        ("k_center", 0, "whiten must be a whole number of directions of at least 1; found 0"),
        ("k_center", True, "found True"),
        ("random", 3, "whiten is for strategies that need embeddings; this one needs none. Leave whiten out."),
    ],
)
def test_says_what_is_wrong(strategy, n, message):
    with pytest.raises(SelectionError, match=message):
        make_strategy(strategy, whiten=n)
    with pytest.raises(SelectionError, match="whiten needs embeddings and got none"):
        make_strategy("k_center", whiten=3).select(Signals(4), np.array([0]), 1, np.random.default_rng(0))
