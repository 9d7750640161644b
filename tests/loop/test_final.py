"""A smaller selector does the rounds, and the target is tuned once on the result, by its own tokens."""

import json

import pytest
import torch

from diverseevol import evolve, load_config
from diverseevol.base.files import read_json
from diverseevol.data import Pool
from diverseevol.demo.model import made_model as make
from diverseevol.errors import ConfigError, RunFolderError
from diverseevol.models.load import load_model, load_tokenizer
from diverseevol.run.status import run_status
from diverseevol.text.tokens import Encoder

QUICK = ("train.num_train_epochs=1", "train.per_device_train_batch_size=8", "train.total_batch_size=8", "prompt.max_length=256")


def config(model, pool_file, out, *words, **options):
    given = {"pool.path": str(pool_file), "model": str(model), "out": str(out), "rounds": 1, "n_init": 10, "n_new": 5}
    return load_config(None, (*QUICK, *words), options=given | options)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return make(tmp_path_factory.mktemp("target") / "large", hidden_size=64, num_layers=1, vocab_size=300)


@pytest.fixture(scope="module")
def with_selector(target, made_model, pool_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("final") / "run"
    words = (f"selector={made_model}", "final={train: {num_train_epochs: 2}}")
    return out, config(target, pool_file, out, *words), list(evolve(config(target, pool_file, out, *words)))


def test_the_rounds_are_the_selectors(with_selector, made_model, pool_file, tmp_path):
    out, _, rounds = with_selector
    alone = list(evolve(config(made_model, pool_file, tmp_path / "alone")))
    assert [each.chosen_ids for each in rounds] == [each.chosen_ids for each in alone]
    assert load_model(str(out / "rounds/01/model")).config.hidden_size == 32
    assert not (tmp_path / "alone/final").exists()


def test_the_target_is_tuned_once_on_all_that_was_chosen(with_selector, target, tmp_path):
    out, settings, rounds = with_selector
    assert load_model(str(out / "final/model")).config.hidden_size == 64
    assert not (out / "final/checkpoints").exists()
    metrics = read_json(out / "final/metrics.json")
    rows = [
        json.loads(line)["row"]
        for index in (0, 1)
        for line in (out / f"rounds/{index:02d}/chosen.jsonl").read_text().splitlines()
    ]
    pool = Pool.open(out / "pool")
    encoded = Encoder(load_tokenizer(str(target)), settings.prompt).encode([pool.sample(row) for row in rows])
    assert metrics["tokens"] == 2 * sum(len(row.ids) for row in encoded)  # two epochs, in the target's own tokens
    assert (metrics["n_chosen"], metrics["n_trained"], metrics["epochs"]) == (15, 15, 2)
    assert run_status(out).final.steps == 4


def test_resumed_it_is_not_tuned_again(with_selector, target, made_model, pool_file, monkeypatch):
    out, settings, rounds = with_selector
    before = (out / "final/model/model.safetensors").stat().st_mtime_ns
    assert [each.chosen_ids for each in evolve(settings)] == [each.chosen_ids for each in rounds]
    assert (out / "final/model/model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(RunFolderError, match="was tuned with another train. Move that folder away"):
        list(evolve(config(target, pool_file, out, f"selector={made_model}", "final=true")))


def test_a_killed_one_is_made_again_with_the_same_weights(with_selector, target, made_model, pool_file, tmp_path, monkeypatch):
    out, _, _ = with_selector
    settings = config(target, pool_file, tmp_path / "b", f"selector={made_model}", "final={train: {num_train_epochs: 2}}")
    with monkeypatch.context() as patched:
        patched.setattr("diverseevol.models.train.fit", killed_at_the_target(str(target)))
        with pytest.raises(KeyboardInterrupt):
            list(evolve(settings))
    assert not (tmp_path / "b/final/model").exists()
    list(evolve(settings))
    one, other = (load_model(str(folder / "final/model")).state_dict() for folder in (out, tmp_path / "b"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def killed_at_the_target(target):
    from diverseevol.models import train

    fit = train.fit

    def killed(start, *args, **kwargs):
        if start == target:
            raise KeyboardInterrupt
        return fit(start, *args, **kwargs)

    return killed


def test_without_a_selector_the_model_itself_is_tuned_as_final_says(made_model, pool_file, tmp_path):
    words = ("final={train: {method: lora, lora: {target_modules: all-linear, r: 2}}}", "rounds=0", "keep=none")
    list(evolve(config(made_model, pool_file, tmp_path / "run", *words)))
    assert (tmp_path / "run/final/model/adapter_config.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("final={train: {learning_rte: 1}}",), "unknown key train.learning_rte: SFTConfig has none such"),
        (("selector={model: a, train: {bf16: maybe}}", "final=true"), "train.bf16 is 'maybe': give true or false"),
        (("selector={train: {}}",), "selector.model is not set"),
        (("final=true", "train.command='x {data} {out}'"), "final is tuned by the built-in trainer"),
    ],
)
def test_what_cannot_be_meant(words, message):
    with pytest.raises(ConfigError, match=message):
        config("m", "p", "o", *words)


def test_each_is_tuned_by_its_own_keys():
    whole = config("m", "p", "o", "selector={model: s, train: {learning_rate: 1e-4}}", "final={train: {method: lora}}")
    rounds, final = whole.for_rounds(), whole.for_final()
    assert (rounds.model, rounds.train.sft["learning_rate"], rounds.train.method) == ("s", 1e-4, "full")
    assert (final.model, final.train.sft["learning_rate"], final.train.method) == ("m", 2e-5, "lora")
