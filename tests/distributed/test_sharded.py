"""A model that is sharded over processes: each one's memory is its share, and what comes of it is what one process makes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "sharded.py"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")
def test_a_process_takes_about_its_share(tmp_path):
    file = tmp_path / "peaks.json"
    sizes = ("--width", "512", "--layers", "8", "--vocabulary", "512")
    command = [sys.executable, BENCHMARK, "--processes", "2", *sizes, "--json", file]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    whole, sharded = json.loads(file.read_text())
    # Weights, gradients and two moments of half the model, one layer whole, and what the steps and the files take besides.
    assert sharded["train"] < 0.5 * 4 * sharded["model"] + 0.75 * sharded["model"] < whole["train"]
    assert sharded["embed"] < 0.5 * sharded["model"] + 0.5 * sharded["model"]


def test_a_killed_tuning_ends_like_one_left_alone(made_model, tmp_path):
    shutil.copytree(made_model, tmp_path / "base")
    script = Path(__file__).with_name("train_on_ranks.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-4000:]
