import json

import pytest
from typer.testing import CliRunner

from diverseevol import evolve, load_config
from diverseevol.cli.app import app

ANY_TRAINER = "train.command=test -f {data} && cp {base}/* {out}/"


def call(*words):
    return CliRunner().invoke(app, ["heldout", *map(str, words)])


@pytest.fixture(scope="module")
def run(made_model, pool_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "a"
    given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 1, "n_init": 10, "n_new": 5}
    words = (ANY_TRAINER, "prompt.max_length=256", "selection.strategy=random", "pool.holdout=30", "pool.holdout_by=skill")
    list(evolve(load_config(None, words, options=given)))
    return out


def test_a_line_a_model_and_a_line_a_group(run):
    losses = json.loads((run / "rounds/01/metrics.json").read_text())["heldout"]
    shown = call(run)
    assert shown.exit_code == 0, shown.output
    assert "the rows of pool.holdout: 30 rows" in shown.stdout
    lines = [line.split() for line in shown.stdout.splitlines()]
    figures = [f"{losses['loss']:.4f}", f"{losses['perplexity']:,.2f}", f"{losses['balanced_loss']:.4f}"]
    worst = losses["worst_group"]
    assert ["round-01", "15", *figures, f"{losses['by_group'][worst]:.4f}", worst] in lines
    assert ["base", *figures, f"{losses['by_group'][worst]:.4f}", worst] in lines  # this trainer changes nothing
    group = next(line for line in lines if line and line[0] == worst)
    assert group[3:5] == [f"{losses['by_group'][worst]:.4f}"] * 2
    assert lines.index(group) < min(
        lines.index(line) for line in lines if line and line[0] in losses["by_group"] and line[0] != worst
    )
    assert ("more groups, all with lower losses" in shown.stdout) == (len(losses["by_group"]) > 20)


def test_json_has_everything(run):
    found = json.loads(call(run, "--round", "last", "--json").stdout)
    assert found["models"][0]["model"] == "round-01"
    assert found["models"][0]["heldout"] == json.loads((run / "rounds/01/metrics.json").read_text())["heldout"]
    assert found["rows"]["n_rows"] == 30 == sum(group["n_rows"] for group in found["rows"]["groups"].values())
    assert found["not_kept"] == []


def test_a_file_whose_rows_were_trained_on_and_rounds_without_weights(run):
    shown = call(run, "--file", run / "rounds/00/subset.jsonl")
    assert shown.exit_code == 0, shown.output
    assert "round-00 was trained on 10 of these rows: its loss on them proves nothing." in shown.stdout
    assert "Not measured, for the weights are not kept (keep: all keeps every round's): round-00." in shown.stdout


def test_a_model_without_a_run(run, made_model):
    shown = call("--model", made_model, "--file", run / "heldout/rows.jsonl", "prompt.max_length=256")
    loss = json.loads((run / "rounds/00/metrics.json").read_text())["heldout"]["loss"]  # the untouched base model's
    assert f"{loss:.4f}" in shown.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give one run folder, or --model and --file"),
        (("a", "b"), "give one run folder"),
        (("a", "--model", "m"), "give one run folder"),
        (("--model", "m"), "--model needs --file"),
        (("a", "seed=1"), "a run is measured with its own settings"),
    ],
)
def test_wrong_usage(words, message):
    ended = call(*words)
    assert ended.exit_code == 2
    assert message in " ".join(ended.output.replace("│", " ").split())
