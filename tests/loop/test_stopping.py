import numpy as np
import pytest

from diverseevol import vendi_score
from diverseevol.loop.stopping import MEASURES
from diverseevol.selection import Signals


@pytest.mark.parametrize("seed", range(5))
def test_the_radius_is_the_largest_distance_to_the_nearest_chosen_row(seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(60, 5)).astype(np.float32)
    chosen = rng.permutation(60)[:7]
    selectable = rng.random(60) < 0.7
    distances = np.sqrt(((points[:, None].astype(np.float64) - points[chosen]) ** 2).sum(-1)).min(1)
    assert MEASURES["covering_radius"](Signals(60, points), chosen) == pytest.approx(distances.max())
    assert MEASURES["covering_radius"](Signals(60, points, selectable=selectable), chosen) == pytest.approx(
        distances[selectable].max()
    )


def test_nothing_left_to_cover_is_a_radius_of_zero():
    points = np.eye(3, dtype=np.float32)
    assert MEASURES["covering_radius"](Signals(3, points), np.arange(3)) == 0
    assert MEASURES["covering_radius"](Signals(3, points, selectable=np.array([True, False, False])), np.array([0])) == 0


def test_vendi_is_that_of_the_chosen_rows():
    points = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    chosen = np.array([17, 3, 28, 5, 9, 11])
    assert MEASURES["vendi"](Signals(30, points), chosen) == pytest.approx(vendi_score(points[chosen]))
