"""`plan` as people call it, on real data with a 7B model that has no weights."""

import json
import re
import resource
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from diverseevol.cli.app import app

LLAMA_7B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
    "dtype": "float16",
}


def call(*words):
    return subprocess.run(
        [sys.executable, "-m", "diverseevol", "plan", *map(str, words)], capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def llama(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(shared_data / "models/tinystories-656k" / name, folder / name)
    (folder / "config.json").write_text(json.dumps(LLAMA_7B))
    return folder


def planned(llama, pool, *words, preset="paper"):
    words = ("plan", "--pool", pool, "--model", llama, "--preset", preset, "--json", *words)
    ended = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return json.loads(ended.stdout)


def seconds_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_the_papers_run_on_alpaca_costs_more_than_tuning_on_everything(llama, shared_data):
    before = seconds_of_children()
    ended = call("--pool", shared_data / "pools/alpaca_data.json", "--model", llama)
    assert ended.returncode == 0, ended.stderr
    assert seconds_of_children() - before < 20  # of one core, whatever else this machine does
    ratio = re.search(r"The whole run: .* ([0-9.]+) × one full fine-tuning on all rows", ended.stdout)
    assert float(ratio[1]) == pytest.approx(1.24, abs=0.05)
    assert "That is more than tuning on everything" in ended.stdout
    assert "What brings it down" in ended.stdout
    assert "6.74 G parameters" in ended.stdout


def test_the_papers_run_on_dolly(llama, shared_data):
    # This tokenizer cuts a text into more pieces than Llama's: at 512 an eighth of the rows would have nothing left to train on.
    values = planned(llama, shared_data / "pools/dolly_15k.jsonl", "prompt.max_length=2048")
    assert values["ratio"] == pytest.approx(1.55, abs=0.05)
    assert [each["n_chosen"] for each in values["rounds"]] == list(range(100, 1101, 100))
    assert values["seconds"]["train"] == pytest.approx(sum(each["train_flops"] for each in values["rounds"]) / (989e12 * 0.4))
    assert any("K-Center tends to pick longer ones" in note for note in values["notes"])


def test_thrifty_is_under_half_and_each_cheaper_word_makes_it_cheaper(llama, shared_data):
    pool = shared_data / "pools/alpaca_data.json"
    values = planned(llama, pool, preset="thrifty")
    assert values["ratio"] < values["same_ratio"] < 0.5
    for words in (("selection.candidates=0.1",), ("train.start=previous", "train.num_train_epochs=1")):
        assert planned(llama, pool, *words, preset="thrifty")["flops"] < values["flops"]


def test_notes_say_what_the_figures_leave_out(made_model, pool_file):
    words = ("rounds=1", "n_init=8", "n_new=4", "prompt.max_length=256", "selection.strategy=random")
    notes = planned(made_model, pool_file, *words, "train.command=cp {data} {base} {out}", "stop.hours=1")["notes"]
    assert [note.split(":")[0] for note in notes] == [
        "train.command tunes",
        "stop.* may end the run earlier",
        "a model this small reaches a far smaller share of the peak",
    ]


def test_a_small_plan_below_one_says_what_it_leaves_out(made_model, pool_file, tmp_path):
    words = ("prompt.max_length=256", "rounds=1", "n_init=8", "n_new=4", "--hardware", "l4", "--utilisation", "0.1")
    ended = call("--pool", pool_file, "--model", made_model, "--out", tmp_path / "run", *words)
    assert ended.returncode == 0, ended.stderr
    assert "(read from all of them)" in ended.stdout
    assert "l4, 121 TFLOP/s bf16 × 0.1" in ended.stdout
    assert "more than tuning on everything" not in ended.stdout
    assert "note: rows are counted at the pool's mean length" in ended.stdout
    assert "note: a model this small reaches a far smaller share of the peak: --calibrate" in ended.stdout
    assert not (tmp_path / "run").exists()


def test_calibrated_rates_are_measured_here(made_model, pool_file):
    words = ("prompt.max_length=256", "rounds=1", "n_init=8", "n_new=4", "train.total_batch_size=4")
    ended = call("--pool", pool_file, "--model", made_model, "--calibrate", "--json", *words)
    assert ended.returncode == 0, ended.stderr
    values = json.loads(ended.stdout)
    assert values["rates"]["source"].startswith("measured here: 10 steps, one step and a pass over 200 rows")
    assert 1e5 < values["rates"]["train"] < 1e13
    assert values["rates"]["start"] >= 0
    assert not any("--calibrate" in note for note in values["notes"])
    assert values["memory"]["train"] > 2e8  # the program itself
    assert values["seconds"]["embed"] == pytest.approx(
        sum(each["embed_flops"] for each in values["rounds"]) / values["rates"]["embed"]
    )


def test_mistakes_are_short():
    ended = call("--pool", "p", "--model", "m", "--hardware", "abacus")
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "--hardware 'abacus' is not known. Known: a100" in ended.stderr
    ended = call("--pool", "p", "--model", "m", "--utilisation", "40")
    assert (ended.returncode, ended.stderr) == (1, "Error: utilisation is 40: it should be less than or equal to 1.\n")
