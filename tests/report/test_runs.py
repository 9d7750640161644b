import numpy as np
import pytest

from diverseevol.base.files import write_json
from diverseevol.errors import RunFolderError


def test_a_run_as_its_folder_tells_it_finished_rounds_alone(made, opened, tmp_path):
    run = made.make_run(tmp_path / "a")
    pool = opened(run.root).main.pool
    run.heldout_dir.mkdir()
    run.holdout_file.write_text(f"{pool.id(40)}\n{pool.id(42)}\n")
    run.holdout_copies_file.write_text(f"{pool.id(41)}\n")
    (run.round_dir(2) / "done").unlink()
    found = opened(run.root).main
    assert (found.name, found.arm, found.seed, found.is_full) == ("a", "k_center", 0, False)
    assert (found.rounds, found.n_chosen) == ((0, 1), (6, 10))
    assert np.array_equal(found.chosen_rows, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13])
    assert sorted(found.unchoosable_rows.tolist()) == [40, 41, 42]  # held-out rows and their copies


def test_a_run_on_everything_is_called_full(made, opened, tmp_path):
    run = made.make_run(tmp_path / "all", made.records(20), rounds=[list(range(19))], losses=[1.0], strategy="random")
    assert not opened(run.root).main.is_full
    run.heldout_dir.mkdir()
    run.holdout_file.write_text(opened(run.root).main.pool.id(19) + "\n")
    assert opened(run.root).main.is_full and opened(run.root).main.arm == "full"


def test_seeds_of_one_strategy_are_one_arm_and_others_keep_their_names(made, opened, tmp_path):
    one, two = (made.make_run(tmp_path / f"seed{seed}" / "a", seed=seed).root for seed in (0, 1))
    subject = opened(one, two)
    assert {arm: [run.seed for run in runs] for arm, runs in subject.arms.items()} == {"k_center": [0, 1]}
    assert [run.name for run in subject.runs] == [str(one), str(two)]  # both folders are called a
    other = made.make_run(tmp_path / "b", rounds=[[0, 1]], losses=[1.0], seed=1).root
    assert list(opened(one, other).arms) == ["a", "b"]  # another schedule: no two seeds of one thing
    assert list(opened(one, made.make_run(tmp_path / "c").root).arms) == ["a", "c"]  # the same seed


def test_a_comparison_is_its_runs_strategies_first(made, opened, tmp_path):
    subject = opened(made.make_comparison(tmp_path, ["k_center wins"]))
    assert [run.name for run in subject.runs] == [f"{arm}, seed 0" for arm in ("k_center", "random", "full")]
    assert [run.name for run in subject.one_an_arm] == ["k_center, seed 0", "random, seed 0"]
    assert [run.is_full for run in subject.runs] == [False, False, True]
    assert subject.comparison["words"] == ["k_center wins"]
    with pytest.raises(RunFolderError, match="is a comparison. Give it alone, or run folders below"):
        opened(tmp_path, tmp_path / "runs/seed-0/random")


def test_what_cannot_be_reported(made, opened, tmp_path):
    with pytest.raises(RunFolderError, match="is neither a run folder .it has no config.yaml. nor a finished comparison"):
        opened(tmp_path)
    run = made.make_run(tmp_path / "r", rounds=[[0, 1]], losses=None)
    with pytest.raises(RunFolderError, match="the same run is named twice"):
        opened(run.root, run.root.parent / "r")
    (run.round_dir(0) / "done").unlink()
    with pytest.raises(RunFolderError, match="has no finished round to report yet. Give the run's command again."):
        opened(run.root)


@pytest.mark.parametrize(
    ("arm", "seed"), [("../../elsewhere", 0), ("random/../../../elsewhere", 0), ("random", "0/../../.."), ("..", 0)]
)
def test_a_comparison_names_no_folder_outside_its_own(opened, tmp_path, arm, seed):
    write_json(tmp_path / "comparison.json", {"runs": [{"arm": arm, "seed": seed}], "words": []})
    with pytest.raises(RunFolderError, match=f"comparison.json is damaged: '{arm}' is no strategy's name"):
        opened(tmp_path)
