"""`init`: each preset written out, every key explained, and run as written."""

import re

import pytest
from typer.testing import CliRunner

from diverseevol import evolve, load_config
from diverseevol.cli.app import app
from diverseevol.config import PRESETS
from diverseevol.errors import ConfigError
from diverseevol.run import RunFolder

NAMED = {"pool.path": "p.jsonl", "model": "m", "out": "runs/mine"}
SMALL = ("rounds=1", "n_init=8", "budget=16", "n_new=8", "prompt.max_length=256")  # of the pool and the model that the tests have


def config_text(preset, tmp_path):
    file = tmp_path / "shown.yaml"
    words = ("--preset", preset, "--pool", "p.jsonl", "--model", "m", "--out", "runs/mine")
    written(file, *words)
    return file.read_text()


def written(file, *words):
    return CliRunner().invoke(app, ["init", str(file), *map(str, words)], catch_exceptions=False)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_it_writes_is_the_preset(preset, tmp_path):
    file = tmp_path / "my.yaml"
    said = written(file, "--preset", preset, "--pool", "p.jsonl", "--model", "m", "--out", "runs/mine").stdout
    assert said == (
        "pool.path is 'p.jsonl', which is not here: correct it in the file, unless it is a Hub id.\n"
        "model is 'm', which is not here: correct it in the file, unless it is a Hub id.\n"
        f"Wrote {file}. Next: diverseevol run {file}\n"
    )
    assert load_config(file) == load_config(preset=preset, options=NAMED)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_key_is_explained(preset, tmp_path):
    lines = config_text(preset, tmp_path).splitlines()
    keys = [at for at, line in enumerate(lines) if re.match(r" *[a-z_]+:", line)]
    assert len(keys) > 40
    for at in keys[1:]:  # the first is the preset itself, which the file's head names
        assert re.match(r" *# .{12,}", lines[at - 1]), lines[at]
        assert len(lines[at - 1]) - len(lines[at - 1].lstrip()) == len(lines[at]) - len(lines[at].lstrip())


@pytest.mark.parametrize("preset", PRESETS)
def test_keys_that_are_commented_out_show_the_default(preset, tmp_path):
    text = config_text(preset, tmp_path)
    shown = re.sub(r"^( *)# ([a-z_]+: (?:null|\[\]|\{\}))$", r"\1\2", text, flags=re.MULTILINE)
    assert shown != text
    file = tmp_path / "shown.yaml"
    file.write_text(shown)
    assert load_config(file) == load_config(preset=preset, options=NAMED)


@pytest.mark.parametrize("preset", PRESETS)
def test_it_runs_as_written(preset, made_model, pool_file, tmp_path):
    file = tmp_path / "my.yaml"
    said = written(file, "--preset", preset, "--pool", pool_file, "--model", made_model, "--out", tmp_path / "run").stdout
    assert said == f"Wrote {file}. Next: diverseevol run {file}\n"
    rounds = list(evolve(load_config(file, SMALL)))
    assert [round_.n_chosen for round_ in rounds] == [8, 16]
    run = RunFolder(tmp_path / "run")
    assert run.chosen_before(2) == [pick["row"] for index in (0, 1) for pick in run.picks(index)]
    assert (run.model_dir(1) / "adapter_config.json").exists() is (preset != "paper")
    assert run.skipped_file(1).exists() is (preset != "paper")


def test_a_file_that_is_there_stays(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text("mine")
    with pytest.raises(ConfigError, match="is there already. Give another name, or --force"):
        written(file)
    assert file.read_text() == "mine"
    written(file, "--force")
    assert file.read_text().startswith("# diverseevol, preset paper.")
