"""Tuning on several processes: killed, it ends like one left alone; sharded, each process holds about its share."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "sharded.py"


def test_a_killed_tuning_ends_like_one_left_alone(made_model, tmp_path):
    shutil.copytree(made_model, tmp_path / "base")
    script = Path(__file__).with_name("train_on_ranks.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-4000:]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")
def test_a_process_holds_about_its_share(tmp_path):
    file = tmp_path / "peaks.json"
    sizes = ("--width", "256", "--layers", "16", "--vocabulary", "512")
    command = [sys.executable, str(BENCHMARK), "--processes", "2", *sizes, "--json", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    whole, sharded = json.loads(file.read_text())
    # Half of the weights, gradients and two moments; then the batch's gradients beside those of the step, and the layers at hand.
    assert sharded["train"] < (0.5 * 4 + 1.2) * sharded["model"] < 4 * sharded["model"] < whole["train"]
    # The pass holds the weights in half their bytes: half of those, and what a batch takes.
    assert sharded["embed"] < 0.4 * sharded["model"] < 0.5 * sharded["model"] < whole["embed"]
