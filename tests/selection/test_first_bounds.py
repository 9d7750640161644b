import numpy as np
import pytest
import torch

from diverseevol.selection import first_bounds as unit
from diverseevol.selection.first_bounds import first_bounds
from diverseevol.selection.reader import RowReader

CPU = torch.device("cpu")
KINDS = ["plain", "duplicates", "near_duplicates", "huge_offset", "huge_scale", "lattice"]


def exact_squared(x, c):
    x, c = np.asarray(x, dtype=np.float64), np.asarray(c, dtype=np.float64)
    return np.stack([np.square(x - centre).sum(axis=1) for centre in c], axis=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("width", "n_centres", "n_landmarks"), [(1, 40, 64), (30, 40, 3), (30, 1, 64), (3000, 40, 8)])
def test_bounds_hold(kind, dtype, width, n_centres, n_landmarks, make_points, monkeypatch):
    monkeypatch.setattr(unit, "N_LANDMARKS", n_landmarks)
    with np.errstate(over="ignore"):
        points = np.nan_to_num(make_points(kind, 120, width, np.random.default_rng(0)).astype(dtype), posinf=6e4, neginf=-6e4)
    rows, centre_rows = np.arange(n_centres, 120), np.arange(n_centres)
    bounds = first_bounds(RowReader(points), rows, centre_rows, CPU)
    assert (bounds >= exact_squared(points[rows], points[centre_rows]).min(axis=1)).all()


def test_bounds_hold_on_unit_rows_and_are_those_of_unit_rows(make_points):
    points = make_points("plain", 200, 12, np.random.default_rng(1)).astype(np.float64) * 1e100
    units = points / np.abs(points).max(axis=1, keepdims=True)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    bounds = first_bounds(RowReader(points, is_unit=True), np.arange(50, 200), np.arange(50), CPU)
    exact = exact_squared(units[50:], units[:50])
    assert (bounds >= exact.min(axis=1)).all()
    assert (bounds <= exact.max(axis=1) * 1.001).all()


def test_the_nearest_centre_is_guessed_where_the_landmarks_span_the_data():
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(30, 200)).astype(np.float32) * 10
    points = np.concatenate([centres, centres[rng.integers(0, 30, 400)] + rng.normal(size=(400, 200)).astype(np.float32)])
    bounds = first_bounds(RowReader(points), np.arange(30, 430), np.arange(30), CPU)
    assert bounds == pytest.approx(exact_squared(points[30:], centres).min(axis=1), rel=1e-4)


def test_points_that_lie_far_from_each_other():
    points = torch.zeros(50, 3)
    points[7, 0], points[33, 1], points[20, 2] = 5.0, -4.0, -3.0
    assert unit.spread_rows(points, 3).tolist() == [7, 33, 20]
    assert len(unit.spread_rows(points[:2], 5)) == 2


@pytest.mark.parametrize("kind", ["clustered", "plain"])
def test_scouts_are_sent_where_they_pay(kind, monkeypatch):
    monkeypatch.setattr(unit, "N_SCOUTS", 200)
    monkeypatch.setattr(unit, "N_LANDMARKS", 8)
    rng = np.random.default_rng(5)
    middles = rng.normal(size=(100, 60)).astype(np.float32)
    points = rng.normal(size=(3000, 60)).astype(np.float32)
    if kind == "clustered":
        points = middles[rng.integers(0, 100, 3000)] + points / 50
    reader, rows, centre_rows = RowReader(points), np.arange(40, 3000), np.arange(40)
    space = unit.Space.of(reader, centre_rows, CPU)
    assert (unit.scouting_guess(reader, rows, space, CPU) is not None) is (kind == "clustered")
    exact = exact_squared(points[rows], points[centre_rows]).min(axis=1)
    bounds = first_bounds(reader, rows, centre_rows, CPU)
    assert (bounds >= exact).all()
    if kind == "clustered":
        assert (bounds <= exact * 1.01).mean() > 0.9


@pytest.mark.parametrize("gap", [1, 2, 3])  # 2: read with the rows between them
def test_blocks_and_holes_change_nothing(gap, make_points, monkeypatch):
    points = make_points("plain", 300, 9, np.random.default_rng(3))
    rows, centre_rows = np.arange(20, 300)[::gap], np.arange(20)
    whole = first_bounds(RowReader(points), rows, centre_rows, CPU)
    assert (whole >= exact_squared(points[rows], points[:20]).min(axis=1)).all()
    assert first_bounds(RowReader(points), rows, centre_rows, CPU, block_rows=7) == pytest.approx(whole, rel=1e-5)
    monkeypatch.setattr(unit, "CENTRE_NUMBERS", 45)  # only five centres may be guessed
    few = first_bounds(RowReader(points), rows, centre_rows, CPU)
    assert (few >= exact_squared(points[rows], points[:20]).min(axis=1)).all()


def test_a_row_that_is_not_finite_or_too_large_has_no_bound(make_points):
    points = make_points("plain", 30, 4, np.random.default_rng(4)).astype(np.float64)
    points[[10, 11, 12], 0] = [np.nan, np.inf, 1e200]
    bounds = first_bounds(RowReader(points), np.arange(5, 30), np.arange(5), CPU)
    assert np.flatnonzero(np.isinf(bounds)).tolist() == [5, 6, 7]
