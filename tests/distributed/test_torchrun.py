"""The same run on one, two and three processes, as people start it: torchrun and the command line."""

import json
import subprocess
import sys
import time

import pytest

from diverseevol import evolve, load_config


def start(n, made_model, pool_file, out, *words):
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(n)] if n > 1 else []
    command = [
        *(
            sys.executable,
            *launcher,
            "-m",
            "diverseevol",
            "run",
            "--pool",
            str(pool_file),
            "--model",
            str(made_model),
            "--out",
            str(out),
        ),
        *("--rounds", "2", "--n-init", "12", "--n-new", "6", "prompt.max_length=256", "train.num_train_epochs=1"),
        *("train.learning_rate=1e-3", "train.total_batch_size=8", "train.per_device_train_batch_size=2", *words),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def chosen(out):
    return [
        json.loads(line)["id"]
        for index in range(3)
        for line in (out / f"rounds/{index:02d}/chosen.jsonl").read_text().splitlines()
    ]


@pytest.fixture(scope="module")
def alone(made_model, pool_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "run"
    ended = start(1, made_model, pool_file, out)
    assert ended.returncode == 0, ended.stderr
    return chosen(out)


@pytest.mark.parametrize("n", [2, 3])
def test_the_chosen_ids_do_not_depend_on_the_number_of_processes(n, alone, made_model, pool_file, tmp_path):
    ended = start(n, made_model, pool_file, tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    assert chosen(tmp_path / "run") == alone


def test_two_processes_hold_out_and_stop_as_one_does(made_model, pool_file, tmp_path):
    words = ("train.command=test -f {data} && cp {base}/* {out}/", "pool.holdout=20", "stop.measure=covering_radius")
    words += ("stop.share=0.9", "stop.rounds=1")
    ended = start(2, made_model, pool_file, tmp_path / "2", *words)
    assert ended.returncode == 0, ended.stderr
    assert "Stopped by itself: covering_radius has moved by at most " in ended.stderr
    given = {
        "pool.path": str(pool_file),
        "model": str(made_model),
        "out": str(tmp_path / "1"),
        "rounds": 2,
        "n_init": 12,
        "n_new": 6,
    }
    list(evolve(load_config(None, (*words, "prompt.max_length=256"), options=given)))
    one, two = ([json.loads((tmp_path / f"{n}/rounds/{at:02d}/metrics.json").read_text()) for at in (0, 1)] for n in (1, 2))
    assert [metrics["gauge"] for metrics in one] == [pytest.approx(metrics["gauge"]) for metrics in two]
    for file in ("heldout/ids.txt", "rounds/01/subset.jsonl"):
        assert (tmp_path / "1" / file).read_text() == (tmp_path / "2" / file).read_text()
    assert not (tmp_path / "2/rounds/02").exists()


def test_a_failing_rank_ends_all_with_the_reason(made_model, pool_file, tmp_path):
    started = time.monotonic()
    ended = start(2, made_model, pool_file, tmp_path / "run", "pool.path=nowhere.jsonl")
    assert ended.returncode != 0
    assert time.monotonic() - started < 60
    assert "nowhere.jsonl" in ended.stderr
