import numpy as np
import pytest
import torch

from diverseevol.selection import distances
from diverseevol.selection.distances import blocks, nearest_centres, product_error, squared_of_pairs, upper_bounds
from diverseevol.selection.reader import RowReader

CPU = torch.device("cpu")
KINDS = ["plain", "duplicates", "near_duplicates", "huge_offset", "huge_scale", "lattice"]


def exact_squared(x, c):
    return np.stack([np.square(x - centre).sum(axis=1) for centre in c], axis=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("width", "centre_numbers"), [(1, 2**27), (30, 300), (3000, 2**27)])
def test_upper_bounds_hold_and_are_tight(kind, width, centre_numbers, make_points, monkeypatch):
    monkeypatch.setattr(distances, "CENTRE_NUMBERS", centre_numbers)
    points = make_points(kind, 120, width, np.random.default_rng(0))
    rows, centre_rows = np.arange(40, 120), np.arange(40)
    bounds = upper_bounds(RowReader(points), rows, centre_rows, CPU)
    exact = exact_squared(points[rows].astype(np.float64), points[centre_rows].astype(np.float64)).min(axis=1)
    assert (bounds >= exact).all()
    scale = np.square(points.astype(np.float64) - points[:40].astype(np.float64).mean(axis=0)).sum(axis=1).max()
    assert (bounds <= exact + 10 * product_error(width, CPU) * scale + 1e-30).all()


def test_nearest_centres_are_exact_and_respect_limits(make_points):
    rng = np.random.default_rng(1)
    x, c = rng.integers(0, 3, (50, 3)).astype(float), rng.integers(0, 3, (20, 3)).astype(float)
    centre_rows = rng.permutation(100)[:20]  # in no order: ties go to the lowest row, not to the first centre
    table = exact_squared(x, c)
    squared, nearest = nearest_centres(x, c, centre_rows, np.full(50, np.inf))
    assert squared.tolist() == table.min(axis=1).tolist()
    assert nearest.tolist() == [int(centre_rows[row == row.min()].min()) for row in table]
    limited, _ = nearest_centres(x, c, centre_rows, np.full(50, 1.0))
    assert limited.tolist() == np.where(table.min(axis=1) <= 1, table.min(axis=1), np.inf).tolist()


@pytest.mark.parametrize("small_product", [0, 10**9])
def test_nearest_centres_where_a_float64_product_is_too_coarse(small_product, monkeypatch):
    monkeypatch.setattr(distances, "SMALL_PRODUCT", small_product)
    rng = np.random.default_rng(2)
    c = rng.normal(size=(30, 8)) + 1e8 * rng.choice([-1, 1], size=(30, 1))  # two far groups: |x|² rounds at about 1
    x = c[rng.integers(0, 30, 60)] + 0.01 * rng.normal(size=(60, 8))
    table = exact_squared(x, c)
    squared, nearest = nearest_centres(x, c, np.arange(30), np.full(60, np.inf))
    assert squared.tolist() == table.min(axis=1).tolist()
    assert nearest.tolist() == table.argmin(axis=1).tolist()


def test_a_pair_has_the_same_bits_in_any_company():
    rng = np.random.default_rng(3)
    x, c = rng.normal(size=(9, 1000)), rng.normal(size=(700, 1000))
    i, j = np.repeat(np.arange(9), 300), rng.integers(0, 700, 2700)
    together = squared_of_pairs(x, c, i, j)
    assert together.tolist() == [
        squared_of_pairs(x[a : a + 1], c[b : b + 1], np.zeros(1, int), np.zeros(1, int))[0] for a, b in zip(i, j, strict=True)
    ]


def test_error_covers_the_products_that_a_training_program_may_have_allowed():
    before = torch.get_float32_matmul_precision()
    exact = product_error(100, CPU)
    try:
        torch.set_float32_matmul_precision("medium")
        assert product_error(100, CPU) > 2 * 2.0**-8 > exact
        assert product_error(100, torch.device("cuda")) > 2 * 2.0**-8
    finally:
        torch.set_float32_matmul_precision(before)
    assert 100 * 2.0**-24 < exact == product_error(100, CPU)


def test_blocks_cover_everything_once():
    assert [list(range(10))[block] for block in blocks(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(blocks(3, 0)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert list(blocks(0, 5)) == []
