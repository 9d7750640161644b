"""A run's configuration and its folder: numbers and paths as they are meant, kills and damage survived."""

import json
import os
import shutil
import subprocess
import time

import pytest
import yaml
from outside import QUICK, must, program, read_jsonl, refused, run_cli

from diverseevol import DiverseEvolError, load_config

NEEDED = {"pool.path": "pool.jsonl", "model": "m", "out": "runs/a"}


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("seed", "010", 10),
        ("seed", "0o10", 8),
        ("seed", "0x10", 16),
        ("seed", "+1", 1),
        ("n_new", "[010, 08]", (10, 8)),
        ("stop.flops", "1e5", 1e5),
        ("stop.share", ".5", 0.5),
        ("train.learning_rate", "1e-5", 1e-5),
        ("train.lr_scheduler_kwargs.num_cycles", "010", 10),
        ("train.run_name", "1:30", "1:30"),
        ("train.save_strategy", "no", "no"),
        ("selection.quota", "{by: on, shares: {no: 010}}", {"by": "on", "shares": {"no": 10}}),
        ("pool.columns.prompt", "2024-01-01", "2024-01-01"),
        ("pool.split", "1_000", "1_000"),
        ("heldout.path", "off", "off"),
        ("budget", "null", None),
    ],
)
def test_yaml_is_read_as_people_mean_it(key, text, value, tmp_path):
    *sections, last = key.split(".")
    indented = [f"{'  ' * depth}{section}:" for depth, section in enumerate(sections)]
    file = tmp_path / "config.yaml"
    file.write_text("\n".join([*indented, f"{'  ' * len(sections)}{last}: {text}"]))
    rounds = {"rounds": 2} if key == "n_new" else {}
    for config in (load_config(file, options=NEEDED | rounds), load_config(overrides=[f"{key}={text}"], options=NEEDED | rounds)):
        found = config.model_dump()
        for part in key.split("."):
            found = found[part]
        assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("seed=1:30", "seed is '1:30'"),
        ("seed=.nan", ".nan is no number"),
        ("stop.hours=.inf", ".inf is no number"),
        ("stop.hours=NaN", "stop.hours is 'NaN'"),
        ("train.bf16=no", "train.bf16 is 'no': give true or false"),
        ("train.gradient_checkpointing_kwargs.use_reentrant=off", "use_reentrant is 'off': write true or false"),
        ("pool.dedup=no", "pool.dedup is 'no': give 'exact', 'near' or false"),
        ("train.max_steps=1_000", "train.max_steps is '1_000'"),
    ],
)
def test_what_could_be_read_in_two_ways_is_an_error_that_names_it(word, said):
    with pytest.raises(DiverseEvolError, match=said):
        load_config(overrides=[word], options=NEEDED)


def test_a_run_is_resumed_by_its_own_config_whatever_its_texts_look_like(model, pool, tmp_path):
    out = tmp_path / "run"
    options = ("--pool", pool, "--model", model, "--out", out, "--rounds", 0, "--n-init", "08")
    must(run_cli("run", *options, *QUICK, "seed=010", "train.learning_rate=1e-5", "train.run_name='1e5'"))
    stored = yaml.safe_load((out / "config.yaml").read_text("utf-8"))  # by YAML 1.1
    assert (stored["seed"], stored["n_init"], stored["train"]["learning_rate"]) == (10, 8, 1e-5)
    assert stored["train"]["run_name"] == "1e5"
    must(run_cli("run", out / "config.yaml", "--out", out))


