from diverseevol.report.differences import difference_charts, difference_rows, end_rows


def test_differences_by_round_with_the_line_that_they_are_held_against(made, opened, tmp_path):
    first, second = difference_charts(opened(made.make_comparison(tmp_path)))
    assert (first.key, first.title) == ("difference-heldout-loss", "Held-out loss, to random")
    line, zero = first.series
    assert (line.name, line.role, line.x, line.y) == ("k_center", "main", [10.0, 14.0], [-0.2, -0.3])
    assert (line.low, line.high) == ([-0.3, -0.4], [-0.1, -0.2])
    assert (zero.name, zero.role, zero.x, zero.y) == ("random", "random", [10.0, 14.0], [0.0, 0.0])
    assert "below the line of random is better" in first.note
    assert "97.5% intervals" in first.note
    assert second.series[0].y == [-0.1]


def test_what_the_last_budgets_show(made, opened, tmp_path):
    assert difference_rows(opened(made.make_comparison(tmp_path))) == [
        ["k_center less random", "better", "equal samples", "held-out loss", "-0.3000", "-0.4000 to -0.2000"],
        ["k_center less random", "worse", "equal FLOPs", "held-out loss", "+0.5000", "+0.2500 to +0.7500"],
        [
            "k_center less random",
            "no difference shown; 12 seeds would show one of this size",
            "equal samples",
            "balanced loss",
            "-0.1000",
            "-0.3000 to +0.1000",
        ],
        ["k_center less full", "one seed shows nothing", "the last rounds", "held-out loss", "+0.2500", "–"],
    ]


def test_where_each_strategy_ended(made, opened, tmp_path):
    assert end_rows(opened(made.make_comparison(tmp_path))) == [
        ["k_center", "14", "2.25 ± 0.12", "1,234", "24 kFLOPs", "0.50", "1 min 15 s"],
        ["random", "14", "2.5", "1,234", "–", "–", "1 min 15 s"],
    ]


def test_runs_that_were_not_compared_have_no_differences(made, opened, tmp_path):
    subject = opened(made.make_run(tmp_path / "r").root)
    assert (list(difference_charts(subject)), difference_rows(subject), end_rows(subject)) == ([], [], [])
