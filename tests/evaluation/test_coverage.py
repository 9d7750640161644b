"""Distances against their definition in long doubles; labels, cells and what they say."""

import math

import numpy as np
import pytest

import diverseevol
from diverseevol.errors import EmbedError, NonFiniteError, SelectionError
from diverseevol.evaluation import coverage as module
from diverseevol.evaluation.coverage import (
    NO_CELL,
    cell_entropy,
    cells_of_labels,
    covering_radius,
    distances_to_prefixes,
    k_means_cells,
    mean_nearest_within,
    share_hit,
)
from diverseevol.selection.vectors import open_vectors

CHOSEN = np.array([3, 40, 11])
LABELS = np.array(["b", "a", "", "b", "c", "a"])


def distances(points, chosen):
    """Of each row to each chosen one."""
    differences = points[:, None].astype(np.longdouble) - points[None, chosen].astype(np.longdouble)
    return np.sqrt((differences**2).sum(axis=2)).astype(np.float64)


def made(seed=0, n=50):
    return np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_equals_the_definition_whatever_the_block(block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 6 * block)
    monkeypatch.setattr(module, "SIDE_ROWS", block)
    points, order, sizes = made(), np.random.default_rng(2).permutation(50)[:9], [1, 2, 7]
    largest, means = distances_to_prefixes(points, order, sizes)
    for at, size in enumerate(sizes):
        nearest_one = distances(points, order[:size]).min(axis=1)
        assert largest[at] == covering_radius(points, order[:size]) == pytest.approx(nearest_one.max(), rel=1e-14)
        assert means[at] == pytest.approx(nearest_one.mean(), rel=1e-14)
    within = distances(points, CHOSEN)[CHOSEN]
    np.fill_diagonal(within, np.inf)
    assert mean_nearest_within(points, CHOSEN) == pytest.approx(within.min(axis=1).mean(), rel=1e-14)
    assert mean_nearest_within(points, CHOSEN, CHOSEN[[2]]) == pytest.approx(within[2].min(), rel=1e-14)
    assert diverseevol.covering_radius is covering_radius


def test_what_is_chosen_or_equal_to_it_is_covered_to_the_last_bit():
    points = made() + np.float32(1e4)  # where a product leaves a radius of about one
    points[25:] = points[:25]
    assert covering_radius(points, np.arange(50)) == 0
    assert covering_radius(points, np.arange(25, 50)) == 0
    assert mean_nearest_within(points, np.arange(50)) == 0
    points[7, 0] = np.nextafter(points[7, 0], np.float32(1e9))
    assert covering_radius(points, np.arange(25, 50)) == float(points[7, 0]) - float(points[32, 0])


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_squares_that_float32_does_not_hold(scale):
    points = made().astype(np.float64)
    assert covering_radius(points * scale, CHOSEN) == pytest.approx(scale * covering_radius(points, CHOSEN))


def test_the_pool_is_read_from_a_file_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 48)
    points = made(3)
    np.save(tmp_path / "x.npy", points)
    vectors = open_vectors(tmp_path / "x.npy")
    assert covering_radius(vectors, CHOSEN) == covering_radius(points, CHOSEN)
    assert vectors.bytes_read == (50 + 38) * 6 * 4  # the pool once, and the stretch that holds the chosen rows


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([], SelectionError, "the covering radius needs at least one chosen row"),
        ([3, 50], SelectionError, r"row 50 is outside 0\.\.49"),
        ([3, 3, 5], SelectionError, "row 3 is named 2 times"),
        ([3, 5], NonFiniteError, "in the rows 17"),
    ],
)
def test_says_what_is_wrong(rows, error, message):
    points = made()
    points[17, 2] = np.inf
    with pytest.raises(error, match=message):
        covering_radius(points, np.array(rows, dtype=np.int64))
    with pytest.raises(EmbedError, match=r"found the shape \(50,\)"):
        covering_radius(points[:, 0], np.array([3, 5]))


def test_labels_become_cells_and_missing_ones_none():
    cells = cells_of_labels(LABELS)
    assert [[int(a == b) for b in cells] for a in cells] == [[int(a == b) for b in LABELS] for a in LABELS]
    assert cells[2] == NO_CELL
    numbers = cells_of_labels(np.array([2.0, np.nan, 7.0, 2.0, np.nan]))
    assert numbers[0] == numbers[3] != numbers[2]
    assert numbers[1] == numbers[4] == NO_CELL
    with pytest.raises(SelectionError, match="none of the 2 rows has a label"):
        cells_of_labels(np.array([np.nan, np.nan]))


@pytest.mark.parametrize(
    ("rows", "share", "entropy"),
    [([0, 3], 1 / 3, 0), ([0, 1], 2 / 3, 1), ([0, 1, 2], 2 / 3, 1), ([2], 0, 0), ([0, 3, 1, 4], 1, 1.5)],
)
def test_share_and_entropy_are_of_the_rows_that_have_a_cell(rows, share, entropy):
    cells = 2 * cells_of_labels(LABELS)  # numbers that nobody has are no cells
    cells[cells < 0] = NO_CELL
    assert share_hit(cells, np.array(rows)) == pytest.approx(share)
    assert cell_entropy(cells, np.array(rows)) == pytest.approx(entropy)
    assert math.copysign(1, cell_entropy(cells, np.array(rows))) == 1


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_k_means_finds_clusters_whatever_the_scale_offset_and_block(scale, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 160)
    monkeypatch.setattr(module, "FIT_NUMBERS", 4 * 60)  # a fit on some rows still places all
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 120)
    points = (10 * rng.normal(size=(4, 4))[truth] + rng.normal(size=(120, 4)) / 50 + 1e8) * scale
    cells = k_means_cells(points, 4, seed=0)
    assert len(set(zip(cells.tolist(), truth.tolist(), strict=True))) == len(set(cells.tolist())) == 4


def test_equal_rows_leave_cells_empty_without_a_warning_and_too_many_are_refused():
    assert len(set(k_means_cells(np.zeros((9, 3)), 2, seed=0).tolist())) == 1
    for n_cells in (0, 10):
        with pytest.raises(SelectionError, match=f"cannot make {n_cells} cells of 9 rows"):
            k_means_cells(np.ones((9, 3)), n_cells, seed=0)