def test_paths_are_expanded_everywhere(finished_run, model, pool, tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
    for name, target in (("model", model), ("pool.jsonl", pool), ("run", finished_run)):
        (home / name).symlink_to(target)
    (home / "rows.txt").write_text("0\n1\n")
    (home / "questions.jsonl").write_text('{"q": "Name the number of bridges in Oslo, please, case 0."}\n')
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PLACE", str(home))
    (home / "config.yaml").write_text(
        "pool: {sources: [~/pool.jsonl], decontaminate: ['my=~/questions.jsonl:q']}\nmodel: $PLACE/model\nout: ~/out\n"
        "heldout: ~/rows.jsonl\nselection: {exclude: '${PLACE}/rows.txt'}\nrounds: 0\nn_init: 4\n"
    )
    (home / "rows.jsonl").write_text('{"instruction": "Say when.", "input": "", "output": "When."}\n')
    must(run_cli("run", "~/config.yaml", *QUICK))
    assert {pick["row"] for pick in read_jsonl(home / "out/rounds/00/chosen.jsonl")}.isdisjoint({0, 1})
    for words in (
        ("init", "~/new.yaml", "--pool", "~/pool.jsonl", "--model", "$PLACE/model", "--out", "~/out"),
        ("plan", "~/config.yaml", *QUICK),
        ("status", "~/run"),
        ("export", "~/run", "--format", "alpaca", "--out=~/rows.json"),
        ("report", "${PLACE}/run", "--out=~/page.html"),
        ("embed", "--pool=~/pool.jsonl", "--model=~/model", "--out=~/vectors"),
        ("select", "--embeddings=~/vectors", "--chosen=~/rows.txt", "--n-new=2", "--out=$PLACE/picks.jsonl"),
        ("diversity", "--embeddings=~/vectors/embeddings.npy", "--chosen=~/rows.txt"),
        ("diversity", "~/run", "--embeddings=$PLACE/vectors/embeddings.npy"),
        ("check", "--pool=~/pool.jsonl", "--benchmark=my=~/questions.jsonl:q", "--out=~/overlap"),
        ("heldout", "~/run", "--file=~/rows.jsonl"),
        ("heldout", "--model=~/model", "--file=~/rows.jsonl"),
        ("answer", "--model=~/model", "--benchmark=my=~/questions.jsonl:q", "--out=~/answers.jsonl", "--max-new-tokens=2"),
    ):
        must(run_cli(*words))
    written = ("new.yaml", "rows.json", "page.html", "vectors/embeddings.npy", "picks.jsonl", "overlap", "answers.jsonl")
    assert all((home / name).exists() for name in written)
    for wrong in ("~no-such-user/x", "$NOWHERE/x", "a/${NOWHERE}"):
        refused(run_cli("run", "~/config.yaml", "--out", wrong), wrong)
        refused(run_cli("export", "~/run", "--format", "alpaca", "--out", wrong), wrong)
    assert os.listdir(here) == []


def damaged(run, folder, name, content):
    """A copy of a run with one file that holds something else: its first half, or the bytes that are given."""
    shutil.copytree(run, folder)
    file = folder / name
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    return folder


@pytest.mark.parametrize("content", ["half", b"\x00\xff\x80" * 30, b'{"seed": {}, "round": [], "row": "x"}\n'])
@pytest.mark.parametrize("name", ["config.yaml", "rounds/01/metrics.json", "rounds/01/chosen.jsonl"])
def test_a_damaged_file_of_a_run_is_named_with_what_to_do(name, content, finished_run, tmp_path):
    out = damaged(finished_run, tmp_path / "run", name, content)
    for words in (
        ("run", finished_run / "config.yaml", "--out", out),
        ("status", out),
        ("export", out, "--format", "alpaca", "--out", tmp_path / "rows.json"),
        ("report", out, "--out", tmp_path / "page.html"),
    ):
        if words[0] != "status" or not name.endswith("chosen.jsonl"):  # which reads the picks of the last round alone
            refused(run_cli(*words), f"{out / name}", "is damaged", "Restore it from a copy, or")
    assert not (tmp_path / "rows.json").exists() and not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pool/index.arrow", ("status",)),
        ("pool/records.arrow", ("export", "--format", "alpaca", "--out", "rows.json")),
        ("pool/tokens/block-00000.arrow", ("run",)),
        ("rounds/01/signals/embeddings.npy", ("report", "--out", "page.html")),
    ],
)
def test_a_damaged_array_of_a_run_is_named_too(name, words, finished_run, tmp_path, monkeypatch):
    out = damaged(finished_run, tmp_path / "run", name, "half")
    monkeypatch.chdir(tmp_path)
    verb, *options = words
    given = (finished_run / "config.yaml", "--out", out) if verb == "run" else (out, *options)
    refused(run_cli(verb, *given), str(out / name), "damaged", "Delete")


@pytest.mark.parametrize("content", ["half", b'{"rounds": [{}], "memory": 1}'])
def test_what_the_next_start_writes_anew_is_no_matter_when_damaged(content, finished_run, tmp_path):
    out = damaged(finished_run, tmp_path / "run", "progress.json", content)
    (out / "plan.json").write_bytes((out / "progress.json").read_bytes())
    must(run_cli("status", out))
    must(run_cli("report", out, "--out", tmp_path / "page.html"))


def test_a_killed_round_keeps_the_bills_of_what_was_paid_for(finished_run, tmp_path):
    """Killed once the round's picks and model were there: neither is paid for again, so neither bill becomes that of a file's reading."""
    out = tmp_path / "run"
    shutil.copytree(finished_run, out)
    round_dir = out / "rounds/02"
    (round_dir / "done").unlink()
    metrics = json.loads((round_dir / "metrics.json").read_text())
    metrics["stages"]["select"]["seconds"] = metrics["stages"]["train"]["seconds"] = 4000.0
    (round_dir / "metrics.json").write_text(json.dumps(metrics))
    must(run_cli("run", finished_run / "config.yaml", "--out", out))
    stages = json.loads((round_dir / "metrics.json").read_text())["stages"]
    assert (stages["select"]["seconds"], stages["train"]["seconds"]) == (4000.0, 4000.0)


@pytest.mark.parametrize(("wait_for", "stage"), [("chosen.jsonl", "select"), ("model", "train")])
def test_what_is_there_has_its_bill_whenever_the_kill_comes(wait_for, stage, model, pool, tmp_path):
    out = tmp_path / "run"
    options = ("--pool", pool, "--model", model, "--out", out, "--rounds", 0, "--n-init", 8, *QUICK)
    with subprocess.Popen(program("run", *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (out / "rounds/00" / wait_for).exists():
            time.sleep(0.001)
        process.kill()
    assert stage in json.loads((out / "rounds/00/metrics.json").read_text())["stages"]
