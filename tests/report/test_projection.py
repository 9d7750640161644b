import sys
from types import SimpleNamespace

import numpy as np
import pytest

from diverseevol.errors import ConfigError
from diverseevol.report import projection
from diverseevol.report.projection import project
from diverseevol.report.vectors import PoolVectors


def of(vectors, rows=None, n_pool=None):
    return PoolVectors(vectors, rows, "the model", n_pool or len(vectors))


def test_matches_the_principal_components_of_the_shown_rows():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 12)) * np.array([9.0, 5.0, *[0.1] * 10]) + 40
    rows = np.arange(0, 300, 3)[::-1]
    found = project(of(points.astype(np.float32)), rows)
    centred = points[rows] - points[rows].mean(axis=0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:2]
    expected = centred @ components.T
    assert np.allclose(np.abs(found.xy_P2), np.abs(expected), atol=1e-3)
    shares = np.linalg.svd(centred, compute_uv=False) ** 2
    assert found.axes[0] == f"first component ({shares[0] / shares.sum():.0%} of the variance)"
    assert found.axes[1] == f"second component ({shares[1] / shares.sum():.0%})"
    assert found.note == "Principal components of the shown rows' vectors by the model; the same coordinates in all rounds."


def test_the_components_of_many_rows_are_those_of_every_so_many(monkeypatch):
    points = of(np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32))
    monkeypatch.setattr(projection, "FIT_NUMBERS", 8 * 100)
    found = project(points, np.arange(200))
    assert found.note.startswith("Principal components of 67 of the shown rows' vectors by the model;")
    assert np.allclose(found.xy_P2[::3], project(points, np.arange(0, 200, 3)).xy_P2, atol=1e-5)


def test_a_part_of_the_pool_is_found_by_its_rows():
    points = np.random.default_rng(4).normal(size=(30, 3)).astype(np.float32)
    rows = np.arange(30) * 10
    asked = np.array([4, 2, 9, 11])
    assert np.allclose(project(of(points, rows, 300), rows[asked]).xy_P2, project(of(points), asked).xy_P2, atol=1e-5)


@pytest.mark.parametrize("points", [np.ones((9, 3), np.float32), np.arange(9, dtype=np.float32)[:, None]])
def test_nothing_to_see_where_all_rows_are_alike_or_on_a_line(points):
    assert project(of(points), np.arange(9)) is None


def test_umap_where_it_is_installed(monkeypatch):
    class Fake:
        def __init__(self, random_state, n_jobs):
            self.seed = random_state

        def fit_transform(self, reduced):
            assert reduced.shape == (10, 4)
            return reduced[:, :2] + self.seed

    points = np.random.default_rng(6).normal(size=(10, 4)).astype(np.float32)
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Fake))
    found = project(of(points), np.arange(10), "umap", seed=2)
    assert found.axes == ("UMAP 1", "UMAP 2")
    assert np.allclose(found.xy_P2, project(of(points), np.arange(10)).xy_P2 + 2, atol=1e-5)
    assert found.note.startswith("UMAP of the vectors by the model; the same coordinates in all rounds.")


def test_umap_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(
        ConfigError, match=r"--map umap needs a package that is not installed. Install it with: pip install 'diverseevol\[umap\]'"
    ):
        project(of(np.random.default_rng(0).normal(size=(10, 4))), np.arange(10), "umap")
