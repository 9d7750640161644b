"""A run on several processes, as people start it: torchrun (that it chooses what one does: tests/acceptance/test_resume.py)."""

import json
import subprocess
import sys

import pytest

from diverseevol import evolve, load_config

QUICK = (
    "prompt.max_length=256", "train.num_train_epochs=1", "train.learning_rate=1e-3", "train.total_batch_size=8",
    "train.per_device_train_batch_size=2",
)  # fmt: skip


def start(n, made_model, pool_file, out, *words):
    given = ("--pool", pool_file, "--model", made_model, "--out", out, "--rounds", "2", "--n-init", "12", "--n-new", "6")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n), "-m", "diverseevol", "run"]
    return subprocess.run([*command, *map(str, given), *QUICK, *words], capture_output=True, text=True, timeout=300)


def alone(made_model, pool_file, out, *words):
    sizes = {"rounds": 2, "n_init": 12, "n_new": 6}
    options = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), **sizes}
    return list(evolve(load_config(None, (*QUICK, *words), options=options)))


def test_two_processes_hold_out_and_stop_as_one_does(made_model, pool_file, tmp_path):
    words = ("train.command=test -f {data} && cp {base}/* {out}/", "pool.holdout=20", "stop.measure=covering_radius")
    words += ("stop.share=0.9", "stop.rounds=1")
    ended = start(2, made_model, pool_file, tmp_path / "2", *words)
    assert ended.returncode == 0, ended.stderr
    assert "Stopped by itself: covering_radius has moved by at most " in ended.stderr
    alone(made_model, pool_file, tmp_path / "1", *words)
    one, two = ([json.loads((tmp_path / f"{n}/rounds/{at:02d}/metrics.json").read_text()) for at in (0, 1)] for n in (1, 2))
    assert [metrics["gauge"] for metrics in one] == [pytest.approx(metrics["gauge"]) for metrics in two]
    for file in ("heldout/ids.txt", "rounds/01/subset.jsonl"):
        assert (tmp_path / "1" / file).read_text() == (tmp_path / "2" / file).read_text()
    assert not (tmp_path / "2/rounds/02").exists()


def test_a_failing_rank_ends_all_with_the_reason(made_model, pool_file, tmp_path):
    ended = start(2, made_model, pool_file, tmp_path / "run", "pool.path=nowhere.jsonl")  # whose timeout it would meet otherwise
    assert ended.returncode != 0
    assert "nowhere.jsonl" in ended.stderr
