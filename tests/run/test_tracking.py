"""What a whole loop hands to a tracker: one run, the trainer's series counted on over the rounds, and our own beside them;
and each tracker's own files, written without a network by its real library and read back."""

import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from diverseevol import evolve, load_config, vendi_score
from diverseevol.base.files import read_json
from diverseevol.errors import ConfigError
from diverseevol.run import RunFolder
from diverseevol.run.tracking import check_trackers, open_tensorboard, open_trackio, open_wandb, tracked

NOISE = "ignore::DeprecationWarning"
QUICK = ("train.num_train_epochs=1", "train.learning_rate=1e-3", "train.total_batch_size=8", "prompt.max_length=256")


def config(made_model, pool_file, out, *words):
    options = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 1, "n_init": 16, "n_new": 8}
    return load_config(None, (*QUICK, *words), options=options)


def scalars(folder):
    """{tag: [(step, value)]} as TensorBoard itself reads a folder of event files."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs the extra tensorboard")
    found = reading.EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.fixture(scope="module")
def with_tensorboard(made_model, pool_file, tmp_path_factory):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    out = tmp_path_factory.mktemp("tracked") / "run"
    words = ("train.report_to=tensorboard", "pool.holdout=20", "keep_signals=all", "rounds=2")
    return out, list(evolve(config(made_model, pool_file, out, *words)))


def test_the_trainers_series_go_on_over_the_rounds(with_tensorboard):
    out, rounds = with_tensorboard
    (file,) = (out / "tracking/tensorboard").iterdir()
    found = scalars(file.parent)
    steps = [each.metrics["stages"]["train"]["steps"] for each in rounds]
    assert steps == [2, 3, 4]
    assert [step for step, _ in found["train/loss"]] == list(range(1, sum(steps) + 1))
    assert len(found["train/round"]) >= 9
    losses = dict(found["train/loss"])
    bills = [each.metrics["stages"]["train"] for each in rounds]
    assert [losses[1], losses[3], losses[6]] == pytest.approx([bill["loss_first"] for bill in bills])
    assert [losses[2], losses[5], losses[9]] == pytest.approx([bill["loss_last"] for bill in bills])


def test_the_rounds_series_are_what_the_run_folder_says(with_tensorboard):
    out, rounds = with_tensorboard
    found = scalars(out / "tracking/tensorboard")
    assert found["round/n_chosen"] == [(0, 16), (1, 24), (2, 32)]
    assert [value for _, value in found["round/heldout_loss"]] == pytest.approx(
        [each.metrics["heldout"]["loss"] for each in rounds]
    )
    assert [step for step, _ in found["round/vendi"]] == [0, 1]  # nothing is embedded after the last round
    chosen = []
    for index in (0, 1):
        chosen += [json.loads(line)["row"] for line in (out / f"rounds/{index:02d}/chosen.jsonl").read_text().splitlines()]
        embeddings = np.load(out / f"rounds/{index:02d}/signals/embeddings.npy").astype(np.float64)
        assert found["round/vendi"][index][1] == pytest.approx(vendi_score(embeddings[sorted(chosen)]), rel=1e-5)
        barred = (out / "heldout/ids.txt").read_text().split()
        ids = [json.loads(line) for line in (out / f"rounds/{index + 1:02d}/chosen.jsonl").read_text().splitlines()]
        assert found["round/covering_radius"][index][1] == pytest.approx(ids[0]["distance"], rel=1e-5)
        assert ids[0]["id"] not in barred

    bills = [each.metrics["stages"] for each in rounds]
    flops = np.cumsum([sum(bill.get("flops", 0.0) for bill in stages.values()) for stages in bills])
    full = read_json(out / "plan.json")["full_flops"]
    assert [value for _, value in found["cost/ratio_so_far"]] == pytest.approx((flops / full).tolist(), rel=1e-6)
    assert [value for _, value in found["cost/train_seconds"]] == pytest.approx([stages["train"]["seconds"] for stages in bills])


def test_tracking_changes_nothing_of_what_is_chosen(with_tensorboard, made_model, pool_file, tmp_path):
    _, rounds = with_tensorboard
    plain = list(evolve(config(made_model, pool_file, tmp_path / "b", "pool.holdout=20", "rounds=2")))
    assert [each.chosen_ids for each in plain] == [each.chosen_ids for each in rounds]
    assert not (tmp_path / "b/tracking").exists()
    assert "gauge" not in plain[0].metrics


class Noting:
    """A tracker that notes what it is handed."""

    def __init__(self, *_):
        self.points, self.is_closed = [], False

    def log(self, values, axis, at):
        self.points.append((axis, at, dict(values)))

    def close(self):
        self.is_closed = True


@pytest.fixture
def noting(monkeypatch):
    made = []

    def make(*who):
        made.append((Noting(), *who))
        return made[-1][0]

    for name in ("open_tensorboard", "open_wandb", "open_trackio"):
        monkeypatch.setattr(f"diverseevol.run.tracking.{name}", make)
    return made


def test_a_run_is_the_same_one_when_it_is_resumed(made_model, pool_file, tmp_path, noting):
    words = ("train.report_to=[wandb,trackio]", "train.project=mine", "train.trackio_space_id=me/space", "rounds=1")
    loop = evolve(config(made_model, pool_file, tmp_path / "run", *words))
    next(loop)
    loop.close()
    assert [tracker.is_closed for tracker, *_ in noting] == [True, True]
    list(evolve(config(made_model, pool_file, tmp_path / "run", *words)))
    wandb, trackio, *again = noting
    assert [each[1:] for each in again] == [wandb[1:], trackio[1:]]
    run_id, *who = wandb[1:]
    settings = who[-1]
    assert who == [f"run-{run_id}", "mine", tmp_path / "run/tracking", settings]
    assert list(trackio[1:]) == [f"run-{run_id}", "mine", settings, "me/space"]
    assert settings["train.learning_rate"] == 1e-3
    assert [at for axis, at, _ in wandb[0].points if axis == "round"] == [0]
    assert [at for axis, at, _ in again[0][0].points if axis == "round"] == [1]
    steps = [at for axis, at, values in again[0][0].points if "train/loss" in values]
    assert steps == [3, 4, 5]  # round 0 made two steps


def test_the_final_tuning_has_series_of_its_own(made_model, pool_file, tmp_path, noting):
    words = ("train.report_to=wandb", "rounds=0", "final=true", "train.run_name=mine")
    list(evolve(config(made_model, pool_file, tmp_path / "run", *words)))
    points = noting[0][0].points
    assert [at for axis, at, values in points if "final/loss" in values] == [1, 2]
    assert {axis for axis, _, _ in points} == {"train/global_step", "round", "final/global_step"}
    assert noting[0][2] == "mine"


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_one_that_is_missing_is_named_with_its_extra(monkeypatch, name):
    settings = load_config(None, (f"train.report_to={name}",), options={"pool.path": "p", "model": "m", "out": "o"})
    check_trackers(settings)
    monkeypatch.setattr("diverseevol.run.tracking.find_spec", lambda _: None)
    with pytest.raises(ConfigError) as caught:
        check_trackers(settings)
    assert str(caught.value) == (
        f"train.report_to names {name}, which is not installed. Install it with: pip install 'diverseevol[{name}]', "
        "or take it off train.report_to."
    )


def test_the_trainer_serves_only_the_others(monkeypatch, tmp_path):
    from diverseevol.models import train_arguments as keys

    monkeypatch.setattr(keys, "get_available_reporting_integrations", lambda: ["mlflow", "tensorboard", "wandb"])
    for given, left in (("[wandb,mlflow]", ["mlflow"]), ("all", ["mlflow"]), ("none", []), ("tensorboard", [])):
        settings = load_config(None, (f"train.report_to={given}",), options={"pool.path": "p", "model": "m", "out": "o"})
        assert keys.sft_config(settings.train, tmp_path, 0).report_to == left


def test_other_ranks_open_no_tracker(monkeypatch, tmp_path, noting):
    settings = load_config(None, ("train.report_to=wandb",), options={"pool.path": "p", "model": "m", "out": str(tmp_path)})
    monkeypatch.setattr("diverseevol.base.dist.on_main", lambda work: None)
    with tracked(RunFolder(tmp_path), settings) as tracking:
        tracking.start()
        tracking.log_round(0)
        tracking.log_training(0, {"loss": 1.0}, 1)
    assert tracking.names == ["wandb"]
    assert noting == []


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "train.report_to=[wandb, mlflow, tensorbord]",
            r"train.report_to names 'tensorbord', which the Trainer does not know. Did you mean 'tensorboard'\? Known: .*wandb\.$",
        ),
        (
            "final={train: {report_to: mlflo}}",
            "train.report_to names 'mlflo', which the Trainer does not know. Did you mean 'mlflow'",
        ),
    ],
)
def test_what_cannot_be_meant(word, message):
    with pytest.raises(ConfigError, match=message):
        check_trackers(load_config(None, (word,), options={"pool.path": "p", "model": "m", "out": "o"}))


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
@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_one_that_refuses_says_what_to_do(tmp_path, monkeypatch, name):
    library = pytest.importorskip(name, reason=f"needs the extra {name}")

    def refuse(**_):
        raise library.errors.UsageError("No\nlogin.") if name == "wandb" else ValueError("No\nlogin.")

    monkeypatch.setattr(library, "init", refuse)
    more, title = (" WANDB_MODE=offline needs no login.", "W&B") if name == "wandb" else ("", "trackio")
    with pytest.raises(ConfigError) as caught:
        open_wandb("ab12cd34", "a", None, tmp_path, {}) if name == "wandb" else open_trackio("a", "a/b", {}, None)
    assert str(caught.value) == (
        f"{title} cannot be started: No login. Log in or correct it, or take {name} off train.report_to.{more}"
    )
