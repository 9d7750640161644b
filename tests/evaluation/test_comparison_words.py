from dataclasses import replace

import pytest

from diverseevol.evaluation.comparison import Measure, Point, Run, compare_runs, in_words, remarks, rows, shown, verdict_line

LOSS = Measure("loss", "held-out loss")
BALANCED = Measure("balanced", "balanced loss")


def run(arm, seed, last, budgets=(100, 200, 300), tokens=(1000, 2000, 3000), score=0.0):
    """A run that ends with the figures `last` (loss, balanced); all starts and middles are the same."""
    values = [{"loss": 3.0, "balanced": 4.0}, *[{"loss": 2.5, "balanced": 3.5}] * (len(budgets) - 2)]
    values.append(dict(zip(("loss", "balanced"), last, strict=True)))
    if len(budgets) == 1:
        values = values[-1:]
    return Run(
        arm, seed, tuple(Point(*each) for each in zip(budgets, tokens, (1.0, 2.0, 3.0), (1e9, 2e9, 3e9), values, strict=False))
    )


def compared(differences, tokens=(1000, 2000, 3000), measures=(LOSS, BALANCED), extra=()):
    """Random ends at 2.0 and 3.0; k_center by `differences` off, a pair a seed."""
    runs = [run("random", seed, (2.0, 3.0)) for seed in range(len(differences))]
    runs += [run("k_center", seed, (2.0 + one, 3.0 + two), tokens=tokens) for seed, (one, two) in enumerate(differences)]
    return compare_runs([*runs, *extra], measures, ["random", *(["full"] if any(each.arm == "full" for each in extra) else [])])


BETTER = [(-0.10, -0.20), (-0.11, -0.21), (-0.12, -0.19), (-0.09, -0.2), (-0.1, -0.2)]
MIXED = [(0.05, -0.20), (0.06, -0.21), (0.04, -0.19), (0.05, -0.2), (0.06, -0.2)]
UNSURE = [(0.05, -0.20), (-0.06, -0.21), (0.04, -0.19), (0.05, -0.2), (-0.06, -0.2)]


def test_better_is_said_with_its_interval_by_every_way_to_count():
    lines = in_words(compared(BETTER))
    assert lines[0] == "k_center (300 samples) against random (300):"
    assert lines[1] == "  held-out loss (lower is better), 1.8960 against 2.0000"
    assert lines[2].startswith("    equal samples: better: -0.1040 [-0.1")
    assert [line.split(":")[0].strip() for line in lines[2:6]] == [
        "equal samples",
        "equal response tokens",
        "equal FLOPs",
        "equal time",
    ]
    assert "balanced loss (lower is better), 2.8000 against 3.0000" in lines[6]
    assert not any("wins" in line or "response tokens than" in line for line in lines)
    assert (
        lines[-1]
        == "Intervals of differences to random are 95 %, each by itself: not corrected over budgets, measures and ways to count."
    )


def test_a_difference_that_is_not_shown_says_how_many_seeds_would():
    comparison = compared(UNSURE)
    found = comparison.find("k_center", "random", "loss", "samples")
    assert verdict_line(found) == (
        f"no difference shown: {shown(found)}; if it is as large as it looks, {found.paired.n_needed} seeds would show it (80 % power)"
    )
    assert found.paired.n_needed > 100
    assert shown(found).startswith("+0.0040 [-0.0")
    same = compared([(0.01, 0.0)] * 3).find("k_center", "random", "loss", "samples")
    assert verdict_line(same) == "no difference shown: +0.0100 in every seed, so that nothing can be said of luck"
    nothing = compared([(1e-9, 0.0), (1.0, 0.0), (-1.0, 0.0)]).find("k_center", "random", "loss", "samples")
    assert verdict_line(nothing).endswith("; 10,000 seeds would not show one of this size")


@pytest.mark.parametrize(
    ("differences", "line"),
    [
        (MIXED, "  k_center wins on balanced loss, loses on held-out loss."),
        (UNSURE, "  k_center wins on balanced loss, shows no difference on held-out loss."),
        ([(one, -two) for one, two in UNSURE], "  k_center loses on balanced loss, shows no difference on held-out loss."),
    ],
)
def test_winning_on_one_test_set_and_not_on_the_other_is_said_plainly(differences, line):
    assert line in in_words(compared(differences))


def test_longer_responses_are_said_and_a_lead_that_they_explain():
    # At 3,000 tokens k_center stands far back on its curve, where it is no better than random.
    lines = in_words(compared(BETTER, tokens=(1000, 2500, 60000)))
    assert "  k_center was given 1900% more response tokens than random for as many samples." in lines
    assert any(line.startswith("    equal response tokens: worse: +0.4") for line in lines)
    assert "  By held-out loss, its lead is not shown at equal response tokens: it may come from longer responses alone." in lines
    lines = in_words(compared(BETTER, tokens=(1000, 1500, 2100)))
    assert "  k_center was given 30% fewer response tokens than random for as many samples." in lines
    assert not any("longer responses" in line for line in lines)
    lines = in_words(compared(BETTER, tokens=(1000, 2000, 3030)))
    assert not any("response tokens than" in line for line in lines)


