import numpy as np
import pytest

from diverseevol import vendi_score
from diverseevol.errors import ConfigError, SelectionError
from diverseevol.selection import Signals, make_strategy, select
from diverseevol.selection.vendi_sampling import VendiSampling


@pytest.mark.parametrize("width", [6, 60])  # through the columns' and through the rows' kernel
@pytest.mark.parametrize("n_chosen", [0, 7])
@pytest.mark.parametrize("q", [1.0, 2])
def test_takes_the_set_of_the_given_rank(width, n_chosen, q):
    rng = np.random.default_rng(width)
    points = rng.normal(size=(50, width)) * np.arange(1, width + 1)
    chosen = rng.permutation(50)[:n_chosen]
    draw = np.random.default_rng(4)
    candidates = np.setdiff1d(np.arange(50), chosen)
    sets = [draw.choice(candidates, 5, replace=False) for _ in range(9)]
    ranked = sorted(((vendi_score(points[[*chosen, *rows]], q), rows.tolist()) for rows in sets), reverse=True)
    for rank, place in {"best": 0, "median": 4, "worst": 8, 1: 0, 3: 2, 9: 8}.items():
        strategy = VendiSampling(sets=9, rank=rank, q=q)
        picks = strategy.select(Signals(50, points), chosen, 5, np.random.default_rng(4))
        assert picks.rows.tolist() == ranked[place][1]
        assert picks.columns["vendi"] == pytest.approx([ranked[place][0]] * 5)


def test_equal_scores_go_to_the_set_drawn_first():
    draw = np.random.default_rng(0)
    first = draw.choice(20, 3, replace=False)
    picks = VendiSampling(sets=4).select(Signals(20, np.eye(20)), np.array([], int), 3, np.random.default_rng(0))
    assert picks.rows.tolist() == first.tolist() and picks.columns["vendi"].tolist() == pytest.approx([3.0] * 3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sets": 0}, SelectionError, "sets: Input should be greater than 0; found 0"),
        ({"sets": 5, "rank": 6}, SelectionError, "rank must be best, median, worst or a number from 1 to 5; found 6"),
        ({"rank": "first"}, SelectionError, "rank: Input should be 'best', 'median' or 'worst'; found 'first'"),
        ({"q": -1}, ConfigError, "the order q must be 0 or more, up to infinity; found -1"),
        ({"q": "one"}, SelectionError, "q: Input should be a valid number; found 'one'"),
    ],
)
def test_says_what_is_wrong(options, error, message):
    with pytest.raises(error, match=message):
        make_strategy("vendi", **options)
    with pytest.raises(SelectionError, match="1 rows are all zeros and have no direction: 2"):
        select(np.eye(3)[:, :2], [], 1, strategy="vendi")


def test_sets_of_equal_score_go_to_the_first_drawn():
    """All sets hold the same rows in another order, of which rounding alone tells the scores apart."""
    points = np.random.default_rng(6).normal(size=(30, 5))
    for seed in range(6):
        first = np.random.default_rng(seed).choice(np.arange(22, 30), 8, replace=False)
        assert select(points, range(22), 8, strategy="vendi", seed=seed).rows.tolist() == first.tolist()
