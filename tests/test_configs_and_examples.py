"""The configurations and examples that people copy: they load, they run, and the paper's holds the paper's values."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diverseevol import load_config

ROOT = Path(__file__).parents[1]
QUICK = ("train.num_train_epochs=1", "train.learning_rate=1e-3", "train.total_batch_size=8", "prompt.max_length=256")


def test_the_papers_configurations_hold_the_papers_values():
    for name in ("paper_dolly", "paper_alpaca"):
        config = load_config(ROOT / "configs" / f"{name}.yaml")
        assert (config.rounds, config.n_init, config.n_new) == (10, 100, 100)
        assert (config.prompt.template, config.prompt.max_length, config.embed.pooling) == ("alpaca", 512, "mean")
        assert (config.train.start, config.train.method, config.train.total_batch_size) == ("base", "full", 64)
        assert config.train.sft["learning_rate"] == 2e-5
        assert config.train.sft["weight_decay"] == 0
        assert config.train.sft["warmup_steps"] == 0.03
        assert config.train.sft["lr_scheduler_type"] == "cosine"
        assert config.train.sft["num_train_epochs"] == 3
        assert config.selection.strategy == "k_center"


def test_every_configuration_loads():
    files = sorted((ROOT / "configs").glob("*.yaml"))
    assert [file.stem for file in files] == ["modern", "paper_alpaca", "paper_dolly", "thrifty"]
    assert [load_config(file).out for file in files] == [f"runs/{file.stem}" for file in files]


def call(*words, **more):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more}
    ended = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=300, env=environment)
    assert ended.returncode == 0, ended.stderr
    return ended


def test_quickstart(made_model, pool_file, tmp_path):
    said = call(sys.executable, ROOT / "examples/quickstart.py", pool_file, made_model, tmp_path / "run", *QUICK).stdout
    assert f"round 2: 150 samples in {tmp_path / 'run/rounds/02/subset.jsonl'}" in said


@pytest.mark.parametrize("format", ["llamafactory", "alpaca"])
def test_external_trainer(made_model, pool_file, tmp_path, format):
    check = "ls {data}; cp {base}/* {out}"
    words = ("--rounds", "1", "--n-init", "8", "--n-new", "4", "prompt.max_length=256")
    script = ROOT / "examples/external_trainer.sh"
    said = call("bash", script, pool_file, made_model, tmp_path / "run", *words, TRAINER=check, FORMAT=format).stderr
    assert ("dataset_info.json" in said) is (format == "llamafactory")
    assert "12 samples in" in said
