import subprocess
import sys

import pytest
import yaml

from diverseevol.config import load_config, parse_yaml, yaml_text
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


def test_an_override_below_a_presets_section_leaves_the_preset_alone():
    assert load("train.lora.r=8", preset="modern").train.lora["r"] == 8
    assert load(preset="modern").train.lora["r"] == 16


@pytest.mark.parametrize("how", ["file", "option", "word"])
def test_a_path_alone_keeps_what_the_preset_says_of_the_pool(how, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("preset: modern\nmodel: m\nout: o\n" + ("pool: p.jsonl\n" if how == "file" else ""))
    options, words = ({"pool": "p.jsonl"} if how == "option" else {}), (("pool=p.jsonl",) if how == "word" else ())
    pool = load_config(file, words, options=options).pool
    assert (pool.path, pool.dedup) == ("p.jsonl", "exact")


def test_full_tuning_forgets_the_presets_adapter_but_not_the_users():
    assert load("train.method=full", preset="modern").train.lora == {}
    with pytest.raises(ConfigError, match="train.lora is {'r': 8}, but train.method is full"):
        load("train.lora={r: 8}")
    split = load("train.lora={r: 8}", "selector={model: s, train: {method: lora}}", "final=true")
    assert (split.for_rounds().train.method, split.for_final().train.method) == ("lora", "full")


def test_defaults_lie_below_everything(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("pool: p\nmodel: m\nout: mine\n")
    assert load_config(file, defaults={"out": "o"}).out == "mine"
    file.write_text("pool: p\nmodel: m\n")
    assert load_config(file, defaults={"out": "o"}).out == "o"


def test_a_resolved_config_is_a_config(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("rounds: 2\nversions: {torch: '1'}\nfingerprint: {pool: abc}\n")
    assert load(file=file).rounds == 2


def test_help_and_config_errors_load_no_torch():
    code = (
        "import sys, diverseevol, diverseevol.cli\n"
        "from diverseevol import load_config, DiverseEvolError\n"
        "try:\n    load_config(overrides=['prompt.max_lenth=1'], options={'pool.path': 'x', 'model': 'm', 'out': 'o'})\n"
        "except DiverseEvolError as error:\n    assert 'max_length' in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
        "loaded = {'torch', 'transformers', 'trl', 'datasets', 'pandas'} & set(sys.modules)\n"
        "raise SystemExit(f'loaded {loaded}' if loaded else 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet", "a.jsonl.gz", "a.json"])
def test_data_given_as_a_config_is_told_apart(tmp_path, name):
    (tmp_path / name).write_text(' \n[{"instruction": "a"}]')
    with pytest.raises(ConfigError, match=f"{name}' is data, not a config file. Give it as --pool .*{name}."):
        load_config(tmp_path / name)
    (tmp_path / "c.json").write_text('{"rounds": 7, "pool": "p", "model": "m", "out": "o"}')
    assert load_config(tmp_path / "c.json").rounds == 7


TEXTS = (
    "010",
    "0o10",
    "0x1f",
    "1e5",
    "1_000",
    "1:30",
    "no",
    "y",
    "~",
    "",
    "<<",
    "=",
    ".inf",
    "2024-01-01",
    "a\x85b\u2028",
    "a: #b",
)


def test_what_is_written_as_yaml_is_read_back_by_us_and_by_readers_of_yaml_1_1():
    values = {"texts": list(TEXTS), "numbers": [10, -3, 1e-5, 1e20, 0.5], "rest": [True, None]} | dict.fromkeys(TEXTS, 1)
    assert parse_yaml(yaml_text(values), "it") == yaml.safe_load(yaml_text(values)) == values


@pytest.mark.parametrize("text", ["1" * 5000, "[" * 3000, "!!int 0b11", "-.inf", "!!python/name:os.system x"])
def test_yaml_that_no_key_takes(text):
    with pytest.raises(ConfigError, match="the value of seed is not valid YAML"):
        parse_yaml(text, "the value of seed")


@pytest.mark.parametrize(
    "word", ["train.hub_token=hf_x", "train.model_init_kwargs={token: hf_x}", "final={train: {hub_token: hf_x}}"]
)
def test_a_key_never_gets_into_a_config_that_is_written_down(word):
    with pytest.raises(ConfigError, match="are kept out of configs.* set HF_TOKEN") as caught:
        load(word)
    assert "hf_x" not in str(caught.value)
