import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from diverseevol.config import load_config
from diverseevol.errors import RunFolderError
from diverseevol.run import RunFolder, locked, runs_below
from diverseevol.run.resume import start_record


def config(*words):
    return load_config(None, words, options={"pool.path": "p", "model": "m", "out": "somewhere"})


def test_picks_come_back_and_accumulate_in_pick_order(tmp_path):
    run = RunFolder(tmp_path)
    run.save_picks(0, [{"id": "b", "row": 5}, {"id": "a", "row": 2}])
    run.save_picks(1, [{"id": "c", "row": 9}])
    assert (tmp_path / "rounds/01/chosen.jsonl").exists()
    assert (run.chosen_before(0), run.chosen_before(2)) == ([], [5, 2, 9])
    with pytest.raises(RunFolderError, match=r"round 2 .* has no chosen.jsonl; finished rounds: none"):
        run.picks(2)
    run.save_seen_rows(0, None)
    assert run.seen_rows(0) is None
    run.save_seen_rows(0, np.array([4, 9]))
    assert run.seen_rows(0).tolist() == [4, 9]


def test_metrics_of_stages_are_merged_and_tell_the_best_round(tmp_path):
    run = RunFolder(tmp_path)
    run.add_metrics(0, {"n_new": 3, "stages": {"select": {"seconds": 1, "own": "x"}}})
    run.add_metrics(0, {"stages": {"train": {"seconds": 2}}})
    stages = {"select": {"seconds": 1, "own": "x"}, "train": {"seconds": 2}}
    assert run.metrics(0).values() == {"round": 0, "n_new": 3, "stages": stages}
    assert run.metrics(0)["stages"] == stages and "stopped" not in run.metrics(0)
    for index, loss in enumerate([2.0, 1.0, 1.0, 0.5]):
        run.add_metrics(index, {"heldout": {"loss": loss}})
    assert [run.best_round(rounds) for rounds in (range(3), [0, 3], [7])] == [1, 3, None]


def test_the_same_run_opens_again_and_another_does_not(tmp_path):
    run = RunFolder(tmp_path)
    start_record(run, config(), {"pool": "abc"})
    start_record(run, config("rounds=12", "keep=all"), {"pool": "abc"})  # these two may change
    (tmp_path / "pool").mkdir()
    start_record(run, config("seed=3"), {"pool": "abd"})  # no round is done: a start may be mended
    assert not (tmp_path / "pool").exists()
    start_record(run, config("rounds=12"), {"pool": "abc"})
    checkpoint = run.checkpoints_dir(0) / "checkpoint-7"
    checkpoint.mkdir(parents=True)
    with pytest.raises(RunFolderError, match=r"another seed"):  # hours of training may lie in it
        start_record(run, config("rounds=12", "seed=3"), {"pool": "abc"})
    assert checkpoint.is_dir()
    shutil.rmtree(run.checkpoints_dir(0))  # nor may a finished round, of which nothing else is kept
    run.finish(0)
    with pytest.raises(RunFolderError, match=r"another seed \(0 then, 1 now\).*may change only rounds"):
        start_record(run, config("rounds=12", "seed=1"), {"pool": "abc"})
    with pytest.raises(RunFolderError, match=r"train.learning_rate \(2e-05 then, 0.1 now\)"):
        start_record(run, config("train.learning_rate=0.1"), {"pool": "abc"})
    with pytest.raises(RunFolderError, match=r"the pool is not the one .* \(abc then, abd now\)"):
        start_record(run, config(), {"pool": "abd"})
    assert run.config()["rounds"] == 12 and run.config()["versions"]["torch"]
    stored = yaml.safe_load(run.config_file.read_text())
    del stored["pool"]["dedup"]  # a key that the version of the start did not know counts as its default
    run.config_file.write_text(yaml.safe_dump(stored))
    with pytest.raises(RunFolderError, match=r"another pool.dedup \(False then, 'near' now\)"):
        start_record(run, config("pool.dedup=near"), {"pool": "abc"})
    start_record(run, config(), {"pool": "abc"})


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    file = tmp_path / "thesis.tex"
    file.write_text("x")
    with pytest.raises(RunFolderError, match="is no run folder but holds 'thesis.tex'"):
        start_record(RunFolder(tmp_path), config(), {})
    with pytest.raises(RunFolderError, match="is not a run folder"):
        RunFolder(tmp_path).config()
    with pytest.raises(RunFolderError, match="thesis.tex is a file. Give --out a folder."), locked(file):
        pass
    with pytest.raises(RunFolderError, match="cannot write in the run folder .*: Not a directory"), locked(file / "run"):
        pass


def test_two_processes_cannot_hold_one_folder(tmp_path):
    code = f"from pathlib import Path\nfrom diverseevol.run import locked\nwith locked(Path({str(tmp_path)!r})):\n    pass\n"
    with locked(tmp_path):
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "RunFolderError" in ended.stderr and "is in use by process" in ended.stderr
        with pytest.raises(RunFolderError, match="Wait for it or end it"), locked(tmp_path):
            pass
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_run_folders_below_a_folder(tmp_path):
    for place in ("b", "a", "cmp/runs/seed-0/k_center", "too/deep/for/a/look", "cmp/runs"):
        (tmp_path / place / "rounds").mkdir(parents=True)
    for place in ("b", "a", "cmp/runs/seed-0/k_center", "too/deep/for/a/look", "other"):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "config.yaml").write_text("rounds: 1\n")
    assert runs_below(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert runs_below(tmp_path / "cmp") == [tmp_path / "cmp/runs/seed-0/k_center"]
    assert runs_below(tmp_path / "a") == runs_below(tmp_path / "nowhere") == []
