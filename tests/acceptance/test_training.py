"""What a round's tuning leaves: a folder from which every later stage, and everyone else, gets the model that was trained."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from outside import QUICK, must, program, read_jsonl, refused, run_cli

OPTIONS = ("--rounds", 1, "--n-init", 8, "--n-new", 4, *QUICK, "keep=all", "keep_signals=all", "pool.holdout=12")
METHODS = {
    "full": (),
    "lora": ("train.method=lora",),
    "4 bits": ("train.method=qlora",),
}
TORCHRUN = ("torch.distributed.run", "--nproc-per-node", "2")
needs_bitsandbytes = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="needs bitsandbytes (the extra qlora)")


def chosen(out):
    return [pick["id"] for index in (0, 1) for pick in read_jsonl(out / f"rounds/{index:02d}/chosen.jsonl")]


def metrics(out, index):
    return json.loads((out / f"rounds/{index:02d}/metrics.json").read_text())


def vectors(folder):
    return np.load(folder / "embeddings.npy")


@pytest.mark.parametrize("method", [pytest.param(name, marks=needs_bitsandbytes if "bits" in name else ()) for name in METHODS])
def test_a_rounds_folder_holds_the_model_that_embeds_and_is_measured(method, model, pool, tmp_path):
    """A run that lost what it embedded goes on as one that did not, and the folder alone gives the same vectors."""
    words = ("run", "--pool", pool, "--model", model, *OPTIONS, *METHODS[method])
    must(run_cli(*words, "--out", tmp_path / "a"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "b/rounds/00/signals")
    shutil.rmtree(tmp_path / "b/rounds/01")
    must(run_cli(*words, "--out", tmp_path / "b"))
    one, other = (vectors(tmp_path / name / "rounds/00/signals") for name in "ab")
    assert (one == other).all()
    assert chosen(tmp_path / "a") == chosen(tmp_path / "b")
    assert metrics(tmp_path / "a", 1)["heldout"] == metrics(tmp_path / "b", 1)["heldout"]
    tuned = tmp_path / "a/rounds/00/model"
    must(run_cli("embed", "--pool", pool, "--model", tuned, "--out", tmp_path / "vectors", "prompt.max_length=512"))
    assert (vectors(tmp_path / "vectors")[: len(one)] == one).all()


@needs_bitsandbytes
def test_a_quantised_base_is_quantised_again_under_its_adapter(model, pool, tmp_path):
    """The adapter was trained over four bits; over the whole base the same adapter is another model."""
    must(run_cli("run", "--pool", pool, "--model", model, "--out", tmp_path / "a", *OPTIONS, "train.method=qlora"))
    tuned = tmp_path / "a/rounds/00/model"
    quantisation = json.loads((tuned / "config.json").read_text())["quantization_config"]
    assert (quantisation["load_in_4bit"], quantisation["bnb_4bit_quant_type"]) == (True, "nf4")
    (tuned / "config.json").unlink()
    must(run_cli("embed", "--pool", pool, "--model", tuned, "--out", tmp_path / "whole", "prompt.max_length=512"))
    quantised, whole = vectors(tmp_path / "a/rounds/00/signals"), vectors(tmp_path / "whole")
    assert np.abs(quantised - whole[: len(quantised)]).max() > 1e-3


def test_an_adapter_that_lacks_weights_is_refused(model, pool, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    must(run_cli("run", "--pool", pool, "--model", model, "--out", tmp_path / "a", *OPTIONS, "train.method=lora"))
    file = tmp_path / "a/rounds/00/model/adapter_model.safetensors"
    weights = safetensors.load_file(file)
    safetensors.save_file(dict(list(weights.items())[1:]), file)
    ended = run_cli("embed", "--pool", pool, "--model", file.parent, "--out", tmp_path / "vectors")
    refused(ended, "missing adapter keys")


FSDP = """
distributed_type: FSDP
fsdp_config: {fsdp_version: 2, fsdp_cpu_ram_efficient_loading: true}
num_processes: 2
use_cpu: true
"""


def test_a_model_shared_out_over_processes_is_the_model_of_one(model, pool, tmp_path):
    words = ("run", "--pool", pool, "--model", model, *OPTIONS)
    must(run_cli(*words, "--out", tmp_path / "one"))
    (tmp_path / "fsdp.yaml").write_text(FSDP)
    launcher = ("accelerate.commands.launch", "--config_file", tmp_path / "fsdp.yaml")
    command = [sys.executable, "-m", *launcher, *program(*words, "--out", tmp_path / "two")[1:]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    assert chosen(tmp_path / "one") == chosen(tmp_path / "two")
    one, two = (vectors(tmp_path / name / "rounds/00/signals") for name in ("one", "two"))
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert metrics(tmp_path / "one", 1)["heldout"] == pytest.approx(metrics(tmp_path / "two", 1)["heldout"], rel=1e-5)
    must(run_cli("embed", "--pool", pool, "--model", tmp_path / "two/rounds/00/model", "--out", tmp_path / "vectors"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("train.method=qlora",), "train.method=lora"),
        (("--strategy", "entropy"), "sharded over ranks (FSDP)"),
    ],
    ids=["qlora", "logits"],
)
def test_what_a_shared_out_model_cannot_do_is_said_before_it_is_tuned(words, says, model, pool, tmp_path):
    if "qlora" in words[0]:
        pytest.importorskip("bitsandbytes", reason="needs the extra qlora")
    command = program("run", "--pool", pool, "--model", model, *OPTIONS, "--out", tmp_path / "run", "train.fsdp=true", *words)
    ended = subprocess.run([sys.executable, "-m", *TORCHRUN, *command[1:]], capture_output=True, text=True, timeout=240)
    assert ended.returncode != 0
    assert says in ended.stderr
    assert not (tmp_path / "run/rounds").exists()
