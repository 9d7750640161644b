import numpy as np
import pytest
from scipy import stats

from diverseevol.evaluation.paired import paired, pairs_needed, power


@pytest.mark.parametrize("n", [2, 3, 5, 12])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.975])
def test_the_interval_is_that_of_scipys_paired_t_test(n, confidence):
    rng = np.random.default_rng([n, round(confidence * 1000)])
    one, other = rng.normal(2.0, 0.1, n), rng.normal(1.9, 0.2, n)
    expected = stats.ttest_rel(one, other).confidence_interval(confidence)
    found = paired((one - other).tolist(), confidence)
    assert (found.n, found.mean) == (n, pytest.approx((one - other).mean()))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_one_pair_and_pairs_that_do_not_differ_have_no_interval():
    assert paired([0.25], 0.95) == paired([0.25, 0.25][:1], 0.95)
    assert (paired([0.25], 0.95).low, paired([0.25], 0.95).n_needed) == (None, None)
    same = paired([0.1] * 7, 0.95)  # the mean of these is not 0.1 to the last bit, their deviation not 0
    assert (same.n, same.low, same.high, same.n_needed) == (7, None, None, None)
    assert same.mean == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("effect", "needed"),
    # Cohen (1988) and G*Power 3.1, means of matched pairs, two-sided, alpha 0.05, power 0.80.
    [(0.2, 199), (0.3, 90), (0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6)],
)
def test_pairs_needed_are_those_of_the_tables(effect, needed):
    assert pairs_needed(effect, 0.05) == needed


@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.01])
@pytest.mark.parametrize("effect", [0.05, 0.4, 0.9, 3.0, 30.0, 1e6])
def test_pairs_needed_are_the_fewest_with_the_power(effect, alpha):
    needed = pairs_needed(effect, alpha)
    assert power(needed, effect, alpha) >= 0.8
    assert needed == 2 or power(needed - 1, effect, alpha) < 0.8


def test_an_effect_of_nothing_or_next_to_it_needs_more_pairs_than_are_counted():
    assert pairs_needed(0.0, 0.05) is None
    assert pairs_needed(0.027, 0.05) is None
    assert 9000 < pairs_needed(0.0285, 0.05) <= 10_000
    assert paired([-1.0, 1.0], 0.95).n_needed is None


def test_the_power_is_the_share_of_simulated_experiments_that_find_the_effect():
    rng = np.random.default_rng(0)
    for n, effect in ((4, 1.5), (10, 0.5)):
        values = rng.normal(effect, 1.0, (20_000, n))
        found = np.abs(stats.ttest_1samp(values, 0.0, axis=1).pvalue) < 0.05
        assert power(n, effect, 0.05) == pytest.approx(found.mean(), abs=0.012)
    assert power(6, 0.0, 0.05) == pytest.approx(0.05)
    assert power(6, -0.8, 0.05) == pytest.approx(power(6, 0.8, 0.05))
