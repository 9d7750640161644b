import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from diverseevol.config import load_config
from diverseevol.errors import RunFolderError
from diverseevol.run import RunFolder, flat, locked, runs_below
from diverseevol.run.resume import start_record


def config(*words):
    return load_config(None, words, options={"pool.path": "p", "model": "m", "out": "somewhere"})


def test_the_layout_is_the_contract(tmp_path):
    run = RunFolder(tmp_path)
    names = [
        run.chosen_file(3),
        run.subset_file(3),
        run.model_dir(3),
        run.signals_dir(3),
        run.metrics_file(3),
        run.config_file,
        run.pool_dir,
    ]
    assert [str(name.relative_to(tmp_path)) for name in names] == [
        "rounds/03/chosen.jsonl",
        "rounds/03/subset.jsonl",
        "rounds/03/model",
        "rounds/03/signals",
        "rounds/03/metrics.json",
        "config.yaml",
        "pool",
    ]


def test_picks_come_back_and_accumulate_in_pick_order(tmp_path):
    run = RunFolder(tmp_path)
    run.save_picks(0, [{"id": "b", "row": 5}, {"id": "a", "row": 2}])
    run.save_picks(1, [{"id": "c", "row": 9}])
    assert run.chosen_before(0) == []
    assert run.chosen_before(2) == [5, 2, 9]
    with pytest.raises(RunFolderError, match=r"round 2 .* has no chosen.jsonl; finished rounds: none"):
        run.picks(2)


def test_metrics_of_stages_are_merged(tmp_path):
    run = RunFolder(tmp_path)
    run.add_metrics(0, {"n_new": 3, "stages": {"select": {"seconds": 1, "own": "x"}}})
    run.add_metrics(0, {"stages": {"train": {"seconds": 2}}})
    stages = {"select": {"seconds": 1, "own": "x"}, "train": {"seconds": 2}}
    assert run.metrics(0).values() == {"round": 0, "n_new": 3, "stages": stages}
    assert run.metrics(0)["stages"] == stages and "stopped" not in run.metrics(0)


def test_a_key_that_the_version_of_the_start_did_not_know_counts_as_its_default(tmp_path):
    run = RunFolder(tmp_path)
    start_record(run, config(), {"pool": "abc"})
    run.model_dir(0).mkdir(parents=True)
    stored = yaml.safe_load(run.config_file.read_text())
    del stored["pool"]["dedup"]
    run.config_file.write_text(yaml.safe_dump(stored))
    with pytest.raises(RunFolderError, match=r"another pool.dedup \(False then, 'near' now\)"):
        start_record(run, config("pool.dedup=near"), {"pool": "abc"})
    start_record(run, config(), {"pool": "abc"})


def test_the_same_run_opens_again_and_another_does_not(tmp_path):
    run = RunFolder(tmp_path)
    start_record(run, config(), {"pool": "abc"})
    start_record(run, config(), {"pool": "abc"})
    start_record(run, config("rounds=12", "keep=all"), {"pool": "abc"})  # these two may change
    (tmp_path / "pool").mkdir()
    start_record(run, config("rounds=12", "keep=all", "seed=3"), {"pool": "abd"})  # no round is done: a start may be mended
    assert not (tmp_path / "pool").exists()
    start_record(run, config("rounds=12", "keep=all"), {"pool": "abc"})
    checkpoint = run.checkpoints_dir(0) / "checkpoint-7"
    checkpoint.mkdir(parents=True)
    with pytest.raises(RunFolderError, match=r"another seed"):  # hours of training may lie in it
        start_record(run, config("rounds=12", "keep=all", "seed=3"), {"pool": "abc"})
    assert checkpoint.is_dir()
    shutil.rmtree(run.checkpoints_dir(0))  # nor may a finished round, of which nothing else is kept
    run.finish(0)
    with pytest.raises(RunFolderError, match=r"another seed \(0 then, 1 now\).*may change only rounds"):
        start_record(run, config("rounds=12", "keep=all", "seed=1"), {"pool": "abc"})
    with pytest.raises(RunFolderError, match=r"train.learning_rate \(2e-05 then, 0.1 now\)"):
        start_record(run, config("rounds=12", "keep=all", "train.learning_rate=0.1"), {"pool": "abc"})
    with pytest.raises(RunFolderError, match=r"the pool is not the one .* \(abc then, abd now\)"):
        start_record(run, config("rounds=12", "keep=all"), {"pool": "abd"})
    assert run.config()["rounds"] == 12
    assert run.config()["versions"]["torch"]


def test_the_best_round_has_the_lowest_loss_and_comes_first(tmp_path):
    run = RunFolder(tmp_path)
    for index, loss in enumerate([2.0, 1.0, 1.0, 0.5]):
        run.add_metrics(index, {"heldout": {"loss": loss}})
    assert run.best_round(range(3)) == 1
    assert run.best_round([0, 3]) == 3
    assert run.best_round([7]) is None


def test_the_rows_that_signals_are_about_come_back(tmp_path):
    run = RunFolder(tmp_path)
    run.save_seen_rows(0, None)
    assert run.seen_rows(0) is None
    run.save_seen_rows(0, np.array([4, 9]))
    assert run.seen_rows(0).tolist() == [4, 9]


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunFolderError, match="is no run folder but holds 'thesis.tex'"):
        start_record(RunFolder(tmp_path), config(), {})
    with pytest.raises(RunFolderError, match="is not a run folder"):
        RunFolder(tmp_path).config()


def test_two_processes_cannot_hold_one_folder(tmp_path):
    code = f"from pathlib import Path\nfrom diverseevol.run import locked\nwith locked(Path({str(tmp_path)!r})):\n    pass\n"
    with locked(tmp_path):
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "RunFolderError" in ended.stderr
        assert "is in use by process" in ended.stderr
        with pytest.raises(RunFolderError, match="Wait for it or end it"), locked(tmp_path):
            pass
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_place_that_cannot_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunFolderError, match="cannot write in the run folder .*: Not a directory"), locked(tmp_path / "file/run"):
        pass


def test_flat():
    assert flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}


def test_run_folders_below_a_folder(tmp_path):
    for place in ("b", "a", "cmp/runs/seed-0/k_center", "too/deep/for/a/look", "cmp/runs"):
        (tmp_path / place / "rounds").mkdir(parents=True)
    for place in ("b", "a", "cmp/runs/seed-0/k_center", "too/deep/for/a/look", "other"):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "config.yaml").write_text("rounds: 1\n")
    assert runs_below(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert runs_below(tmp_path / "cmp") == [tmp_path / "cmp/runs/seed-0/k_center"]
    assert runs_below(tmp_path / "a") == runs_below(tmp_path / "nowhere") == []


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(RunFolderError, match="f is a file. Give --out a folder."), locked(tmp_path / "f"):
        pass
