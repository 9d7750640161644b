import numpy as np
import pytest

from diverseevol.evaluation import bootstrap
from diverseevol.evaluation.bootstrap import Interval, confidence_interval, ratio_of_sums


def experiments(kind, n_experiments, n_questions, rng):
    """Scores of 1 to 10, summed over two orders: (experiments, questions, sides)."""
    middle, width, tilt = {"usual": ((6.3, 8.8), 1.6, 0.5), "skewed": ((2.0, 9.0), 2.2, 0.4)}[kind]
    hard = rng.normal(size=(n_experiments, n_questions, 1, 1))
    own = rng.normal(size=(n_experiments, n_questions, 2, 1))
    order = tilt * np.array([[1, -1], [-1, 1]])
    scores = np.array(middle)[:, None] + width * (0.4 * hard + 0.7 * own) + order
    scores = scores + 0.5 * rng.normal(size=(n_experiments, n_questions, 2, 2))
    return np.clip(np.round(scores), 1, 10).sum(axis=3)


@pytest.mark.parametrize("kind", ["usual", "skewed"])
def test_intervals_contain_the_truth_as_often_as_they_say(kind, monkeypatch):
    monkeypatch.setattr(bootstrap, "N_DRAWS", 400)
    rng = np.random.default_rng(3)
    population = experiments(kind, 1, 400_000, rng)[0].sum(axis=0)
    truth = 100 * population[0] / population[1]
    n_held = 0
    for scores_QS in experiments(kind, 400, 80, rng):
        found = confidence_interval(ratio_of_sums(100 * scores_QS[:, 0], scores_QS[:, 1]), 80)
        n_held += found.low <= truth <= found.high
    assert 0.93 <= n_held / 400 <= 0.97


def test_a_ratio_and_its_influences():
    above, below = np.array([3.0, 5.0, 2.0]), np.array([4.0, 4.0, 8.0])
    counts = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
    values, influences = ratio_of_sums(above, below)(counts)
    assert values == pytest.approx([10 / 16, 8 / 16])
    nudge = 1e-6
    for question in range(3):  # the influence is the slope of the figure in how often a question counts
        more = counts + nudge * np.eye(3)[question]
        slopes = (ratio_of_sums(above, below)(more)[0] - values) / nudge
        assert influences[:, question] == pytest.approx(slopes, abs=1e-5)


def test_equals_the_definition_drawn_one_by_one(monkeypatch):
    """Bootstrap-t word for word: draw questions, divide by the draw's own standard error, turn the quantiles round."""
    monkeypatch.setattr(bootstrap, "N_DRAWS", 300)
    monkeypatch.setattr(bootstrap, "BLOCK", 15 * 7)  # blocks of seven draws
    rng = np.random.default_rng(1)
    above, below = rng.integers(1, 11, 15) ** 2.0, rng.integers(5, 11, 15) * 1.0

    def ratio_and_error(rows):
        ratio = above[rows].sum() / below[rows].sum()
        return ratio, np.sqrt(((above[rows] - ratio * below[rows]) ** 2).sum()) / below[rows].sum()

    value, error = ratio_and_error(np.arange(15))
    draws = np.random.default_rng(5)
    ts = []
    for _ in range(300):
        counts = draws.multinomial(15, [1 / 15] * 15)
        drawn, drawn_error = ratio_and_error(np.repeat(np.arange(15), counts))
        ts.append((drawn - value) / drawn_error)
    low, high = value - error * np.quantile(ts, 0.975), value - error * np.quantile(ts, 0.025)
    found = confidence_interval(ratio_of_sums(above, below), 15, seed=5)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
    assert value - low != pytest.approx(high - value, rel=0.02)  # skewed, so that exchanged ends would show


def test_a_single_odd_question_among_equals_falls_back_to_percentiles():
    above = np.full(40, 8.0)
    above[7] = 16.0
    found = confidence_interval(ratio_of_sums(above, np.full(40, 8.0)), 40)
    assert found.low == 1.0
    assert 1.05 <= found.high <= 1.1


@pytest.mark.parametrize("n", [1, 9])
def test_few_questions_have_no_interval(n):
    assert confidence_interval(ratio_of_sums(np.arange(1.0, n + 1), np.ones(n)), n) is None


def test_equal_questions_have_an_interval_of_no_width_and_nothing_to_divide_by_none():
    assert confidence_interval(ratio_of_sums(np.full(12, 6.0), np.full(12, 8.0)), 12) == Interval(0.75, 0.75)
    assert confidence_interval(ratio_of_sums(np.ones(12), np.zeros(12)), 12) is None
