import numpy as np

from diverseevol.report.content import gather


def test_every_part_that_is_missing_says_what_adds_it(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r", losses=None)
    run.plan_file.unlink()
    content = gather(opened(run.root))
    assert set(content.missing) == {"heldout", "verdicts", "lines", "diversity", "map", "cost"}
    assert "pool.holdout=500" in content.missing["heldout"]
    assert f"`diverseevol judge {run.root} --benchmark NAME`" in content.missing["verdicts"]
    assert "`diverseevol compare … --strategies NAME --full --out DIR`" in content.missing["lines"]
    assert f"`diverseevol diversity {run.root}`" in content.missing["diversity"]
    assert f"`diverseevol diversity {run.root}` embeds the pool" in content.missing["map"]
    assert "plan.json" in content.missing["cost"]
    assert content.map_values() is None


def test_a_whole_run_lacks_only_lines_to_hold_it_against(whole_run, opened):
    assert list(gather(opened(whole_run)).missing) == ["lines"]


def test_the_map_names_samples_by_their_places(whole_run, opened):
    content = gather(opened(whole_run))
    values = content.map_values()
    assert [(run["name"], [(round_["round"], round_["at"]) for round_ in run["rounds"]]) for run in values["runs"]] == [
        ("a", [(0, [0, 1, 2, 3, 4, 5]), (1, [10, 11, 12, 13]), (2, [20, 21, 22, 23])])
    ]
    assert np.allclose(values["x"], content.projection.xy_P2[:, 0], atol=1e-3)
    assert [chart.key for chart in content.charts] == [
        "heldout-loss", "balanced-loss", "verdicts-0", "covering-radius", "vendi-1", "coverage", "lengths", "cost",
    ]  # fmt: skip


def test_rows_without_a_vector_have_no_place_and_stay_in_the_table(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    run.signals_dir(2).mkdir()
    np.save(run.signals_dir(2) / "embeddings.npy", made.vectors(50))
    run.save_seen_rows(2, np.arange(10, 60))
    content = gather(opened(run.root))
    values = content.map_values()
    assert content.samples.rows_P.tolist() == [*range(6), *range(10, 60)]  # the picks, and of the rest those that can be placed
    assert [at for at, x in enumerate(values["x"]) if x is None] == list(range(6))


def test_runs_over_another_pool_are_not_on_the_map(made, opened, tmp_path):
    one = made.make_run(tmp_path / "a", vectors=made.vectors(60))
    two = made.make_run(tmp_path / "b", made.records(61), strategy="random")
    three = made.make_run(tmp_path / "c", strategy="margin")
    content = gather(opened(one.root, two.root, three.root))
    assert [run.name for run in content.shown_runs] == ["a", "c"]
