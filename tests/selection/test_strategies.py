"""What holds for every strategy that works on embeddings, and for the options that all of them have."""

import numpy as np
import pytest

from diverseevol.errors import PoolExhaustedError
from diverseevol.selection import Signals, known_strategies, make_strategy

OPTIONS = {"quality_diversity": {"quality": "score"}}
WRAPPED = {
    "alone": {},
    "wrapped": {"quota": {"by": "kind"}, "outliers": {"share": 0.1}, "minimum": {"score": 0.01}},
    "whitened": {"whiten": 3},
}
AT_HAND = {"embedding", "score", "kind"}
NAMES = [name for name in known_strategies() if make_strategy(name, **OPTIONS.get(name, {})).needs <= AT_HAND]
ON_EMBEDDINGS = [name for name in NAMES if name != "random"]


def signals_of(points, selectable=None):
    columns = {
        "score": np.random.default_rng(9).random(len(points)),
        "kind": np.array(["a", "b", "b"])[np.arange(len(points)) % 3],
    }
    return Signals(len(points), points, columns, selectable)


def pick(name, signals, chosen, n_new, seed=0, **options):
    strategy = make_strategy(name, **OPTIONS.get(name, {}), **options)
    return strategy.select(signals, np.array(chosen, dtype=int), n_new, np.random.default_rng(seed))


def as_lists(selection):
    return [selection.rows.tolist(), *([name, values.tolist()] for name, values in sorted(selection.columns.items()))]


def test_none_is_forgotten():
    assert {"facility_location", "k_center", "k_means", "quality_diversity", "random", "vendi"} <= set(NAMES)


@pytest.mark.parametrize("wrapping", WRAPPED)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_chosen", [0, 6])
def test_picks_are_free_rows_each_once_and_the_same_on_any_number_of_ranks(name, wrapping, n_chosen, on_ranks):
    if wrapping == "whitened" and name == "random":
        pytest.skip("random sees no embeddings")
    rng = np.random.default_rng(n_chosen)
    points = rng.normal(size=(80, 6)).astype(np.float32)
    chosen, selectable = rng.permutation(80)[:n_chosen], rng.random(80) < 0.8
    signals = signals_of(points, selectable)
    alone = pick(name, signals, chosen, 15, **WRAPPED[wrapping])
    assert len(set(alone.rows.tolist())) == 15 and alone.rows.dtype == np.int64
    assert selectable[alone.rows].all() and not np.isin(alone.rows, chosen).any()
    assert all(len(values) == 15 for values in alone.columns.values())
    assert not any(np.isin(alone.rows, rows).any() for rows in alone.skipped.values())
    for n_ranks in (1, 2, 3):
        results = on_ranks(n_ranks, lambda: as_lists(pick(name, signals, chosen[::-1], 15, **WRAPPED[wrapping])))
        assert results == [as_lists(alone)] * n_ranks


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_left(name):
    points = np.random.default_rng(1).normal(size=(20, 4))
    assert sorted(pick(name, signals_of(points), [], 20).rows) == list(range(20))
    one_left = np.delete(np.arange(20), 13)
    assert pick(name, signals_of(points), one_left, 1).rows.tolist() == [13]
    for n_new, chosen in ((21, []), (2, one_left)):
        with pytest.raises(PoolExhaustedError, match=rf"cannot select {n_new} new samples: .* of 20 are still unchosen"):
            pick(name, signals_of(points), chosen, n_new)


@pytest.mark.parametrize("name", ON_EMBEDDINGS)
def test_all_rows_equal(name):
    signals = signals_of(np.full((30, 5), 0.3, dtype=np.float32))
    assert sorted(pick(name, signals, [], 30).rows) == list(range(30))
    picks = pick(name, signals, [4, 20], 10)
    assert len(set(picks.rows.tolist()) - {4, 20}) == 10


@pytest.mark.parametrize("name", ON_EMBEDDINGS)
def test_a_single_row(name):
    assert pick(name, signals_of(np.ones((1, 3))), [], 1).rows.tolist() == [0]


def test_random_draws_every_free_row_as_likely_at_every_place():
    selectable = np.arange(8) != 6
    signals, random = Signals(8, selectable=selectable), make_strategy("random")
    draws = np.array([random.select(signals, np.array([1, 4]), 2, np.random.default_rng(seed)).rows for seed in range(3000)])
    for place in draws.T:
        assert np.bincount(place, minlength=8)[[1, 4, 6]].sum() == 0
        assert np.bincount(place).max() < 700 and np.bincount(place)[[0, 2, 3, 5, 7]].min() > 500
    assert (draws[:, 0] != draws[:, 1]).all()
    assert random.needs == frozenset()
