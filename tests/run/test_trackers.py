"""Each tracker's own files, written without a network by its real library and read back."""

import json
import os
import struct
import subprocess
import sys

import pytest

from diverseevol.errors import ConfigError
from diverseevol.run.tracking import open_tensorboard, open_trackio, open_wandb

NOISE = "ignore::DeprecationWarning"


def scalars(folder):
    """{tag: [(step, value)]} as TensorBoard itself reads a folder of event files."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs the extra tensorboard")
    found = reading.EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_tensorboard_takes_back_what_a_killed_process_drew(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    first = open_tensorboard(tmp_path)
    first.log({"round/vendi": 7.0}, "round", 0)
    for step in (1, 2, 3, 4):
        first.log({"train/loss": float(step)}, "train/global_step", step)
    assert scalars(tmp_path / "tensorboard")["train/loss"] == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]  # flushed, not closed
    resumed = open_tensorboard(tmp_path)
    for step in (3, 4, 5):
        resumed.log({"train/loss": step + 10.0}, "train/global_step", step)
    resumed.close()
    first.close()
    assert scalars(tmp_path / "tensorboard") == {
        "round/vendi": [(0, 7.0)],
        "train/loss": [(1, 1.0), (2, 2.0), (3, 13.0), (4, 14.0), (5, 15.0)],
    }


def test_tensorboard_writes_where_its_variable_says(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "elsewhere"))
    tracker = open_tensorboard(tmp_path)
    tracker.log({"round/vendi": 7.0}, "round", 0)
    tracker.close()
    assert scalars(tmp_path / "elsewhere") == {"round/vendi": [(0, 7.0)]}


LOG = """
import sys
from pathlib import Path
from diverseevol.run import tracking as trackers
name, config = "a-ab12cd34", {"rounds": 3}
if sys.argv[1] == "wandb":
    tracker = trackers.open_wandb("ab12cd34", name, None, Path(sys.argv[2]), config)
else:
    tracker = trackers.open_trackio(name, None, config, None)
for step in map(int, sys.argv[3:]):
    tracker.log({"train/loss": 10.0 - step}, "train/global_step", step)
tracker.log({"round/vendi": 2.5}, "round", int(sys.argv[3]))
tracker.close()
"""


def log(name, folder, *steps, **variables):
    """In a process of its own: both libraries keep their settings and threads for a process's life."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "TRACKIO"))} | variables
    command = [sys.executable, "-c", LOG, name, str(folder), *map(str, steps)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert ended.returncode == 0, ended.stderr


def wandb_history(file):
    """The points of a .wandb file: LevelDB's log of blocks of 32 KB, behind 7 bytes; its Python reader is no longer shipped."""
    from wandb.proto import wandb_internal_pb2

    data, at, record, points = file.read_bytes(), 7, b"", []
    while at < len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            parsed, record = wandb_internal_pb2.Record.FromString(record), b""
            items = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in parsed.history.item}
            points += [{key: value for key, value in items.items() if not key.startswith("_")}] if items else []
    return points


@pytest.mark.filterwarnings(NOISE)
def test_wandb_offline_is_one_run_that_is_resumed(tmp_path):
    pytest.importorskip("wandb", reason="needs the extra wandb")
    log("wandb", tmp_path, 0, 1, WANDB_MODE="offline")
    (file,) = tmp_path.glob("wandb/offline-run-*/run-ab12cd34.wandb")
    assert wandb_history(file) == [
        {"train/loss": 10.0, "train/global_step": 0},
        {"train/loss": 9.0, "train/global_step": 1},
        {"round/vendi": 2.5, "round": 0},
    ]


def test_trackio_is_one_local_run_that_is_resumed(tmp_path):
    pytest.importorskip("trackio", reason="needs the extra trackio")
    import sqlite3

    for steps in ((0, 1), (2, 3)):
        log("trackio", tmp_path, *steps, TRACKIO_DIR=str(tmp_path / "trackio"))
    (file,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(file) as connection:
        rows = connection.execute("select run_name, metrics from metrics order by step").fetchall()
    connection.close()
    assert {name for name, _ in rows} == {"a-ab12cd34"}
    assert [json.loads(metrics) for _, metrics in rows] == [
        {"train/loss": 10.0, "train/global_step": 0},
        {"train/loss": 9.0, "train/global_step": 1},
        {"round/vendi": 2.5, "round": 0},
        {"train/loss": 8.0, "train/global_step": 2},
        {"train/loss": 7.0, "train/global_step": 3},
        {"round/vendi": 2.5, "round": 2},
    ]


@pytest.mark.filterwarnings(NOISE)
def test_wandb_that_refuses_says_what_to_do(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="needs the extra wandb")

    def refuse(**_):
        raise wandb.errors.UsageError("No API key configured.\nUse `wandb login` to log in.")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(ConfigError) as caught:
        open_wandb("ab12cd34", "a", None, tmp_path, {})
    assert str(caught.value) == (
        "W&B cannot be started: No API key configured. Use `wandb login` to log in. Log in or correct it, or take wandb off train.report_to. "
        "WANDB_MODE=offline needs no login."
    )


@pytest.mark.filterwarnings(NOISE)
def test_trackio_that_refuses_says_what_to_do(tmp_path, monkeypatch):
    trackio = pytest.importorskip("trackio", reason="needs the extra trackio")

    def refuse(**_):
        raise ValueError("Invalid project name:\n'a/b'.")

    monkeypatch.setattr(trackio, "init", refuse)
    with pytest.raises(ConfigError) as caught:
        open_trackio("a", "a/b", {}, None)
    assert str(caught.value) == (
        "trackio cannot be started: Invalid project name: 'a/b'. Log in or correct it, or take trackio off train.report_to."
    )
