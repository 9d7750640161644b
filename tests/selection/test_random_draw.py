import numpy as np
import pytest

from diverseevol.errors import PoolExhaustedError, SelectionError
from diverseevol.selection import Signals, make_strategy, select

RANDOM = make_strategy("random")


def draw(n_rows, chosen, n_new, seed, selectable=None):
    signals = Signals(n_rows=n_rows, selectable=selectable)
    return RANDOM.select(signals, np.array(chosen), n_new, np.random.default_rng(seed)).rows


def test_every_free_row_is_equally_likely_at_every_place():
    selectable = np.arange(8) != 6
    draws = np.array([draw(8, [1, 4], 2, seed, selectable) for seed in range(3000)])
    for place in draws.T:
        assert set(place) == {0, 2, 3, 5, 7}
        assert np.bincount(place).max() < 700 and np.bincount(place)[[0, 2, 3, 5, 7]].min() > 500
    assert (draws[:, 0] != draws[:, 1]).all()


def test_the_generator_alone_decides_on_any_number_of_ranks(on_ranks):
    alone = draw(50, [3, 9], 20, 7).tolist()
    assert draw(50, [9, 3], 20, 7).tolist() == alone != sorted(alone)
    assert draw(50, [3, 9], 20, 8).tolist() != alone
    assert on_ranks(3, lambda: draw(50, [3, 9], 20, 7).tolist()) == [alone] * 3


def test_needs_no_signal_and_says_when_the_pool_is_used_up():
    assert RANDOM.needs == frozenset()
    assert sorted(draw(5, [2], 4, 0)) == [0, 1, 3, 4]
    with pytest.raises(
        PoolExhaustedError, match=r"cannot select 5 new samples: 4 of 5 are still unchosen. Lower n_new or rounds."
    ):
        draw(5, [2], 5, 0)
    with pytest.raises(SelectionError, match=r"chosen_rows must name each row once; found 2 more than once"):
        draw(5, [2, 2], 2, 0)
    assert select(np.ones((6, 2)), [], 6, strategy="random", seed=3).rows.dtype == np.int64
