import numpy as np
import pytest

from diverseevol.evaluation import coverage


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_equals_the_definition(block, monkeypatch):
    monkeypatch.setattr(coverage, "BLOCK", block)
    rng = np.random.default_rng(0)
    points, chosen = rng.normal(size=(50, 6)).astype(np.float32), np.array([3, 40, 11])
    expected = max(min(np.linalg.norm(p.astype(np.float64) - points[c]) for c in chosen) for p in points)
    assert coverage.covering_radius(points, chosen) == pytest.approx(expected, rel=1e-12)


def test_everything_chosen_covers_everything():
    points = np.random.default_rng(0).normal(size=(20, 3)) + 1e3
    assert coverage.covering_radius(points, np.arange(20)) < 1e-3


def test_nothing_chosen_is_an_error():
    with pytest.raises(ValueError, match="at least one chosen row"):
        coverage.covering_radius(np.ones((3, 2)), np.array([], dtype=np.int64))
