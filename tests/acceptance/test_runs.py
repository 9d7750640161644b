"""A run's configuration and its folder: numbers and paths as they are meant, kills and damage survived."""

import os

import pytest
import yaml
from outside import QUICK, must, read_jsonl, refused, run_cli

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
        ("select", "--embeddings=~/vectors", "--chosen=~/rows.txt", "--n=2", "--out=$PLACE/picks.jsonl"),
        ("diversity", "--embeddings=~/vectors/embeddings.npy", "--chosen=~/rows.txt"),
        ("diversity", "~/run", "--embeddings=$PLACE/vectors/embeddings.npy"),
        ("overlap", "--pool=~/pool.jsonl", "--benchmark=my=~/questions.jsonl:q", "--out=~/overlap"),
        ("duplicates", "~/run"),
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
