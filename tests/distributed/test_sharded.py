"""Tuning on several processes: killed, it ends like one left alone (what each process holds: benchmarks/sharded.py)."""

import shutil
import subprocess
import sys
from pathlib import Path


def test_a_killed_tuning_ends_like_one_left_alone(made_model, tmp_path):
    shutil.copytree(made_model, tmp_path / "base")
    script = Path(__file__).with_name("train_on_ranks.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", str(script), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-4000:]
