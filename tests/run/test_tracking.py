"""What a whole loop hands to a tracker: one run, the trainer's series counted on over the rounds, and our own beside them."""

import json

import numpy as np
import pytest

from diverseevol import evolve, load_config, vendi_score
from diverseevol.base.files import read_json
from diverseevol.errors import ConfigError
from diverseevol.run.tracking import check_trackers, tracked

QUICK = ("train.num_train_epochs=1", "train.learning_rate=1e-3", "train.total_batch_size=8", "prompt.max_length=256")


def config(made_model, pool_file, out, *words):
    options = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 1, "n_init": 16, "n_new": 8}
    return load_config(None, (*QUICK, *words), options=options)


@pytest.fixture(scope="module")
def with_tensorboard(made_model, pool_file, tmp_path_factory):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    out = tmp_path_factory.mktemp("tracked") / "run"
    words = ("train.report_to=tensorboard", "pool.holdout=20", "keep_signals=all", "rounds=2")
    return out, list(evolve(config(made_model, pool_file, out, *words)))


def scalars(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_the_trainers_series_go_on_over_the_rounds(with_tensorboard):
    out, rounds = with_tensorboard
    (file,) = (out / "tracking/tensorboard").iterdir()
    found = scalars(file.parent)
    steps = [each.metrics["stages"]["train"]["steps"] for each in rounds]
    assert steps == [2, 3, 4]
    assert [step for step, _ in found["train/loss"]] == list(range(1, sum(steps) + 1))
    assert [value for _, value in found["train/round"]][:9] == [0, 0, 0, 1, 1, 1, 1, 2, 2] or len(found["train/round"]) >= 9
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


def test_cost_is_that_of_the_bills_and_of_the_plan(with_tensorboard):
    out, rounds = with_tensorboard
    found = scalars(out / "tracking/tensorboard")
    bills = [each.metrics["stages"] for each in rounds]
    flops = np.cumsum([sum(bill.get("flops", 0.0) for bill in stages.values()) for stages in bills])
    assert [value for _, value in found["cost/flops_so_far"]] == pytest.approx(flops.tolist(), rel=1e-6)
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


def test_a_strategy_that_embeds_nothing_is_not_made_to(made_model, pool_file, tmp_path, noting):
    list(evolve(config(made_model, pool_file, tmp_path / "run", "train.report_to=wandb", "selection.strategy=random")))
    names = {name for axis, _, values in noting[0][0].points if axis == "round" for name in values}
    assert "round/n_chosen" in names
    assert not names & {"round/vendi", "round/covering_radius"}
    assert not (tmp_path / "run/rounds/00/signals").exists()


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


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("none", ()),
        ("null", ()),
        ("wandb", ("wandb",)),
        ("[wandb,mlflow]", ("wandb", "mlflow")),
        ("all", ("tensorboard", "trackio")),
    ],
)
def test_what_report_to_names(monkeypatch, given, names):
    monkeypatch.setattr("diverseevol.config.schema.find_spec", lambda name: name != "wandb" or None)
    settings = load_config(None, (f"train.report_to={given}",), options={"pool.path": "p", "model": "m", "out": "o"})
    assert settings.train.report_to == names


def test_the_trainer_serves_only_the_others(monkeypatch, tmp_path):
    from diverseevol.models import train_arguments as keys

    monkeypatch.setattr(keys, "get_available_reporting_integrations", lambda: ["mlflow", "tensorboard", "wandb"])
    for given, left in (("[wandb,mlflow]", ["mlflow"]), ("all", ["mlflow"]), ("none", []), ("tensorboard", [])):
        settings = load_config(None, (f"train.report_to={given}",), options={"pool.path": "p", "model": "m", "out": "o"})
        assert keys.sft_config(settings.train, tmp_path, 0).report_to == left


def test_other_ranks_open_no_tracker(monkeypatch, tmp_path, noting):
    settings = load_config(None, ("train.report_to=wandb",), options={"pool.path": "p", "model": "m", "out": str(tmp_path)})
    monkeypatch.setattr("diverseevol.base.dist.on_main", lambda work: None)
    from diverseevol.run import RunFolder

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
