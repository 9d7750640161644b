import numpy as np
import pytest
import torch

from diverseevol.errors import SelectionError
from diverseevol.selection.reader import RowReader
from diverseevol.selection.traversal import farthest_first

CPU = torch.device("cpu")


def picks_of(points, centres, candidates, n_new, weights=None):
    reader = RowReader(points)
    return list(farthest_first(reader, np.array(centres, dtype=np.int64), np.asarray(candidates), n_new, CPU, weights=weights))


def by_definition(points, centres, candidates, n_new, weights):
    points, centres, picks = points.astype(np.float64), sorted(centres), []
    left = dict(zip(candidates, weights, strict=True))
    for _ in range(n_new):
        squared = {row: [np.square(points[row] - points[centre]).sum() for centre in sorted(centres)] for row in left}
        row = min(left, key=lambda row: (-left[row] * min(squared[row]), row))
        picks.append((min(squared[row]), row, sorted(centres)[int(np.argmin(squared[row]))]))
        centres.append(row)
        del left[row]
    return picks


@pytest.mark.parametrize("kind", ["plain", "duplicates", "near_duplicates", "huge_scale", "lattice"])
@pytest.mark.parametrize("seed", range(6))
def test_weights_multiply_the_squared_distances(kind, seed, make_points):
    rng = np.random.default_rng(seed)
    points = make_points(kind, 50, 6, rng)
    weights = rng.choice([0.0, 0.5, 1.0, 3.0], 45)
    candidates = np.arange(5, 50)
    found = picks_of(points, [0, 1, 2, 3, 4], candidates, 45, weights)
    assert found == by_definition(points, [0, 1, 2, 3, 4], candidates.tolist(), 45, weights.tolist())


@pytest.mark.parametrize("kind", ["plain", "duplicates", "lattice"])
def test_what_was_picked_before_a_stop_is_a_start_to_go_on_from(kind, make_points):
    points = make_points(kind, 120, 5, np.random.default_rng(1))
    whole = picks_of(points, [3, 9], np.setdiff1d(np.arange(120), [3, 9]), 60)
    for n_before in (1, 17, 59):
        rows = [row for _, row, _ in whole[:n_before]]
        rest = np.setdiff1d(np.arange(120), [3, 9, *rows])
        assert whole[:n_before] + picks_of(points, [3, 9, *rows], rest, 60 - n_before) == whole


@pytest.mark.parametrize("n_ranks", [2, 3, 4])
@pytest.mark.parametrize("centres", [[3, 9], []])
def test_weights_on_any_number_of_ranks(n_ranks, centres, make_points, on_ranks):
    points = make_points("lattice", 100, 4, np.random.default_rng(2))
    candidates = np.setdiff1d(np.arange(100), centres)
    weights = np.random.default_rng(3).choice([1.0, 2.0], len(candidates))
    alone = picks_of(points, centres, candidates, 60, weights)
    assert on_ranks(n_ranks, lambda: picks_of(points, centres, candidates, 60, weights)) == [alone] * n_ranks
    if not centres:
        squared = weights * np.square(points - points.mean(axis=0, dtype=np.float64)).sum(axis=1)
        assert alone[0][1:] == (squared.argmax(), -1)


def test_a_distance_beyond_float64_names_its_row():
    points = np.array([[0.0], [1.0], [1e200]])
    with pytest.raises(SelectionError, match=r"the distance of row 2 is too large for float64. Scale the embeddings down"):
        picks_of(points, [0], [1, 2], 1)


def test_progress_is_shown(make_points):
    from contextlib import contextmanager

    class Watch:
        def __init__(self):
            self.said = []

        @contextmanager
        def task(self, name, total, unit):
            self.said.append((name, total, unit))
            yield self

        def advance(self, n=1):
            self.said.append(n)

    points = make_points("plain", 30, 3, np.random.default_rng(4))
    watch = Watch()
    assert len(list(farthest_first(RowReader(points), np.array([0]), np.arange(1, 30), 3, CPU, watch=watch))) == 3
    assert watch.said == [("distances to the chosen", 29, "rows"), 29, ("select", 3, "picks"), 1, 1, 1]