def test_few_seeds_one_seed_and_several_arms_are_noted():
    assert any(line.startswith("3 seeds are few") for line in in_words(compared(BETTER[:3])))
    assert not any("are few" in line for line in in_words(compared(BETTER)))
    (line,) = [line for line in in_words(compared(BETTER[:1])) if line.startswith("One seed")]
    assert line.startswith("One seed shows nothing: a difference of the size of a seed's luck looks just like this.")
    assert not any("Intervals" in line for line in in_words(compared(BETTER[:1])))
    assert "    equal samples: one seed shows nothing: -0.1000" in in_words(compared(BETTER[:1]))
    others = [run("one_time", seed, (1.9 + seed / 100, 3.0), budgets=(100, 300), tokens=(1000, 3000)) for seed in range(5)]
    lines = in_words(compared(BETTER, extra=others))
    assert (
        "Intervals of differences to random hold for its 2 opponents together (Bonferroni: 97.5% each), "
        "not over budgets, measures and ways to count."
    ) in lines
    assert "one_time: only two rounds, so that figures between them are read off one long line." in lines
    assert "one_time (300 samples) against random (300):" in lines


def test_the_whole_pool_is_compared_by_the_last_rounds():
    full = [run("full", seed, (1.5, 2.5 + seed / 100), budgets=(9000,), tokens=(90000,)) for seed in range(5)]
    lines = in_words(compared(BETTER, extra=full))
    at = lines.index("k_center (300 samples) against full (9,000):")
    assert lines[at + 2].startswith("    the last rounds: worse: +0.3960 [")
    assert "random (300 samples) against full (9,000):" in lines
    assert not any(line.startswith("full (") for line in lines)
    assert not any("response tokens than full" in line for line in lines)
    assert any(line.startswith("Intervals of differences to full hold for its 2 opponents together") for line in lines)


def test_rows_hold_every_level_and_every_difference_once():
    comparison = compared(BETTER)
    table = rows(comparison)
    assert len({tuple(row) for row in table}) == 1  # the same columns in every row
    assert len([row for row in table if row["axis"]]) == len(comparison.differences) == 2 * 2 * 4
    assert [row["mean"] for row in table if row["arm"] == "random" and row["measure"] == "loss"] == [3.0, 2.5, 2.0]
    (row,) = [
        row
        for row in table
        if (row["arm"], row["n_samples"], row["measure"], row["axis"]) == ("k_center", 300, "loss", "samples")
    ]
    found = comparison.find("k_center", "random", "loss", "samples")
    assert row["difference"] == found.paired.mean == pytest.approx(-0.104)
    assert (row["low"], row["high"], row["verdict"]) == (found.paired.low, found.paired.high, "better")
    assert (row["reference"], row["confidence"], row["n_pairs"], row["at"]) == ("random", 0.95, 5, 300)
    assert row["seeds_needed"] == found.paired.n_needed
    assert row["deviation"] == pytest.approx(0.0114, abs=1e-4)


def test_a_lead_is_not_laid_to_longer_responses_where_there_is_no_lead_or_they_are_shorter():

    def once_better(arm, seed, *last, tokens):
        """A run that was best half way, so that it looks better where it is read further back."""
        start, middle, end = run(arm, seed, *last, tokens=tokens).points
        return Run(arm, seed, (start, replace(middle, values={"loss": 1.0, "balanced": 3.0}), end))

    shorter, longer = (1000, 1500, 2000), (1000, 2900, 60000)
    behind = [once_better("k_center", seed, (2.1 + seed / 1000, 3.0), tokens=longer) for seed in range(5)]
    behind += [run("random", seed, (2.0, 3.0)) for seed in range(5)]
    ahead = [run("k_center", seed, (1.9 + seed / 1000, 3.0), tokens=shorter) for seed in range(5)]
    ahead += [once_better("random", seed, (2.0, 3.0), tokens=(1000, 2000, 3000)) for seed in range(5)]
    for runs, verdicts in ((behind, ["worse", "better"]), (ahead, ["better", "worse"])):
        comparison = compare_runs(runs, (LOSS,), ["random"])
        assert [comparison.find("k_center", "random", "loss", axis).verdict for axis in ("samples", "tokens")] == verdicts
        assert not any("longer responses" in line for line in in_words(comparison))


def test_remarks_are_what_the_differences_do_not_say():
    comparison = compared(BETTER[:3], tokens=(1000, 2000, 3300))
    found = remarks(comparison)
    assert found[0] == "k_center was given 10% more response tokens than random for as many samples."
    assert [line.split()[0] for line in found[-2:]] == ["3", "Intervals"]
    assert [line.strip() for line in in_words(comparison) if not line.startswith("    ") and "is better)" not in line][
        1:
    ] == found
