"""The configurations and examples that people copy: they load, they run, and the paper's holds the paper's values."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from doc_fences import arguments_of
from typer.main import get_command

from diverseevol import load_config
from diverseevol.cli.app import app
from diverseevol.config import read_yaml

ROOT = Path(__file__).parents[1]
QUICK = ("train.num_train_epochs=1", "train.learning_rate=1e-3", "train.total_batch_size=8", "prompt.max_length=256")


def test_the_papers_configurations_hold_the_papers_values():
    for name in ("paper_dolly", "paper_alpaca"):
        config = load_config(ROOT / "configs" / f"{name}.yaml")
        assert (config.rounds, config.n_init, config.n_new) == (10, 100, 100)
        assert (config.prompt.template, config.prompt.max_length, config.embed.pooling) == ("alpaca", 512, "mean")
        assert (config.train.start, config.train.method, config.train.total_batch_size) == ("base", "full", 64)
        assert config.train.sft["learning_rate"] == 2e-5
        assert config.train.sft["weight_decay"] == 0
        assert config.train.sft["warmup_steps"] == 0.03
        assert config.train.sft["lr_scheduler_type"] == "cosine"
        assert config.train.sft["num_train_epochs"] == 3
        assert config.selection.strategy == "k_center"


def test_every_configuration_loads():
    files = sorted((ROOT / "configs").glob("*.yaml"))
    assert [file.stem for file in files] == ["modern", "paper_alpaca", "paper_dolly", "thrifty"]
    assert [load_config(file).out for file in files] == [f"runs/{file.stem}" for file in files]


@pytest.mark.parametrize("name", ["modern", "paper_alpaca", "paper_dolly", "thrifty"])
def test_a_configuration_adds_nothing_to_its_preset(name):
    file = ROOT / "configs" / f"{name}.yaml"
    given = read_yaml(file)
    assert set(given) == {"preset", "pool", "model", "out"}
    assert given["preset"] == name.partition("_")[0]
    named = {"pool.path": given["pool"]["path"], "model": given["model"], "out": given["out"]}
    assert load_config(file) == load_config(preset=given["preset"], options=named)


def test_modern_and_thrifty_are_what_they_are_said_to_be():
    modern, thrifty = (load_config(ROOT / "configs" / f"{name}.yaml") for name in ("modern", "thrifty"))
    assert (modern.prompt.template, modern.embed.pooling, modern.train.method) == ("auto", "response", "lora")
    assert (modern.pool.dedup, modern.selection.options["outliers"]) == ("exact", {"share": 0.02})
    assert "bf16" not in modern.train.sft  # the trainer's own default: on where the device has it
    assert (thrifty.rounds, thrifty.n_new, thrifty.selection.candidates) == (4, "geometric", 0.5)
    same = {"rounds", "n_new", "budget", "selection", "out"}
    assert thrifty.model_dump(exclude=same) == modern.model_dump(exclude=same)


def call(*words, **more):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more}
    ended = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=300, env=environment)
    assert ended.returncode == 0, ended.stderr
    return ended


def test_quickstart(made_model, pool_file, tmp_path):
    said = call(sys.executable, ROOT / "examples/quickstart.py", pool_file, made_model, tmp_path / "run", *QUICK).stdout
    assert f"round 2: 150 samples in {tmp_path / 'run/rounds/02/subset.jsonl'}" in said


def test_external_trainer(made_model, pool_file, tmp_path):
    check = "ls {data}; cp {base}/* {out}"
    words = ("--rounds", "1", "--n-init", "8", "--n-new", "4", "prompt.max_length=256")
    script = ROOT / "examples/external_trainer.sh"
    said = call("bash", script, pool_file, made_model, tmp_path / "run", *words, TRAINER=check).stderr
    assert "dataset_info.json" in said
    assert "12 samples in" in said


def test_jobs_start_a_run():
    slurm = (ROOT / "examples/slurm.sh").read_text().partition("srun ")[2].replace("\\\n", " ")
    _, job = yaml.safe_load_all((ROOT / "examples/kubernetes.yaml").read_text())
    for words in (shlex.split(slurm), job["spec"]["template"]["spec"]["containers"][0]["command"]):
        verb, *rest = arguments_of(words)
        assert rest == ["my.yaml", "out=/shared/runs/a"]
        get_command(app).commands[verb].make_context(verb, rest)


def test_custom_strategy(tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float16)
    np.save(tmp_path / "x.npy", points)
    said = call(sys.executable, ROOT / "examples/custom_strategy.py", tmp_path / "x.npy", 7).stdout
    to_mean = np.square(points.astype(np.float64) - points.astype(np.float64).mean(axis=0)).sum(axis=1)
    assert [int(row) for row in said.split()] == np.argsort(to_mean, kind="stable")[:7].tolist()


def test_custom_strategy_by_name(tmp_path):
    """As the example's last lines say: in a package, with an entry point."""
    example = (ROOT / "examples/custom_strategy.py").read_text()
    (tmp_path / "your_package.py").write_text(example[: example.index("\npicks = ")])
    (tmp_path / "your_package-1.dist-info").mkdir()
    lines = [line.strip() for line in example.splitlines() if line.strip().startswith(("[project.entry", "typical ="))]
    entry = f"[{lines[0].split(chr(34))[1]}]\n{lines[1].replace(chr(34), '')}\n"
    (tmp_path / "your_package-1.dist-info/entry_points.txt").write_text(entry)
    (tmp_path / "your_package-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: your-package\nVersion: 1\n")
    np.save(tmp_path / "x.npy", np.array([[0.0], [1], [2], [9]]))
    words = (
        "--embeddings",
        tmp_path / "x.npy",
        "--n-new",
        "2",
        "--out",
        tmp_path / "picks.jsonl",
        "--strategy",
        "typical",
        "power=1",
    )
    call(sys.executable, "-m", "diverseevol", "select", *words, PYTHONPATH=str(tmp_path))
    picks = [json.loads(line) for line in (tmp_path / "picks.jsonl").read_text().splitlines()]
    assert [(pick["row"], pick["distance"]) for pick in picks] == [(2, 1.0), (1, 2.0)]
