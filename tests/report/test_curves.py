import statistics

import pytest

from diverseevol.pool import Pool
from diverseevol.report.curves import diversity_charts, quality_charts, scores_of
from diverseevol.run_folder import RunFolder


def of(charts, key):
    return next(chart for chart in charts if chart.key == key)


def test_losses_by_round(whole_run, opened):
    charts = quality_charts(opened(whole_run))
    assert [chart.key for chart in charts] == ["heldout-loss", "balanced-loss", "verdicts-0"]
    (line,) = of(charts, "heldout-loss").series
    assert (line.name, line.role, line.x, line.y, line.low) == ("k_center", "main", [6.0, 10.0, 14.0], [3.0, 2.5, 2.25], None)
    assert of(charts, "balanced-loss").series[0].y == [3.5, 3.0, 2.75]


def test_relative_score_with_its_interval(whole_run, opened):
    chart = of(quality_charts(opened(whole_run)), "verdicts-0")
    (line,) = chart.series
    assert chart.title == "Verdicts: vicuna against base"
    assert line.x == [6.0, 14.0]
    assert line.y == pytest.approx([100 * 24 / 31, 100 * 26 / 26])
    assert all(low < value < high for low, value, high in zip(line.low, line.y, line.high, strict=True))
    assert [at for at, _ in scores_of(opened(whole_run).main)["vicuna against base"]] == [0, 2]


def test_a_file_that_holds_no_verdicts_is_passed_over(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    file = run.verdicts_file("vicuna", "round-01-vs-base")
    file.parent.mkdir(parents=True)
    file.write_text('{"question_id": 1, "nothing": true}\n')
    assert scores_of(opened(run.root).main) == {}


def test_seeds_make_a_band_and_the_whole_pool_a_level_line(made, opened, tmp_path):
    roots = [made.make_run(tmp_path / f"k{seed}", seed=seed, losses=(3.0 + seed, 2.0, 1.0)).root for seed in (0, 1, 2)]
    roots += [made.make_run(tmp_path / "random", strategy="random").root]
    roots += [made.make_run(tmp_path / "all", rounds=[list(range(60))], losses=[0.5], strategy="random").root]
    main, drawn, whole = of(quality_charts(opened(*roots)), "heldout-loss").series
    assert (main.name, main.role, main.y) == ("k_center, mean of 3 seeds", "main", [4.0, 2.0, 1.0])
    spread = statistics.stdev([3.0, 4.0, 5.0])
    assert (main.low, main.high) == ([4.0 - spread, 2.0, 1.0], [4.0 + spread, 2.0, 1.0])
    assert (drawn.role, drawn.y, drawn.low) == ("random", [3.0, 2.5, 2.25], None)
    assert (whole.name, whole.role, whole.x, whole.y) == ("the whole pool", "full", [6.0, 14.0], [0.5, 0.5])
    assert "Bands: one standard deviation over 3 seeds." in of(quality_charts(opened(*roots)), "heldout-loss").note


def test_a_run_without_losses_has_no_curve(made, opened, tmp_path):
    assert quality_charts(opened(made.make_run(tmp_path / "r", losses=None).root)) == []


def test_radius_and_vendi_beside_random_sets(whole_run, opened):
    radius, vendi = diversity_charts(opened(whole_run))
    assert (radius.key, vendi.key) == ("covering-radius", "vendi-1")
    line, band = radius.series
    assert (line.y, band.role, band.y) == ([0.9, 0.6, 0.4], "random", pytest.approx([1.1, 0.8, 0.6]))
    assert (band.low, band.high) == (pytest.approx([1.0, 0.7, 0.5]), pytest.approx([1.2, 0.9, 0.7]))
    assert vendi.series[0].y == [4.0, 6.0, 7.5]
    assert "In the vectors of model models/tiny, the same for all rounds." in radius.note


def test_only_what_was_measured_in_the_same_vectors_is_compared(made, opened, tmp_path):
    one, two = made.make_run(tmp_path / "a"), made.make_run(tmp_path / "b", strategy="random")
    assert diversity_charts(opened(one.root, two.root)) == []
    made.add_diversity(one)
    made.add_diversity(two, radii=(1.0, 0.9, 0.8))
    assert [line.name for line in diversity_charts(opened(one.root, two.root))[0].series] == [
        "k_center",
        "random",
    ]  # a run of random is a better line than random sets
    made.add_diversity(two, embeddings="others.npy")
    assert [line.role for line in diversity_charts(opened(one.root, two.root))[0].series] == ["main", "random"]
    assert diversity_charts(opened(one.root, two.root))[0].series[1].name == "random sets, mean and 5–95 %"


def test_losses_on_other_rows_are_said_not_to_compare(made, opened, tmp_path):
    one, two = made.make_run(tmp_path / "a"), made.make_run(tmp_path / "b", strategy="random")
    ids = Pool.open(one.pool_dir).ids
    warning = "The runs' held-out rows are not the same, so their losses cannot be compared."
    for held, is_said in ((ids[40:42], False), (ids[40:43], True)):
        for run, rows in ((one, ids[40:42]), (two, held)):
            run.heldout_dir.mkdir(exist_ok=True)
            run.holdout_file.write_text("".join(f"{row}\n" for row in rows))
        assert (warning in of(quality_charts(opened(one.root, two.root)), "heldout-loss").note) is is_said
    comparison = made.make_comparison(tmp_path / "c")
    for arm, held in (("k_center", ids[40:42]), ("random", ids[40:43])):
        run = RunFolder(comparison / "runs/seed-0" / arm)
        run.heldout_dir.mkdir()
        run.holdout_file.write_text("".join(f"{row}\n" for row in held))
    assert warning not in of(quality_charts(opened(comparison)), "heldout-loss").note
