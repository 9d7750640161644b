import math

import numpy as np
import pytest
from scipy import stats

from diverseevol.evaluation.comparison import (
    Measure,
    Point,
    Run,
    compare_runs,
    compared_with,
    confidence_each,
    read_at,
    verdict_of,
)
from diverseevol.evaluation.paired import Paired

LOSS = Measure("loss", "held-out loss")
BALANCED = Measure("balanced", "balanced loss")
SCORE = Measure("score", "relative score", is_lower_better=False)


def run(arm, seed, losses, budgets=(100, 200, 300), tokens=None, flops=None, seconds=None, **others):
    """A run whose spending grows with its budgets unless it is told otherwise."""
    points = tuple(
        Point(
            n_samples=budget,
            trained_tokens=(tokens or [budget * 10 for budget in budgets])[at],
            seconds=(seconds or [budget / 10 for budget in budgets])[at],
            flops=None if flops == "unknown" else (flops or [budget * 1e6 for budget in budgets])[at],
            values={"loss": losses[at], **{name: values[at] for name, values in others.items()}},
        )
        for at, budget in enumerate(budgets)
    )
    return Run(arm, seed, points)


def made_runs(effect, n_seeds, rng, noise=0.02, arms=("k_center",)):
    """Runs whose arms differ from random by `effect` at the last budget; a seed's own luck is in all of its runs."""
    runs = []
    for seed in range(n_seeds):
        luck = rng.normal(0, 0.1)
        start = 3.0 + luck
        for arm in ("random", *arms):
            shift = 0.0 if arm == "random" else effect
            runs.append(run(arm, seed, [start, 2.2 + luck + rng.normal(shift, noise)], (100, 300), flops="unknown"))
    return runs


def at_end(comparison, axis="samples", measure="loss", arm="k_center", reference="random"):
    return comparison.find(arm, reference, measure, axis)


def test_a_difference_is_paired_by_seed_and_its_interval_that_of_the_paired_t_test():
    ours, random = [2.10, 2.30, 2.00, 2.45], [2.15, 2.34, 2.07, 2.47]
    runs = [run("random", seed, [3.0, 2.6, loss]) for seed, loss in enumerate(random)]
    runs += [run("k_center", seed, [3.0, 2.5, ours[seed]]) for seed in (3, 1, 0, 2)]  # in any order
    found = at_end(compare_runs(runs, [LOSS], ["random"]))
    expected = stats.ttest_rel(ours, random).confidence_interval(0.95)
    assert found.paired.mean == pytest.approx(np.mean(ours) - np.mean(random))
    assert (found.paired.low, found.paired.high) == pytest.approx((expected.low, expected.high))
    assert found.verdict == "better"
    # Unpaired, the seeds' luck would hide it.
    assert stats.ttest_ind(ours, random).pvalue > 0.5


def test_levels_are_means_and_deviations_over_the_seeds():
    runs = [run("random", 0, [3.0, 2.0, 1.0]), run("random", 1, [3.2, 2.4, 1.0]), *[run("a", s, [3.0, 2.0, 1.0]) for s in (0, 1)]]
    levels = compare_runs(runs, [LOSS], ["random"]).levels
    assert [(level.arm, level.n_samples) for level in levels[:4]] == [
        ("random", 100),
        ("random", 200),
        ("random", 300),
        ("a", 100),
    ]
    assert levels[1].mean["loss"] == pytest.approx(2.2)
    assert levels[1].deviation["loss"] == pytest.approx(math.sqrt(2 * 0.2**2))
    assert (levels[1].n_seeds, levels[1].trained_tokens, levels[1].seconds, levels[1].flops) == (2, 2000, 20, 2e8)
    alone = compare_runs([run("random", 0, [3, 2, 1]), run("a", 0, [3, 2, 1])], [LOSS], ["random"])
    assert alone.levels[0].deviation == {"loss": None}


def test_a_start_that_is_shared_is_no_difference_but_one_that_is_not_is():
    comparison = compare_runs(made_runs(0.0, 3, np.random.default_rng(0)), [LOSS], ["random"])
    assert {found.n_samples for found in comparison.differences} == {300}
    runs = [*[run("random", s, [3.0 + s, 2.5, 2.0]) for s in (0, 1)], *[run("a", s, [2.9, 2.5, 2.1]) for s in (0, 1)]]
    assert {found.n_samples for found in compare_runs(runs, [LOSS], ["random"]).differences} == {100, 200, 300}


@pytest.mark.parametrize(
    ("low", "high", "verdict", "reversed_verdict"),
    [
        (-0.2, -0.1, "better", "worse"),
        (0.1, 0.2, "worse", "better"),
        (-0.2, 0.1, "no difference shown", "no difference shown"),
        (-0.2, 0.0, "no difference shown", "no difference shown"),
        (0.0, 0.2, "no difference shown", "no difference shown"),
        (None, None, "no difference shown", "no difference shown"),
    ],
)
def test_an_interval_with_0_in_it_is_never_called_better(low, high, verdict, reversed_verdict):
    found = Paired(4, -0.15 if low is None else (low + high) / 2, low, high)
    assert verdict_of(found, is_lower_better=True) == verdict
    assert verdict_of(found, is_lower_better=False) == reversed_verdict


def test_a_measure_of_which_more_is_better():
    runs = []
    for seed, (ours, random) in enumerate([(75, 70), (77, 71), (74, 70)]):
        runs += [run("random", seed, [3, 2, 2], score=[50, 60, random]), run("k_center", seed, [3, 2, 2], score=[50, 60, ours])]
    comparison = compare_runs(runs, [SCORE, LOSS], ["random"])
    assert at_end(comparison, measure="score").verdict == "better"
    assert at_end(comparison, measure="loss").verdict == "no difference shown"


