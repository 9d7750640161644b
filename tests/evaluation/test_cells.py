import math

import numpy as np
import pytest

from diverseevol.errors import NonFiniteError, SelectionError
from diverseevol.evaluation import cells as module
from diverseevol.evaluation.cells import NO_CELL, cell_entropy, cells_of_labels, k_means_cells, share_hit

LABELS = np.array(["b", "a", "", "b", "c", "a"])


def test_labels_become_cells_and_missing_ones_none():
    cells = cells_of_labels(LABELS)
    assert [[int(a == b) for b in cells] for a in cells] == [[int(a == b) for b in LABELS] for a in LABELS]
    assert cells[2] == NO_CELL
    assert (cells[[0, 1, 3, 4, 5]] >= 0).all()
    numbers = cells_of_labels(np.array([2.0, np.nan, 7.0, 2.0, np.nan]))
    assert numbers[0] == numbers[3] != numbers[2]
    assert numbers[1] == numbers[4] == NO_CELL


@pytest.mark.parametrize("labels", [["", ""], [np.nan, np.nan]])
def test_no_label_at_all_is_an_error(labels):
    with pytest.raises(SelectionError, match="none of the 2 rows has a label"):
        cells_of_labels(np.array(labels))


def test_share_hit_is_of_the_pools_cells():
    cells = cells_of_labels(LABELS)
    assert share_hit(cells, np.array([0, 3])) == pytest.approx(1 / 3)
    assert share_hit(cells, np.array([0, 2, 1])) == pytest.approx(2 / 3)
    assert share_hit(cells, np.array([2])) == 0
    assert share_hit(cells, np.arange(6)) == 1
    assert share_hit(np.array([5, 5, 9]), np.array([2])) == 0.5  # numbers that nobody has are no cells


def test_entropy_is_of_the_rows_that_have_a_cell():
    cells = cells_of_labels(LABELS)
    assert cell_entropy(cells, np.array([0, 1])) == pytest.approx(1)
    assert cell_entropy(cells, np.array([0, 1, 2])) == pytest.approx(1)
    assert cell_entropy(cells, np.array([0, 3, 1, 4])) == pytest.approx(1.5)
    assert cell_entropy(cells, np.array([2])) == 0
    assert math.copysign(1, cell_entropy(cells, np.array([0]))) == 1


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_k_means_finds_clusters_whatever_the_scale_offset_and_block(scale, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 28)
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 120)
    points = (10 * rng.normal(size=(4, 4))[truth] + rng.normal(size=(120, 4)) / 50 + 1e8) * scale
    cells = k_means_cells(points, 4, seed=0)
    assert len(set(zip(cells.tolist(), truth.tolist(), strict=True))) == 4
    assert len(set(cells.tolist())) == 4
    np.testing.assert_array_equal(cells, k_means_cells(points, 4, seed=0))


def test_a_fit_on_some_rows_still_places_all(monkeypatch):
    monkeypatch.setattr(module, "FIT_NUMBERS", 4 * 40)
    points = np.repeat([[0.0, 0, 0, 0], [1, 1, 1, 1]], 100, axis=0) + np.random.default_rng(0).normal(size=(200, 4)) / 100
    cells = k_means_cells(points, 2, seed=3)
    assert len(set(cells[:100].tolist())) == len(set(cells[100:].tolist())) == 1
    assert cells[0] != cells[-1]


def test_equal_rows_leave_cells_empty_without_a_warning():
    cells = k_means_cells(np.ones((9, 3)), 4, seed=0)
    assert len(set(cells.tolist())) == 1
    assert len(set(k_means_cells(np.zeros((9, 3)), 2, seed=0).tolist())) == 1


def test_says_what_is_wrong():
    for n_cells in (0, 10):
        with pytest.raises(SelectionError, match=f"cannot make {n_cells} cells of 9 rows"):
            k_means_cells(np.ones((9, 3)), n_cells, seed=0)
    with pytest.raises(NonFiniteError, match="in the rows 0, 1"):
        k_means_cells(np.full((2, 3), np.nan), 1, seed=0)
