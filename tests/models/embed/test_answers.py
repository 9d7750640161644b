"""The view of a pool without its prompts."""

import numpy as np
import pytest

from diverseevol.errors import EmbedError
from diverseevol.models.embed.answers import answer_rows


@pytest.fixture
def three(make_tokens):
    tokens = make_tokens(3)
    tokens.rows = [np.array([1, 5, 6, 7, 2]), np.array([4, 5, 6, 2]), np.array([1, 8, 2])]
    masks = [[0, 0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 1]]
    tokens.mask = lambda row: np.array(masks[row], dtype=bool)
    return tokens


@pytest.mark.parametrize(
    "bos, ids, masks",
    [
        (1, [[1, 7, 2], [5, 2], [1, 2]], [[0, 1, 1], [1, 1], [1, 1]]),
        ([9, 4], [[7, 2], [4, 5, 2], [1, 2]], [[1, 1], [0, 1, 1], [1, 1]]),
        (None, [[7, 2], [5, 2], [1, 2]], [[1, 1], [1, 1], [1, 1]]),
    ],
)
def test_keeps_the_bos_and_the_trained_tokens(bos, ids, masks, three):
    view = answer_rows(three, bos, ["a", "b", "c"])
    assert [view.ids(row).tolist() for row in range(len(view))] == ids
    assert [view.mask(row).astype(int).tolist() for row in range(3)] == masks
    assert view.n_tokens.tolist() == [len(row) for row in ids] and view.n_tokens.dtype == np.int32


def test_a_single_trained_token_without_bos_stands_behind_the_rows_first(three):
    three.mask = lambda row: np.arange(len(three.rows[row])) == len(three.rows[row]) - 1
    view = answer_rows(three, 1, ["a", "b", "c"])
    assert [view.ids(row).tolist() for row in range(3)] == [[1, 2], [4, 2], [1, 2]]
    assert [view.mask(row).astype(int).tolist() for row in range(3)] == [[0, 1]] * 3


def test_rows_of_which_nothing_can_be_predicted_are_named(three):
    three.mask = lambda row: np.arange(len(three.rows[row])) == (0 if row else 2)
    with pytest.raises(
        EmbedError, match=r"cannot compute answer_loss of 2 rows, first row 1 \(id b\): they have no trained .* Leave"
    ):
        answer_rows(three, 1, ["a", "b", "c"])
