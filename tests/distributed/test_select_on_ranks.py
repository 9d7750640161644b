"""K-Center under torchrun and gloo gives every rank the picks of a single process."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from diverseevol.selection import select


def test_three_processes_pick_as_one_does(tmp_path):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, 12)).astype(np.float32)
    duplicates = rng.integers(0, 3, size=(130, 4)).astype(np.float16)
    np.save(tmp_path / "points-plain.npy", points)
    np.save(tmp_path / "points-lattice.npy", duplicates)
    script = str(Path(__file__).with_name("select_on_ranks.py"))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "3", script, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    for stem, array in (("plain", points), ("lattice", duplicates)):
        for name, chosen in (("some", [5, 90, 33]), ("none", [])):
            alone = select(array, chosen, 40)
            for rank in range(3):
                found = np.load(tmp_path / f"picks-points-{stem}-{name}-{rank}.npz")
                assert found["rows"].tolist() == alone.rows.tolist()
                assert all(found[column].tolist() == alone.columns[column].tolist() for column in alone.columns)
