import numpy as np
import pytest
import torch

from diverseevol.selection import distances
from diverseevol.selection.distances import NO_ROW, Centres, product_error, squared_of_pairs
from diverseevol.selection.reader import RowReader, blocks


def exact_squared(x, c):
    return np.stack([np.square(x - centre).sum(axis=1) for centre in c], axis=1)


def centres_of(c, centre_rows):
    """Centres at `c`, known under the given pool rows."""
    points = np.zeros((int(centre_rows.max()) + 1, c.shape[1]))
    points[centre_rows] = c
    return Centres(RowReader(points), centre_rows)


def nearest_centres(x, c, centre_rows, limits):
    return centres_of(c, centre_rows).lower(x, 0, len(c), limits, np.full(len(x), NO_ROW))


def test_nearest_centres_are_exact_and_respect_limits(make_points):
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


@pytest.mark.parametrize("scale", [1.0, 1e8, 1e19, 1e150])
@pytest.mark.parametrize("small_product", [0, 10**9])
def test_nearest_centres_where_a_product_is_too_coarse(small_product, scale, monkeypatch):
    monkeypatch.setattr(distances, "SMALL_PRODUCT", small_product)
    rng = np.random.default_rng(2)
    c = rng.normal(size=(30, 8)) + scale * rng.choice([-1, 1], size=(30, 1))  # two far groups: |x|² rounds at about 1
    x = c[rng.integers(0, 30, 60)] + 0.01 * rng.normal(size=(60, 8))
    table = exact_squared(x, c)
    squared, nearest = nearest_centres(x, c, np.arange(30), np.full(60, np.inf))
    assert squared.tolist() == table.min(axis=1).tolist()
    assert nearest.tolist() == table.argmin(axis=1).tolist()


@pytest.mark.parametrize("kept", [0, 60, 2**24])
def test_centres_come_back_whether_they_are_kept_or_read_again(kept, monkeypatch):
    monkeypatch.setattr(distances, "KEPT_NUMBERS", kept)
    monkeypatch.setattr(distances, "BLOCK_NUMBERS", 20)
    points = np.random.default_rng(4).normal(size=(40, 5))
    centres = Centres(RowReader(points), np.arange(0, 30, 2), n_more=2)  # a third more than it was made for
    for row in (3, 39, 1):
        centres.add(np.array([row]))
    rows = [*range(0, 30, 2), 3, 39, 1]
    assert centres.rows == rows
    for start, stop in ((0, 18), (4, 5), (14, 18), (15, 17)):
        part = centres.part(start, stop)
        assert part.exact_CD.tolist() == points[rows[start:stop]].tolist()
        assert np.allclose(part.shifted_CD - part.shifted_CD[0], part.exact_CD - part.exact_CD[0], atol=1e-6)
        assert np.allclose(part.norms_C, np.square(part.shifted_CD).sum(axis=1))
    known, nearest = centres.lower(points, 0, 18, np.full(40, np.inf), np.full(40, NO_ROW))
    assert known.tolist() == exact_squared(points, points[rows]).min(axis=1).tolist()
    assert nearest[rows].tolist() == rows


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
    exact = product_error(100, np.float32)
    try:
        torch.set_float32_matmul_precision("medium")
        assert product_error(100, np.float32) > 2 * 2.0**-8 > exact
        assert product_error(100, np.float64) < 1e-12
    finally:
        torch.set_float32_matmul_precision(before)
    assert 100 * 2.0**-24 < exact == product_error(100, np.float32)


def test_blocks_cover_everything_once():
    assert [list(range(10))[block] for block in blocks(10, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert list(blocks(3, 0)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert list(blocks(0, 5)) == []
