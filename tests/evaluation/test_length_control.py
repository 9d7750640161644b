import numpy as np
import pytest
from scipy.optimize import minimize

from diverseevol.evaluation import bootstrap
from diverseevol.evaluation.length_control import (
    SLOPE,
    SLOPE_SD,
    length_report,
    log_odds_at_equal_length,
)


def at_equal_length(ours, opponent, delta):
    return float(100 * np.exp(log_odds_at_equal_length(ours, opponent, delta)(np.ones((1, len(ours))))[0][0]))


def judged(gap, bias, rng, n=80, longer=-0.5):
    """Scores by quality and by length: ours is `gap` better; `bias` points go to whoever is longer by a standard deviation."""
    theirs = np.exp(rng.normal(7, 0.5, n))
    delta = theirs * np.exp(rng.normal(longer, 0.6, n)) - theirs
    push = (gap + bias * np.tanh(delta / delta.std())) / 2
    quality = rng.normal(6.5, 1.2, n)
    scores = np.stack([quality + push, quality - push], axis=1)[:, None] + rng.normal(0, 0.6, (n, 2, 2))
    scores = np.clip(np.round(scores), 1, 10).sum(axis=1)
    return scores[:, 0], scores[:, 1], delta


def mean_scores(gap, bias, **options):
    """Mean raw and length-controlled RS of sixty experiments."""
    rng = np.random.default_rng(7)
    found = []
    for _ in range(60):
        ours, theirs, delta = judged(gap, bias, rng, **options)
        found.append((100 * ours.sum() / theirs.sum(), at_equal_length(ours, theirs, delta)))
    return np.mean(found, axis=0)


@pytest.mark.parametrize("longer", [-0.5, 0.3, 1.2])
@pytest.mark.parametrize("gap", [-1, 0, 1])
def test_a_length_bias_is_lessened_and_never_turned_round(gap, longer):
    truth = mean_scores(gap=gap, bias=0)[0]
    raw, controlled = mean_scores(gap=gap, bias=1.5, longer=longer)
    assert abs(raw - truth) > 5
    assert 0.25 < (controlled - raw) / (truth - raw) < 1


def test_the_more_questions_the_less_the_prior_says():
    rng, shares = np.random.default_rng(0), {}
    for n in (80, 805):
        delta = rng.normal(-1, 1, n) * 1000
        wins = (rng.random(n) < 1 / (1 + np.exp(-(0.5 + 2.5 * np.tanh(delta / delta.std()))))).astype(float)
        odds = at_equal_length(wins, 1 - wins, delta) / 100
        shares[n] = odds / (1 + odds)
        assert wins.mean() < 0.4
    assert 0.42 < shares[80] < 0.5 < shares[805] < 1 / (1 + np.exp(-0.5))


def test_without_length_differences_it_is_the_raw_score():
    ours, theirs = np.array([12.0, 9.0, 17.0]), np.array([18.0, 16.0, 15.5])
    assert at_equal_length(ours, theirs, np.zeros(3)) == pytest.approx(100 * ours.sum() / theirs.sum(), rel=1e-9)
    delta = np.array(
        [300.0, 100.0, 40.0]
    )  # no liking for length in the data, and none of the prior's where both are longer alike
    both = at_equal_length(np.tile(ours, 2), np.tile(theirs, 2), np.concatenate([delta, -delta]))
    assert both == pytest.approx(100 * ours.sum() / theirs.sum(), rel=2e-3)


def test_equals_the_posterior_mode_that_a_general_minimiser_finds():
    ours, theirs, delta = judged(0.5, 1.0, np.random.default_rng(0))
    x, n = np.tanh(delta / delta.std()), ours + theirs
    share = ours.sum() / n.sum()
    kappa = np.sqrt((n * (ours / n - share) ** 2).sum() / n.sum() / (share * (1 - share)))
    assert 0.05 < kappa < 0.2

    def loss(parameters):
        log_odds = parameters[0] + parameters[1] * x
        likelihood = (ours * np.log1p(np.exp(-log_odds)) + theirs * np.log1p(np.exp(log_odds))).sum()
        return (likelihood / (n.mean() * kappa**2) + (parameters[1] / kappa - SLOPE) ** 2 / (2 * SLOPE_SD**2)) / 100

    # A judgement of n points tells as much as 1 / κ² coins, and the slope, in units of κ, has the prior.
    found = minimize(lambda at: loss(at), np.zeros(2), method="BFGS", options={"gtol": 1e-9})
    assert at_equal_length(ours, theirs, delta) == pytest.approx(100 * np.exp(found.x[0]), rel=1e-5)


def test_influences_are_slopes():
    ours, theirs, delta = judged(0.5, 1.0, np.random.default_rng(0), n=12)
    estimate = log_odds_at_equal_length(ours, theirs, delta)
    counts = np.ones((1, 12))
    value, influence = estimate(counts)
    for question in range(12):
        more = counts + 1e-5 * np.eye(12)[question]
        assert influence[0, question] == pytest.approx((estimate(more)[0][0] - value[0]) / 1e-5, abs=1e-4)


def report(ours, theirs, lengths, wins=None):
    wins = np.sign(ours - theirs) / 2 + 0.5 if wins is None else wins
    return length_report(np.stack([ours, theirs], axis=1), lengths, wins, np.full(len(ours), 2.0), 0)


def test_a_report_on_pairs(monkeypatch):
    monkeypatch.setattr(bootstrap, "N_DRAWS", 500)
    ours, theirs, delta = judged(-1, 1.0, np.random.default_rng(2))
    lengths = np.stack([9000 + delta, np.full(80, 9000.0)], axis=1).round()
    found = report(ours, theirs, lengths)
    assert found.n_questions == 80
    assert found.mean == pytest.approx(lengths[:, 0].mean())
    assert found.opponent_mean == 9000
    assert found.mean_log == pytest.approx(np.log(1 + lengths[:, 0]).mean())
    assert found.correlation == pytest.approx(np.corrcoef(ours / 2, np.log(1 + lengths[:, 0]))[0, 1])
    assert found.share_longer == np.mean(lengths[:, 0] > 9000)
    assert found.controlled == pytest.approx(at_equal_length(ours, theirs, lengths[:, 0] - 9000))
    assert found.controlled_interval.low < found.controlled < found.controlled_interval.high
    wins = (np.sign(ours - theirs) + 1) / 2
    odds = at_equal_length(wins, 1 - wins, lengths[:, 0] - 9000) / 100
    assert found.controlled_win_rate == pytest.approx(100 * odds / (1 + odds))


def test_what_lengths_do_not_allow_is_none():
    ours, theirs = np.array([10.0, 12.0, 15.0]), np.array([16.0, 16.0, 18.0])
    unknown = np.full((3, 2), np.nan)
    assert report(ours, theirs, unknown) is None
    one_side = unknown.copy()
    one_side[:, 0] = [100, 200, 300]
    found = report(ours, theirs, one_side)
    assert (found.mean, found.opponent_mean, found.controlled, found.share_longer) == (200, None, None, None)
    assert found.correlation == pytest.approx(np.corrcoef(ours, np.log([101, 201, 301]))[0, 1])
    constant = report(ours, theirs, np.stack([np.full(3, 100.0), np.full(3, 90.0)], axis=1))
    assert (constant.correlation, constant.controlled, constant.controlled_win_rate) == (None, None, None)
    equal = report(ours, theirs, np.full((3, 2), 100.0))
    assert equal.controlled == pytest.approx(100 * 37 / 50)
