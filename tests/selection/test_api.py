import numpy as np
import pytest
import torch

from diverseevol.errors import PoolExhaustedError, SelectionError
from diverseevol.selection import select

POINTS = np.arange(20.0).reshape(10, 2)


def test_picks_and_their_columns():
    picks = select(POINTS, [0], 3)
    assert picks.rows.tolist() == [9, 4, 2] and picks.rows.dtype == np.int64
    assert picks.columns["distance"].tolist() == pytest.approx([18 * 2**0.5 * 1.0, 8 * 2**0.5, 4 * 2**0.5])
    assert picks.columns["nearest_row"].tolist() == [0, 0, 0]


def test_arguments_are_left_as_they_were():
    points, chosen, selectable = POINTS.copy(), np.array([7, 2]), np.ones(10, dtype=bool)
    select(points, chosen, 3, selectable=selectable)
    assert (points == POINTS).all() and chosen.tolist() == [7, 2] and selectable.all()


@pytest.mark.parametrize("strategy", ["k_center", "random"])
@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"n_new": 9}, PoolExhaustedError, "cannot select 9 new samples: 8 of 10 are still unchosen. Lower n_new or rounds."),
        ({"n_new": 0}, SelectionError, "n_new must be a whole number of at least 1; found 0"),
        ({"n_new": 1.5}, SelectionError, "found 1.5"),
        ({"n_new": True}, SelectionError, "found True"),
        ({"chosen_rows": [1, 10, -1]}, SelectionError, r"chosen_rows must lie in 0..9; found -1, 10"),
        ({"chosen_rows": list(range(10, 17))}, SelectionError, "found 10, 11, 12, 13, 14, …"),
        ({"chosen_rows": [3, 5, 3, 3]}, SelectionError, "chosen_rows must name each row once; found 3 more than once"),
        (
            {"chosen_rows": [1.0, 2.0]},
            SelectionError,
            r"chosen_rows must be a list of row numbers; found float64 of the shape \(2,\)",
        ),
        ({"chosen_rows": [True, False]}, SelectionError, "found bool"),
        ({"chosen_rows": [[1], [2]]}, SelectionError, r"found int64 of the shape \(2, 1\)"),
        ({"chosen_rows": {1, 2}}, SelectionError, "found object of the shape"),
        (
            {"embeddings": np.ones(10)},
            SelectionError,
            r"embeddings must be 10 rows of one width, a 2-D array; found the shape \(10,\)",
        ),
        ({"embeddings": torch.ones(2, 3, 4), "chosen_rows": [1]}, SelectionError, r"found the shape \(2, 3, 4\)"),
        ({"embeddings": np.ones((10, 0))}, SelectionError, r"found the shape \(10, 0\)"),
        (
            {"selectable": np.ones(9, dtype=bool)},
            SelectionError,
            r"selectable must hold 10 bools, one a row; found bool of the shape \(9,\)",
        ),
        ({"selectable": np.ones(10)}, SelectionError, "found float64"),
    ],
)
def test_says_what_is_wrong(strategy, changed, error, message):
    arguments = {"embeddings": POINTS, "chosen_rows": [4, 1], "n_new": 2, "strategy": strategy} | changed
    with pytest.raises(error, match=message):
        select(**arguments)


@pytest.mark.parametrize(
    "embeddings", [POINTS.astype(complex), POINTS.astype(str), POINTS > 3, torch.ones(10, 2, dtype=torch.bool)]
)
def test_embeddings_must_be_numbers(embeddings):
    with pytest.raises(
        SelectionError, match=r"embeddings must be floating-point or integer numbers; found .* Convert them to float32"
    ):
        select(embeddings, [4, 1], 2)
