import numpy as np
import pytest

from diverseevol.errors import PoolExhaustedError
from diverseevol.evaluation.random_sets import draw_random_sets


def test_sets_are_different_rows_of_the_pool_and_follow_the_seed():
    sets = draw_random_sets(30, 12, 5, seed=1)
    assert len(sets) == 5
    for rows in sets:
        assert len(set(rows.tolist())) == 12
        assert rows.min() >= 0
        assert rows.max() < 30
    assert len({tuple(rows) for rows in sets}) == 5
    assert [list(rows) for rows in draw_random_sets(30, 12, 5, seed=1)] == [list(rows) for rows in sets]
    assert list(draw_random_sets(30, 12, 5, seed=2)[0]) != list(sets[0])


def test_sets_grow_and_do_not_depend_on_how_many_there_are():
    larger = draw_random_sets(30, 30, 2, seed=1)
    for small, large in zip(draw_random_sets(30, 12, 5, seed=1), larger, strict=False):
        assert list(small) == list(large[:12])
    assert sorted(larger[0].tolist()) == list(range(30))
    assert draw_random_sets(30, 12, 0, seed=1) == []


def test_every_row_is_equally_likely():
    counts = np.bincount(np.concatenate(draw_random_sets(10, 3, 4000, seed=0)), minlength=10)
    assert (np.abs(counts - 1200) < 5 * np.sqrt(1200 * 0.7)).all()  # five standard deviations


def test_a_set_larger_than_the_pool():
    with pytest.raises(PoolExhaustedError, match="cannot draw random sets of 31 rows from 30"):
        draw_random_sets(30, 31, 1, seed=0)
