"""A disk that is full and one that cannot be written: a clear error, and the run goes on once there is room."""

import json
import subprocess
import sys
from contextlib import contextmanager

import pytest

QUICK = ("train.num_train_epochs=1", "train.learning_rate=1e-3", "train.total_batch_size=8", "prompt.max_length=256")


@contextmanager
def small_disk(folder, size):
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small file system: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def run(made_model, pool_file, out):
    words = ("run", "--pool", pool_file, "--model", made_model, "--out", out, "--rounds", 1, "--n-init", 8, "--n-new", 4, *QUICK)
    return subprocess.run([sys.executable, "-m", "diverseevol", *map(str, words)], capture_output=True, text=True, timeout=120)


def chosen(out):
    files = [out / f"rounds/{index:02d}/chosen.jsonl" for index in (0, 1)]
    return [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(made_model, pool_file, tmp_path_factory):
    """The ids of a run that had room."""
    out = tmp_path_factory.mktemp("alone") / "run"
    assert run(made_model, pool_file, out).returncode == 0
    return chosen(out)


@pytest.mark.parametrize("kib", [64, 320])  # inside the pool, inside the model
def test_a_full_disk_is_named_and_nothing_is_lost(made_model, pool_file, alone, tmp_path, kib):
    with small_disk(tmp_path / "disk", f"{kib}k") as disk:
        ended = run(made_model, pool_file, disk / "run")
        assert ended.returncode == 1, ended.stderr
        said = [line for line in ended.stderr.splitlines() if line.startswith("Error")]
        assert len(said) == 1
        assert "No space left" in said[0] or "the disk is full" in said[0]
        assert "Traceback" not in ended.stderr
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        again = run(made_model, pool_file, disk / "run")
        assert again.returncode == 0, again.stderr
        assert chosen(disk / "run") == alone


def test_a_read_only_disk_is_named(made_model, pool_file, tmp_path):
    with small_disk(tmp_path / "disk", "64m") as disk:
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        ended = run(made_model, pool_file, disk / "run")
    assert ended.returncode == 1
    assert "cannot write in the run folder" in ended.stderr
    assert "Read-only file system" in ended.stderr
    assert "Traceback" not in ended.stderr