@pytest.fixture
def without_counting_pairs(monkeypatch):
    """Thousands of experiments need no answer to how many seeds would be enough."""
    monkeypatch.setattr("diverseevol.evaluation.paired.pairs_needed", lambda effect, alpha: None)


@pytest.mark.usefixtures("without_counting_pairs")
def test_with_three_arms_any_of_them_is_called_better_no_more_often():
    rng = np.random.default_rng(2)
    n_any = 0
    for _ in range(500):
        comparison = compare_runs(made_runs(0.0, 4, rng, arms=("a", "b", "c")), [LOSS], ["random"])
        n_any += any(at_end(comparison, arm=arm).verdict == "better" for arm in "abc")
    assert confidence_each(3) == pytest.approx(1 - 0.05 / 3)
    assert n_any / 500 < 0.05


def test_equal_tokens_are_read_off_the_curve_of_the_one_that_spent_more():
    # Ours spent 1,600 response tokens at 200 samples, random 800. At 800 ours lies half way between 400 and 1,600 in the logarithm.
    ours = run("k_center", 0, [3.0, 2.0], budgets=(100, 200), tokens=[400, 1600])
    random = run("random", 0, [3.0, 2.2], budgets=(100, 200), tokens=[400, 800])
    comparison = compare_runs([ours, random], [LOSS], ["random"])
    assert at_end(comparison).paired.mean == pytest.approx(-0.2)
    found = at_end(comparison, "tokens")
    assert (found.at, found.paired.mean) == (800, pytest.approx(2.5 - 2.2))
    # The other way round random is read.
    found = at_end(
        compare_runs(
            [run("a", 0, [3.0, 2.2], (100, 200), [400, 800]), run("random", 0, [3.0, 2.0], (100, 200), [400, 1600])],
            [LOSS],
            ["random"],
        ),
        "tokens",
        arm="a",
    )
    assert (found.at, found.paired.mean) == (800, pytest.approx(2.2 - 2.5))


def test_equal_flops_and_equal_time_are_read_likewise_and_left_out_where_unknown():
    ours = run("k_center", 0, [3.0, 2.0], (100, 200), flops=[1e6, 1e8], seconds=[1.0, 16.0])
    random = run("random", 0, [3.0, 2.4], (100, 200), flops=[1e6, 1e7], seconds=[1.0, 2.0])
    comparison = compare_runs([ours, random], [LOSS], ["random"])
    assert at_end(comparison, "flops").paired.mean == pytest.approx(2.5 - 2.4)
    assert at_end(comparison, "seconds").paired.mean == pytest.approx(2.75 - 2.4)
    unknown = compare_runs([run("a", 0, [3, 2], (1, 2), flops="unknown"), run("random", 0, [3, 2], (1, 2))], [LOSS], ["random"])
    assert at_end(unknown, "flops", arm="a") is None
    assert unknown.level("a").flops is None
    assert at_end(unknown, "seconds", arm="a") is not None


def test_nothing_is_read_beyond_what_was_measured():
    points = run("a", 0, [3.0, 2.0, 1.0], tokens=[100, 400, 900]).points
    assert read_at(points, "tokens", 100, "loss") == pytest.approx(3.0)
    assert read_at(points, "tokens", 200, "loss") == pytest.approx(2.5)
    assert read_at(points, "tokens", 600, "loss") == pytest.approx(1.5)
    assert read_at(points, "tokens", 900, "loss") == pytest.approx(1.0)
    assert read_at(points, "tokens", 99, "loss") is None
    assert read_at(points, "tokens", 901, "loss") is None
    # Time is noisy: what was faster with more samples is still read by its time.
    assert read_at(run("a", 0, [3.0, 2.0, 1.0], seconds=[1, 8, 4]).points, "seconds", 4, "loss") == pytest.approx(1.0)


def test_one_time_is_compared_where_it_has_a_budget_and_the_whole_pool_at_the_end():
    runs = []
    for seed in range(3):
        runs += [
            run("k_center", seed, [3.0, 2.5, 2.0 + seed / 100]),
            run("random", seed, [3.0, 2.6, 2.2 - seed / 50]),
            run("one_time", seed, [3.0, 2.1], budgets=(100, 300)),
            run("full", seed, [1.5], budgets=(5000,)),
        ]
    comparison = compare_runs(runs, [LOSS], ["random", "full"])
    assert {found.n_samples for found in comparison.differences if found.arm == "one_time" and found.reference == "random"} == {
        300
    }
    assert [(found.arm, found.axis) for found in comparison.differences if found.reference == "full"] == [
        ("k_center", "last"),
        ("random", "last"),
        ("one_time", "last"),
    ]
    assert at_end(comparison, "last", reference="full").verdict == "worse"
    assert comparison.find("full", "random", "loss", "samples") is None
    assert comparison.confidence("random") == pytest.approx(0.975)
    assert comparison.confidence("full") == pytest.approx(1 - 0.05 / 3)
    assert compared_with(comparison.arms, "random", ["random", "full"]) == ["k_center", "one_time"]


def test_the_whole_pools_size_may_differ_from_seed_to_seed():
    runs = [run(arm, seed, [3.0, 2.0, 1.0]) for arm in ("random", "a") for seed in (0, 1)]
    comparison = compare_runs([*runs, run("full", 0, [1.5], (901,)), run("full", 1, [1.4], (904,))], [LOSS], ["random", "full"])
    assert comparison.level("full").n_samples == 902
    assert at_end(comparison, "last", arm="a", reference="full").paired.mean == pytest.approx(-0.45)
