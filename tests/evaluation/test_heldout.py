import json
import shutil

import numpy as np
import pytest

from diverseevol import evolve, load_config
from diverseevol.base.progress import SILENT
from diverseevol.data import Pool
from diverseevol.errors import ConfigError, RunFolderError
from diverseevol.evaluation import heldout as module
from diverseevol.evaluation.heldout import heldout, heldout_of_model
from diverseevol.evaluation.lm_eval import TaskRequest
from diverseevol.run import RunFolder

QUICK = (
    "train.learning_rate=1e-3",
    "train.num_train_epochs=1",
    "train.per_device_train_batch_size=8",
    "train.total_batch_size=8",
    "prompt.max_length=256",
    "selection.strategy=random",
)


def config(made_model, pool_file, out, *words):
    given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 2, "n_init": 10, "n_new": 5}
    return load_config(None, (*QUICK, *words), options=given)


def measure(root, rounds="all", file=None, group=None):
    return heldout(root, rounds, file and str(file), group, None, SILENT)


@pytest.fixture(scope="module")
def finished(made_model, pool_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "a"
    return out, list(evolve(config(made_model, pool_file, out, "pool.holdout=30", "pool.holdout_by=skill")))


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished[0], tmp_path / "a")


@pytest.fixture
def other_file(tmp_path):
    from diverseevol.demo.pool import make_heldout

    file = tmp_path / "other.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in make_heldout(1)))
    return file


def close_to(losses):
    return {key: pytest.approx(value) if key != "worst_group" else value for key, value in losses.items()}


def loads(monkeypatch):
    """What is measured, by the number of rows."""
    measured, plain = [], module.heldout_losses
    monkeypatch.setattr(module, "heldout_losses", lambda model, tokens, watch: measured.append(1) or plain(model, tokens, watch))
    return measured


def test_the_loops_own_losses_are_there_and_the_base_models_is_added_once(run, finished, monkeypatch):
    measured = loads(monkeypatch)
    report = measure(run)
    assert [one.model for one in report.models] == ["base", "round-00", "round-01", "round-02"]
    assert [one.n_chosen for one in report.models] == [None, 10, 15, 20]
    for one, round_ in zip(report.models[1:], finished[1], strict=True):
        assert one.heldout == close_to(round_.metrics["heldout"])
    assert sum(size.n_tokens for size in report.rows.groups.values()) == report.rows.n_tokens
    assert sum(size.n_rows for size in report.rows.groups.values()) == report.rows.n_rows == 30
    assert len(measured) == 1
    assert report.not_kept == ()  # their weights are gone, their losses are not
    again = measure(run)
    assert again.models == report.models
    assert len(measured) == 1


def test_the_base_models_loss_is_that_of_the_model_measured_alone(run, made_model, tmp_path):
    report = measure(run, "base")
    alone = load_config(
        None,
        ("prompt.max_length=256",),
        options={"pool.path": str(run / "heldout/rows.jsonl"), "model": str(made_model), "out": "x"},
    )
    model = heldout_of_model(alone, "skill", None, tmp_path / "held", SILENT).models[0]
    assert model.heldout == close_to(report.models[0].heldout)


def test_another_file_is_measured_where_weights_are_kept(run, other_file, monkeypatch):
    measured = loads(monkeypatch)
    report = measure(run, file=other_file, group="skill")
    assert [one.heldout is not None for one in report.models] == [True, False, False, True]
    assert report.not_kept == ("round-00", "round-01")
    assert len(measured) == 2
    assert report.models[3].heldout["loss"] != report.models[0].heldout["loss"]
    sizes = report.rows.groups
    pool = Pool.read(other_file)
    assert {name: size.n_rows for name, size in sizes.items()} == {
        skill: sum(pool.record(row)["skill"] == skill for row in range(len(pool))) for skill in sizes
    }
    assert sum(size.n_tokens for size in sizes.values()) == report.rows.n_tokens > len(pool) == report.rows.n_rows
    regrouped = measure(run, file=other_file, group="source")  # the sums of all rows are kept, so no model is needed
    assert len(measured) == 2
    assert regrouped.models[3].heldout["by_group"] == {str(other_file): pytest.approx(report.models[3].heldout["loss"])}
    with pytest.raises(
        RunFolderError, match="the weights of round-01 of .* are not kept, so it cannot be measured. Set keep: all"
    ):
        measure(run, "1", file=other_file)


def test_rows_that_a_model_was_trained_on_are_counted(run, tmp_path):
    chosen = (run / "rounds/02/subset.jsonl").read_text().splitlines()
    file = tmp_path / "some.jsonl"
    lines = [{key: value for key, value in json.loads(line).items() if key != "_id"} for line in chosen[:4]]
    file.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"instruction": "Say", "output": "something else"}]))
    report = measure(run, "last", file=file)
    assert report.models[0].n_trained_on == 4
    assert measure(run, "base", file=file).models[0].n_trained_on == 0


def test_tasks_are_run_once_a_model_and_kept(run, monkeypatch):
    ran = []

    def scores(model, tokenizer, tasks):
        ran.extend(map(tasks.key, tasks.names))
        return {tasks.key(name): {name: {"acc": len(ran) / 10}} for name in tasks.names}

    monkeypatch.setattr(module, "check_tasks", lambda tasks: None)
    monkeypatch.setattr(module, "task_scores", scores)
    for names, limit in (("a", "b"), None), (("b", "c"), None), (("a",), 5):
        found = heldout(run, "last", None, None, TaskRequest(names, limit), SILENT).models[0].tasks
        assert list(found) == [name if limit is None else f"{name} (first {limit})" for name in names]
    assert ran == ["a", "b", "c", "a (first 5)"]
    assert found == {"a (first 5)": {"a": {"acc": 0.4}}}


def test_what_cannot_be_measured_is_said(run, made_model, pool_file, tmp_path):
    for options, error, message in [
        ({"group": "nope"}, ConfigError, "--group needs a column 'nope', which no record has. They have: source, "),
        ({"rounds": "7"}, RunFolderError, "round 7 of .* is not finished"),
        ({"rounds": "first"}, ConfigError, "--round is 'first': give a round's number, last or best"),
        ({"file": "nope.jsonl"}, Exception, "nope.jsonl"),
    ]:
        with pytest.raises(error, match=message):
            measure(run, **options)
    with pytest.raises(RunFolderError, match="is not a run folder"):
        measure(tmp_path)
    stored = (run / "config.yaml").read_text()
    model = shutil.copytree(made_model, tmp_path / "model")
    (model / "generation_config.json").write_text("{}\n")
    (run / "config.yaml").write_text(stored.replace(f"model: {made_model}\n", f"model: {model}\n"))
    with pytest.raises(RunFolderError, match="is not, or no longer, the model that"):
        measure(run, "base")
    next(evolve(config(made_model, pool_file, tmp_path / "b")))
    with pytest.raises(ConfigError, match="has no held-out rows. Give --file, or start runs with pool.holdout"):
        measure(tmp_path / "b")
    assert not np.array(RunFolder(tmp_path / "b").task_scores("base")).any()
