import json
import shutil
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from diverseevol.cli.app import app


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def config_file(made_model, pool_file, tmp_path_factory):
    """A comparison whose trainer hands the base model back, so that it takes seconds; nothing differs by it."""
    from diverseevol.demo.pool import make_heldout

    folder = tmp_path_factory.mktemp("compare")
    (folder / "heldout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in make_heldout(1)))
    (folder / "trainer.sh").write_text('cp "$2"/* "$3"/\n')
    values = {
        "pool": str(pool_file),
        "model": str(made_model),
        "out": str(folder / "c"),
        "rounds": 1,
        "n_init": 8,
        "n_new": 4,
        "prompt": {"max_length": 256},
        "heldout": {"path": str(folder / "heldout.jsonl"), "group": "skill"},
        "train": {"command": f"sh {folder}/trainer.sh {{data}} {{base}} {{out}}"},
    }
    (folder / "c.yaml").write_text(yaml.safe_dump(values))
    return folder / "c.yaml"


def test_tables_words_and_costs_are_shown(config_file):
    shown = call("compare", config_file, "--strategies", "k_center", "--seeds", "0,1")
    assert shown.exit_code == 0, shown.output
    text = shown.stdout
    assert "held-out loss (lower is better), 2 seeds" in text
    assert "held-out loss balanced over groups (lower is better), 2 seeds" in text
    assert "k_center (12 samples) against random (12):" in text
    assert "equal samples: no difference shown: +0.0000 in every seed" in text
    assert "2 seeds are few" in text
    assert ", ? TFLOPs; runs that share a stage saved " in text  # the trainer says nothing of its FLOPs
    assert f"Figures: {config_file.parent / 'c'}/comparison.csv" in text
    assert f"a page: diverseevol report {config_file.parent / 'c'} --out compare.html" in text
    first_rows = [line.split()[:2] for line in text.splitlines() if line.strip().startswith("8 ")]
    assert first_rows[:2] == [["8", "k_center"], ["8", "random"]]

    again = call("compare", config_file, "--seeds", "0,1", "--json")  # finished: no training, and the config's own strategy
    assert json.loads(again.stdout) == json.loads((config_file.parent / "c/comparison.json").read_text())
    script = (
        "import sys; from typer.testing import CliRunner; from diverseevol.cli.app import app; "
        "ended = CliRunner().invoke(app, sys.argv[1:]); assert ended.exit_code == 0, ended.output; assert 'torch' not in sys.modules"
    )
    at_once = [sys.executable, "-c", script, "compare", str(config_file), "--seeds", "0,1"]
    subprocess.run(at_once, check=True, timeout=120)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "0,x"), "give whole numbers with commas between, such as 0,1,2"),
        (("seed=3",), "seeds and strategies are named by --seeds and --strategies"),
        (("selection.strategy=loss",), "seeds and strategies are named by --seeds and --strategies"),
    ],
)
def test_wrong_usage(config_file, words, message):
    ended = call("compare", config_file, *words)
    assert ended.exit_code == 2
    assert message in " ".join(ended.output.replace("│", " ").split())


def test_what_cannot_be_compared_is_an_error_of_ours(config_file):
    ended = call("compare", config_file, "--strategies", "k_center,nearest")
    assert type(ended.exception).__name__ == "SelectionError"
    ended = call("compare", config_file, "--seeds", "1,1")
    assert str(ended.exception) == "--seeds names 1 twice. Name each once."


def test_demo_leaves_what_compare_takes(tmp_path, monkeypatch, made_model):
    monkeypatch.setattr("diverseevol.demo.show.made_model", lambda out_dir, **_: shutil.copytree(made_model, out_dir))
    ended = call("demo", "--only-data", "--out", tmp_path / "demo", "--rows", 700)
    assert ended.exit_code == 0, ended.output
    assert f"diverseevol compare {tmp_path}/demo/demo.yaml --strategies k_center --one-time" in ended.stdout
    from diverseevol.compare import Experiment
    from diverseevol.config import load_config

    config = load_config(tmp_path / "demo/demo.yaml", options={"out": str(tmp_path / "c")})
    Experiment(config, ("k_center",), (0, 1, 2, 3, 4), is_one_time=True).check()
    assert (tmp_path / "demo/model/config.json").is_file()
    assert len((tmp_path / "demo/pool.jsonl").read_text().splitlines()) == 700
    assert config.heldout.group == "skill"
