import numpy as np
import pytest

from diverseevol.errors import PoolExhaustedError, SelectionError
from diverseevol.selection import Selection, select
from diverseevol.selection.api import select_within


@pytest.mark.parametrize("spread", [1, 40])
@pytest.mark.parametrize("budget", [60, 500, 2000])
@pytest.mark.parametrize("shortest_first", [False, True])
def test_the_picks_are_the_strategys_first_that_fit(budget, spread, shortest_first):
    """The definition: all rows in the strategy's order, cut before the first whose tokens go beyond the budget."""
    rng = np.random.default_rng(budget)
    points, n_tokens = rng.normal(size=(90, 4)), rng.integers(5, 6 + spread, 90).astype(float)
    if shortest_first:
        n_tokens[select(points, [3], 89).rows] = np.sort(n_tokens[:89])
    everything = select(points, [3], 89)
    expected, spent = [], 0
    for row in everything.rows.tolist():
        if spent + n_tokens[row] > budget:
            break
        spent += n_tokens[row]
        expected.append(row)
    picks = select_within(lambda n: select(points, [3], n), n_tokens, 89, budget)
    assert picks.rows.tolist() == expected
    assert picks.columns["distance"].tolist() == everything.columns["distance"][: len(expected)].tolist()


def numbered(n):
    return Selection(np.arange(n), {"rank": np.arange(n)}, {"guard": np.array([9])})


def test_a_sum_that_equals_the_budget_fits():
    assert select_within(numbered, np.full(8, 10.0), 8, 30).rows.tolist() == [0, 1, 2]
    assert select_within(numbered, np.full(8, 10.0), 8, 29).rows.tolist() == [0, 1]
    assert select_within(numbered, np.full(8, 10.0), 8, 29).skipped["guard"].tolist() == [9]
    assert select_within(numbered, np.full(8, 10.0), 8, 1000).rows.tolist() == list(range(8))


@pytest.mark.parametrize("n_free", [1, 5, 6, 7])
def test_guards_may_leave_fewer_rows_than_are_unchosen(n_free):
    def guarded(n):
        if n > n_free:
            raise PoolExhaustedError("too few")
        return numbered(n)

    n_tokens = np.array([1.0] * 7 + [100.0] * 7)
    assert select_within(guarded, n_tokens, 14, 1000).rows.tolist() == list(range(n_free))
    with pytest.raises(PoolExhaustedError, match="too few"):
        select_within(lambda n: guarded(n + n_free), n_tokens, 14, 1000)


def test_what_cannot_be_is_said():
    with pytest.raises(SelectionError, match=r"the budget is 9 tokens, but the first pick has 10\. Raise it"):
        select_within(numbered, np.full(8, 10.0), 8, 9)
    for bad in (np.nan, 0.0, -1.0):
        with pytest.raises(SelectionError, match=r"1 rows have no number of tokens above 0, first row 2"):
            select_within(numbered, np.array([1.0, 1.0, bad]), 3, 9)
