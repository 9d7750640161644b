import numpy as np
import pytest

from diverseevol.errors import EmbedError, NonFiniteError, SelectionError
from diverseevol.evaluation import coverage
from diverseevol.evaluation.coverage import covering_radius, distances_to_prefixes, mean_nearest_within
from diverseevol.selection.vectors import open_vectors

CHOSEN = np.array([3, 40, 11])


def distances(points, chosen):
    """Of each row to each chosen one."""
    differences = points[:, None].astype(np.longdouble) - points[None, chosen].astype(np.longdouble)
    return np.sqrt((differences**2).sum(axis=2)).astype(np.float64)


def mean_nearest_to_subset(points, chosen):
    return distances_to_prefixes(points, [chosen], [len(chosen)])[1][0, 0]


def made(seed=0, n=50):
    return np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("held", [1, 1 << 20])
def test_equals_the_definition(block, held, monkeypatch):
    monkeypatch.setattr(coverage, "BLOCK_NUMBERS", 6 * block)
    monkeypatch.setattr(coverage, "HELD_NUMBERS", held)
    points = made()
    nearest_one = distances(points, CHOSEN).min(axis=1)
    assert covering_radius(points, CHOSEN) == pytest.approx(nearest_one.max(), rel=1e-14)
    assert mean_nearest_to_subset(points, CHOSEN) == pytest.approx(nearest_one.mean(), rel=1e-14)
    within = distances(points, CHOSEN)[CHOSEN]
    np.fill_diagonal(within, np.inf)
    assert mean_nearest_within(points, CHOSEN) == pytest.approx(within.min(axis=1).mean(), rel=1e-14)
    assert mean_nearest_within(points, CHOSEN, CHOSEN[[2]]) == pytest.approx(within[2].min(), rel=1e-14)


def test_what_is_chosen_or_equal_to_it_is_covered_to_the_last_bit():
    points = made() + np.float32(1e4)  # where a product leaves a radius of about one
    points[25:] = points[:25]
    assert covering_radius(points, np.arange(50)) == 0
    assert covering_radius(points, np.arange(25, 50)) == 0
    assert mean_nearest_to_subset(points, np.arange(25, 50)) == 0
    assert mean_nearest_within(points, np.arange(50)) == 0
    points[7, 0] = np.nextafter(points[7, 0], np.float32(1e9))
    assert covering_radius(points, np.arange(25, 50)) == float(points[7, 0]) - float(points[32, 0])


@pytest.mark.parametrize("held", [1, 90, 1 << 20])
def test_prefixes_of_several_orders_equal_one_by_one(held, monkeypatch):
    monkeypatch.setattr(coverage, "HELD_NUMBERS", held)
    monkeypatch.setattr(coverage, "BLOCK_NUMBERS", 48)
    points, rng = made(1), np.random.default_rng(2)
    orders, sizes = [rng.permutation(50)[:9] for _ in range(5)], [1, 2, 7]
    largest, means = distances_to_prefixes(points, orders, sizes)
    assert largest.shape == means.shape == (5, 3)
    for i, order in enumerate(orders):
        for j, size in enumerate(sizes):
            assert largest[i, j] == covering_radius(points, order[:size])
            assert means[i, j] == pytest.approx(mean_nearest_to_subset(points, order[:size]), rel=1e-14)


def test_the_pool_is_read_from_a_file_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(coverage, "BLOCK_NUMBERS", 48)
    points = made(3)
    np.save(tmp_path / "x.npy", points)
    vectors = open_vectors(tmp_path / "x.npy")
    assert covering_radius(vectors, CHOSEN) == covering_radius(points, CHOSEN)
    assert vectors.bytes_read == (50 + 38) * 6 * 4  # the pool once, and the stretch that holds the chosen rows
    assert mean_nearest_within(vectors, np.arange(50)) == pytest.approx(mean_nearest_within(points, np.arange(50)), rel=1e-14)


def test_nothing_chosen_is_an_error():
    with pytest.raises(ValueError, match="the covering radius needs at least one chosen row"):
        covering_radius(np.ones((3, 2)), np.array([], dtype=np.int64))


def test_says_what_is_wrong():
    points = made()
    with pytest.raises(SelectionError, match=r"row 50 is outside 0\.\.49"):
        covering_radius(points, np.array([3, 50]))
    with pytest.raises(SelectionError, match="row 3 is named 2 times"):
        covering_radius(points, np.array([3, 3, 5]))
    with pytest.raises(EmbedError, match=r"found the shape \(50,\)"):
        covering_radius(points[:, 0], np.array([3, 5]))
    points[5, 2] = np.inf
    with pytest.raises(NonFiniteError, match="in the rows 5"):
        covering_radius(points, np.array([3, 5]))
