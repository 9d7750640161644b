import numpy as np
import pytest

from diverseevol.base.files import write_json
from diverseevol.errors import RunFolderError


def test_a_run_as_its_folder_tells_it(whole_run, opened):
    run = opened(whole_run).main
    assert (run.name, run.arm, run.seed) == ("a", "k_center", 0)
    assert run.n_chosen == (6, 10, 14)
    assert run.chosen_rows.tolist() == [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 20, 21, 22, 23]
    assert run.diversity["sets"][0]["n_chosen"] == 6
    assert not run.is_full


def test_held_out_rows_and_their_copies_are_not_choosable(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    pool = opened(run.root).main.pool
    run.heldout_dir.mkdir()
    run.holdout_file.write_text(f"{pool.id(40)}\n{pool.id(42)}\n")
    run.holdout_copies_file.write_text(f"{pool.id(41)}\n")
    assert sorted(opened(run.root).main.unchoosable_rows.tolist()) == [40, 41, 42]


def test_a_run_on_everything_is_called_full(made, opened, tmp_path):
    run = made.make_run(tmp_path / "all", made.records(20), rounds=[list(range(19))], losses=[1.0], strategy="random")
    assert not opened(run.root).main.is_full
    run.heldout_dir.mkdir()
    run.holdout_file.write_text(opened(run.root).main.pool.id(19) + "\n")
    assert opened(run.root).main.is_full
    assert opened(run.root).main.arm == "full"


def test_seeds_of_one_strategy_are_one_arm_and_others_keep_their_names(made, opened, tmp_path):
    one, two = (made.make_run(tmp_path / f"seed{seed}" / "a", seed=seed).root for seed in (0, 1))
    subject = opened(one, two)
    assert {arm: [run.seed for run in runs] for arm, runs in subject.arms.items()} == {"k_center": [0, 1]}
    assert [run.name for run in subject.runs] == [str(one), str(two)]  # both folders are called a
    other = made.make_run(tmp_path / "b", rounds=[[0, 1]], losses=[1.0]).root
    assert list(opened(one, other).arms) == ["a", "b"]  # another schedule: no two seeds of one thing
    same_seed = made.make_run(tmp_path / "c").root
    assert list(opened(one, same_seed).arms) == ["a", "c"]


def test_a_comparison_is_its_runs_strategies_first(made, opened, tmp_path):
    for seed in (0, 1):
        for arm in ("random", "k_center", "full"):
            rounds = [list(range(50))] if arm == "full" else ((0, 1), (2, 3), (4, 5))
            made.make_run(
                tmp_path / "runs" / f"seed-{seed}" / arm, rounds=rounds, seed=seed, strategy="random" if arm == "full" else arm
            )
    runs = [{"arm": arm, "seed": seed} for seed in (0, 1) for arm in ("random", "k_center", "full")]
    write_json(tmp_path / "comparison.json", {"runs": runs, "words": ["k_center wins"]})
    subject = opened(tmp_path)
    assert [run.name for run in subject.runs] == [
        f"{arm}, seed {seed}" for arm in ("k_center", "random", "full") for seed in (0, 1)
    ]
    assert {arm: len(found) for arm, found in subject.arms.items()} == {"k_center": 2, "random": 2, "full": 2}
    assert [run.name for run in subject.one_an_arm] == ["k_center, seed 0", "random, seed 0"]
    assert [run.is_full for run in subject.runs] == [False, False, False, False, True, True]
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


def test_only_finished_rounds_count(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    (run.round_dir(2) / "done").unlink()
    assert opened(run.root).main.rounds == (0, 1)
    assert np.array_equal(opened(run.root).main.chosen_rows, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13])


@pytest.mark.parametrize(
    ("arm", "seed"), [("../../elsewhere", 0), ("random/../../../elsewhere", 0), ("random", "0/../../.."), ("..", 0)]
)
def test_a_comparison_names_no_folder_outside_its_own(opened, tmp_path, arm, seed):
    write_json(tmp_path / "comparison.json", {"runs": [{"arm": arm, "seed": seed}], "words": []})
    with pytest.raises(RunFolderError, match=f"comparison.json is damaged: '{arm}' is no strategy's name"):
        opened(tmp_path)
