"""The score strategies against a plain sort by their definitions."""

import numpy as np
import pytest

from diverseevol.errors import NonFiniteError, PoolExhaustedError, SelectionError
from diverseevol.selection import Signals, make_strategy

N = 40
NAMES = ["paper_confidence", "paper_margin", "paper_entropy", "confidence", "margin", "entropy", "loss", "answer_loss"]
# strategy, options, score by its definition, whether the largest are wanted
CASES = [
    ("least_confidence", {}, lambda c: c["paper_confidence"], False),
    ("least_confidence", {"variant": "response"}, lambda c: c["confidence"], False),
    ("margin", {}, lambda c: c["paper_margin"], False),
    ("margin", {"variant": "response"}, lambda c: c["margin"], False),
    ("entropy", {"variant": "paper"}, lambda c: c["paper_entropy"], True),
    ("entropy", {"variant": "response"}, lambda c: c["entropy"], True),
    ("loss", {}, lambda c: c["loss"], True),
    ("loss", {"order": "lowest"}, lambda c: c["loss"], False),
    ("ifd", {}, lambda c: c["loss"] / c["answer_loss"], True),
]


@pytest.fixture
def columns():
    rng = np.random.default_rng(0)
    return {name: rng.integers(1, 15, N) / 7 for name in NAMES}  # with ties


def pick(strategy, columns, n_new, chosen=(), selectable=None):
    signals = Signals(n_rows=N, columns=columns, selectable=selectable)
    return strategy.select(signals, np.array(chosen, dtype=np.int64), n_new, np.random.default_rng(0))


@pytest.mark.parametrize("name, options, score, is_largest", CASES)
def test_equals_a_plain_sort(name, options, score, is_largest, columns):
    strategy = make_strategy(name, **options)
    selectable = np.arange(N) % 5 != 2
    found = pick(strategy, {key: columns[key] for key in strategy.needs}, 9, [3, 1, 8], selectable)
    scores = score(columns)
    free = [row for row in range(N) if selectable[row] and row not in (3, 1, 8) and (name != "ifd" or scores[row] < 1)]
    expected = sorted(free, key=lambda row: (-scores[row] if is_largest else scores[row], row))[:9]
    assert found.rows.tolist() == expected and found.rows.dtype == np.int64
    np.testing.assert_array_equal(found.columns["score"], scores[expected])


def test_rows_that_the_instruction_does_not_help_are_left_out(columns):
    columns["loss"], columns["answer_loss"] = np.full(N, 2.0), np.full(N, 1.5)
    columns["answer_loss"][[4, 7, 9]] = [2.5, 4.0, 2.0]
    found = pick(make_strategy("ifd"), columns, 2)
    assert found.rows.tolist() == [4, 7] and found.columns["score"].tolist() == [0.8, 0.5]
    message = (
        r"cannot select 3 new samples by ifd: of 40 unchosen rows 2 have a score below 1; the others are left out. Lower n_new"
    )
    with pytest.raises(PoolExhaustedError, match=message):
        pick(make_strategy("ifd"), columns, 3)


def test_every_free_row_may_be_taken_and_no_more(columns):
    assert sorted(pick(make_strategy("loss"), columns, N - 1, [6]).rows) == [row for row in range(N) if row != 6]
    with pytest.raises(PoolExhaustedError, match="cannot select 40 new samples: 39 of 40 are still unchosen"):
        pick(make_strategy("loss"), columns, N, [6])


@pytest.mark.parametrize("name, column", [("margin", "paper_margin"), ("loss", "loss"), ("ifd", "loss"), ("ifd", "answer_loss")])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(name, column, value, columns):
    columns[column][[4, 5, 9, 11, 20, 30]] = value
    with pytest.raises(
        NonFiniteError, match=rf"{name}: the score of 6 rows is NaN or infinite: rows 4, 5, 9, 11, 20, …. Compute"
    ):
        pick(make_strategy(name), columns, 3)
    selectable = np.ones(N, dtype=bool)
    selectable[[4, 5, 9]] = False
    pick(make_strategy(name), columns, 3, [11, 20, 30], selectable)  # rows that cannot be picked may hold anything


def test_an_answer_without_loss_has_no_ratio(columns):
    columns["answer_loss"][7] = 0.0
    with pytest.raises(NonFiniteError, match="ifd: the score of 1 rows is NaN or infinite: rows 7. Compute"):
        pick(make_strategy("ifd"), columns, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_columns_of_any_numbers(dtype, columns):
    columns["loss"] = np.arange(N).astype(dtype)
    found = pick(make_strategy("loss"), columns, 2)
    assert found.rows.tolist() == [39, 38] and found.columns["score"].dtype == np.float64


def test_missing_signals_and_unknown_options(columns):
    del columns["answer_loss"]
    with pytest.raises(
        SelectionError, match="ifd needs the column 'answer_loss', which is not there. Known: confidence, entropy"
    ):
        pick(make_strategy("ifd"), columns, 3)
    with pytest.raises(SelectionError, match="variant: Input should be 'paper' or 'response'; found 'answer'"):
        make_strategy("entropy", variant="answer")
    with pytest.raises(SelectionError, match="order: Input should be 'highest' or 'lowest'; found 'high'"):
        make_strategy("loss", order="high")
    with pytest.raises(SelectionError, match="'ifd' has no option 'order'"):
        make_strategy("ifd", order="lowest")
