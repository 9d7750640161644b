import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from diverseevol.errors import ConfigError
from diverseevol.report import projection
from diverseevol.report.projection import project
from diverseevol.report.vectors import PoolVectors


def of(vectors, rows=None, n_pool=None):
    return PoolVectors(vectors, rows, "the model", n_pool or len(vectors))


def test_matches_the_principal_components_of_all_rows():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 12)) * np.array([9.0, 5.0, *[0.1] * 10]) + 40
    rows = np.array([5, 3, 299])
    found = project(of(points.astype(np.float32)), rows)
    centred = points - points.mean(axis=0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:2]
    expected = centred[rows] @ components.T
    assert np.allclose(np.abs(found.xy_P2), np.abs(expected), atol=1e-3)
    shares = np.linalg.svd(centred, compute_uv=False) ** 2
    assert found.axes[0] == f"first component ({shares[0] / shares.sum():.0%} of the variance)"
    assert found.note == "Principal components of all rows' vectors by the model; the same coordinates in all rounds."


def test_blocks_and_other_rows_move_no_point(monkeypatch):
    points = of(np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32))
    whole = project(points, np.arange(200)).xy_P2
    monkeypatch.setattr(projection, "BLOCK_NUMBERS", 40)
    assert np.allclose(project(points, np.arange(200)[::-1]).xy_P2[::-1], whole, atol=1e-5)
    monkeypatch.setattr(projection, "FIT_NUMBERS", 8 * 50)
    assert "of 50 random rows'" in project(points, np.arange(3)).note


def test_rows_without_finite_vectors_have_no_place():
    points = np.random.default_rng(2).normal(size=(50, 4)).astype(np.float32)
    points[7, 1], points[9, 0] = np.nan, np.inf
    placed = project(of(points), np.arange(50)).xy_P2
    assert np.flatnonzero(np.isnan(placed).any(axis=1)).tolist() == [7, 9]


def test_huge_numbers_do_not_overflow():
    points = np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32)
    small = project(of(points), np.arange(50)).xy_P2
    large = project(of(points * np.float32(1e37)), np.arange(50)).xy_P2
    assert np.allclose(large / 1e37, small, rtol=1e-3)


def test_a_part_of_the_pool_is_found_by_its_rows():
    points = np.random.default_rng(4).normal(size=(30, 3)).astype(np.float32)
    rows = np.arange(30) * 10
    assert np.allclose(project(of(points, rows, 300), rows[[4, 2]]).xy_P2, project(of(points), np.array([4, 2])).xy_P2, atol=1e-5)


@pytest.mark.parametrize(
    "points", [np.ones((9, 3), np.float32), np.ones((9, 1), np.float32), np.full((9, 3), np.nan, np.float32)]
)
def test_nothing_to_see_where_all_rows_are_alike(points):
    assert project(of(points), np.arange(9)) is None


def test_memory_is_bounded_for_a_pool_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(projection, "FIT_NUMBERS", 1 << 16)
    monkeypatch.setattr(projection, "BLOCK_NUMBERS", 1 << 14)
    file = tmp_path / "x.npy"
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(20_000, 256))
    mapped[:] = np.random.default_rng(5).normal(size=(1, 256)) + np.arange(20_000)[:, None] % 7
    points = of(np.load(file, mmap_mode="r"))
    project(points, np.arange(100))  # scikit-learn's own import
    tracemalloc.start()
    project(points, np.arange(20_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000 < mapped.nbytes / 3


def test_umap_where_it_is_installed(monkeypatch):
    class Fake:
        def __init__(self, random_state, n_jobs):
            self.seed = random_state

        def fit_transform(self, reduced):
            assert reduced.shape == (9, 4)
            return reduced[:, :2] + self.seed

    points = np.random.default_rng(6).normal(size=(10, 4)).astype(np.float32)
    points[3] = np.nan
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Fake))
    found = project(of(points), np.arange(10), "umap", seed=2)
    assert found.axes == ("UMAP 1", "UMAP 2")
    assert np.isnan(found.xy_P2[3]).all() and np.isfinite(np.delete(found.xy_P2, 3, axis=0)).all()
    assert found.note.startswith("UMAP of the vectors by the model; the same coordinates in all rounds.")


def test_umap_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(
        ConfigError, match=r"--map umap needs a package that is not installed. Install it with: pip install 'diverseevol\[umap\]'"
    ):
        project(of(np.random.default_rng(0).normal(size=(10, 4))), np.arange(10), "umap")
