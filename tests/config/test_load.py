import subprocess
import sys

import pytest

from diverseevol.config import load_config
from diverseevol.errors import ConfigError

BASE = {"pool.path": "pool.jsonl", "model": "m", "out": "o"}


def load(*words, file=None, preset=None):
    return load_config(file, words, preset, BASE)


def test_paper_is_the_default_and_has_the_published_values():
    config = load()
    assert (config.rounds, config.n_init, config.n_new) == (10, 100, 100)
    assert config.train.sft["learning_rate"] == 2e-5
    assert config.train.sft["num_train_epochs"] == 3
    assert config.train.sft["warmup_steps"] == 0.03
    assert config.train.total_batch_size == 4 * 4 * 4
    assert (config.prompt.template, config.prompt.max_length) == ("alpaca", 512)


def test_layers_win_in_order(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("preset: modern\nrounds: 5\nseed: 1\ntrain:\n  learning_rate: 3e-4\n")
    config = load("seed=2", "train.num_train_epochs=1", file=file)
    assert (config.rounds, config.seed) == (5, 2)
    assert config.train.sft["learning_rate"] == 3e-4  # YAML 1.1 would read text here
    assert config.train.sft["num_train_epochs"] == 1
    assert config.train.method == "lora"  # from the preset, not lost by the file's own train section


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("train.learning_rte=1", r"unknown key train.learning_rte.*Did you mean 'learning_rate'"),
        ("round=3", r"unknown key round. Did you mean 'rounds'"),
        (
            "pool.sources=[{path: a, wieght: 2}]",
            r"unknown key pool.sources.0.wieght. Did you mean 'weight'\? Known here: path, format",
        ),
        ("heldout={pth: a}", r"unknown key heldout.pth. Did you mean 'path'"),
        ("embed.poling=mean", r"unknown key embed.poling. Did you mean 'pooling'"),
        ("rounds=-1", "rounds is -1: input should be greater than or equal to 0"),
        ("rounds=many", "rounds is 'many'"),
        ("n_new=foo", "n_new is 'foo'"),
        ("keep=best", "keep: best needs a yardstick"),
        ("budget=12 apples", "budget is '12 apples'"),
        ("n_new=[1, 2]", "n_new names 2 rounds, rounds is 10"),
        ("n_new=geometric", "geometric needs a budget"),
        ("train.seed=3", "train.seed is set by the run itself"),
        ("train.max_length=3", "Set `prompt.max_length`"),
        ("train.command=echo", "must contain {data} and {out}"),
        ("rounds", "not of the form key=value"),
        ("model.x=3", "cannot set model.x: model is 'm', not a section"),
        ("rounds=[", "not valid YAML"),
    ],
)
def test_errors_name_the_key_the_value_and_the_way_out(word, message):
    with pytest.raises(ConfigError, match=message):
        load(word)


def test_a_union_of_types_gives_one_line():
    with pytest.raises(ConfigError) as caught:
        load("n_new=foo")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rounds: 1\nrounds: 2\n", "the key 'rounds' is given twice"),
        ("pool:\n  columns: {prompt: a, prompt: b}\n", "the key 'prompt' is given twice"),
        ("- 1\n", "holds a list"),
        ("rounds: [1\n", "not valid YAML"),
    ],
)
def test_bad_files(tmp_path, text, message):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(file=file)


def test_missing_file_and_preset(tmp_path):
    with pytest.raises(ConfigError, match="no config file"):
        load(file=tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="no preset is called 'papr'. Known: paper, modern, thrifty"):
        load(preset="papr")


def test_a_config_without_pool_or_model_says_which():
    with pytest.raises(ConfigError, match="model is not set"):
        load_config(options={"pool.path": "x", "out": "o"})
    with pytest.raises(ConfigError, match="pool is not set"):
        load_config(options={"model": "x", "out": "o"})


def test_a_resolved_config_is_a_config(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("rounds: 2\nversions: {torch: '1'}\nfingerprint: {pool: abc}\n")
    assert load(file=file).rounds == 2


def test_help_and_config_errors_load_no_torch():
    code = (
        "import sys, diverseevol, diverseevol.cli\n"
        "from diverseevol import load_config, DiverseEvolError\n"
        "try:\n    load_config(overrides=['train.learning_rte=1'], options={'pool.path': 'x', 'model': 'm', 'out': 'o'})\n"
        "except DiverseEvolError as error:\n    assert 'learning_rate' in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
        "loaded = {'torch', 'transformers', 'trl', 'datasets', 'pandas'} & set(sys.modules)\n"
        "raise SystemExit(f'loaded {loaded}' if loaded else 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
