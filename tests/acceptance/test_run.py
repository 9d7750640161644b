"""The run: what is chosen, what is left in the folder, what is refused before anything is spent."""

import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from outside import QUICK, must, pool_rows, program, read_jsonl, refused, run_cli, write_jsonl


def chosen(out, n_rounds=3):
    return [[pick["id"] for pick in read_jsonl(out / f"rounds/{index:02d}/chosen.jsonl")] for index in range(n_rounds)]


def test_a_round_leaves_its_picks_in_order_and_the_users_own_records(finished_run):
    rows = pool_rows(120)
    picks = [pick for index in range(3) for pick in read_jsonl(finished_run / f"rounds/{index:02d}/chosen.jsonl")]
    assert [(pick["round"], pick["rank"]) for pick in picks] == [
        *((0, rank) for rank in range(8)),
        *((1, rank) for rank in range(4)),
        *((2, rank) for rank in range(4)),
    ]
    subset = read_jsonl(finished_run / "rounds/02/subset.jsonl")
    assert {record.pop("_id") for record in subset} == {pick["id"] for pick in picks}
    assert subset == [rows[row] for row in sorted(pick["source_row"] for pick in picks)]


def test_each_round_picks_the_rows_farthest_from_all_chosen(finished_run):
    """The paper's rule, word for word, in float64 on the vectors that the round left."""
    rows = [[pick["row"] for pick in read_jsonl(finished_run / f"rounds/{at:02d}/chosen.jsonl")] for at in range(3)]
    for at in (1, 2):
        points = np.load(finished_run / f"rounds/{at - 1:02d}/signals/embeddings.npy").astype(np.float64)
        have = [row for earlier in rows[:at] for row in earlier]
        for pick in read_jsonl(finished_run / f"rounds/{at:02d}/chosen.jsonl"):
            nearest = np.linalg.norm(points[:, None] - points[have], axis=2).min(axis=1)
            assert pick["row"] == nearest.argmax()
            assert pick["distance"] == pytest.approx(nearest.max())
            have.append(pick["row"])


def test_the_embeddings_are_the_mean_of_the_last_states_over_all_tokens(finished_run):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = finished_run / "rounds/01/model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    row = pool_rows(1)[0]
    prompt = (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        f"### Instruction:\n{row['instruction']}\n\n### Input:\n{row['input']}\n\n### Response:"
    )
    ids = torch.tensor([tokenizer(prompt + row["output"])["input_ids"] + [tokenizer.eos_token_id]])
    with torch.inference_mode():
        states = model.model(ids).last_hidden_state
    found = np.load(finished_run / "rounds/01/signals/embeddings.npy")[0]
    assert found == pytest.approx(states[0].mean(0).numpy(), rel=1e-4, abs=1e-5)


def test_the_seed_decides_and_the_pools_own_config_repeats_the_run(finished_run, model, pool, tmp_path):
    must(run_cli("run", finished_run / "config.yaml", "--out", tmp_path / "again"))
    assert chosen(tmp_path / "again") == chosen(finished_run)
    options = ("--pool", pool, "--model", model, "--rounds", 0, "--n-init", 8, *QUICK)
    must(run_cli("run", *options, "--out", tmp_path / "other", "--seed", 1))
    assert chosen(tmp_path / "other", 1) != chosen(finished_run, 1)


def test_python_yields_the_rounds_that_the_command_line_makes(finished_run, model, pool, tmp_path):
    from diverseevol import evolve, load_config

    options = {"pool.path": str(pool), "model": str(model), "out": str(tmp_path / "run"), "rounds": 1}
    config = load_config(None, QUICK, options=options | {"n_init": 8, "n_new": 4})
    rounds = list(evolve(config))
    assert [round_.index for round_ in rounds] == [0, 1]
    assert len(read_jsonl(rounds[1].subset_path)) == 12
    assert chosen(tmp_path / "run", 2) == chosen(finished_run, 2)


def test_the_same_command_again_does_nothing_and_another_names_what_changed(finished_run, tmp_path):
    out = shutil.copytree(finished_run, tmp_path / "run")
    before = {file: file.read_bytes() for file in (out / "config.yaml", *out.rglob("rounds/**/*")) if file.is_file()}
    must(run_cli("run", finished_run / "config.yaml", "--out", out))
    for key, value in (("n_new", 5), ("seed", 1), ("train.learning_rate", 0.1)):
        refused(run_cli("run", finished_run / "config.yaml", "--out", out, f"{key}={value}"), key, str(out))
    assert {file: file.read_bytes() for file in before} == before


def test_more_rounds_go_on_from_what_is_there(finished_run, tmp_path):
    out = tmp_path / "run"
    must(run_cli("run", finished_run / "config.yaml", "--out", out, "--rounds", 1))
    must(run_cli("run", finished_run / "config.yaml", "--out", out, "--rounds", 2))
    assert chosen(out) == chosen(finished_run)


def test_two_processes_in_one_folder_at_once_are_refused(model, pool, tmp_path):
    words = ("run", "--pool", pool, "--model", model, "--out", tmp_path / "run", "--rounds", 3, *QUICK)
    first = subprocess.Popen(program(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (tmp_path / "run/config.yaml").exists():
            assert first.poll() is None
            time.sleep(0.02)
        refused(run_cli(*words), str(tmp_path / "run"))
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize(
    "strategy",
    ["random", "least_confidence", "margin", "entropy", "loss", "ifd", "facility_location", "k_means", "vendi"],
)
def test_every_strategy_takes_part_in_the_loop(strategy, model, pool, tmp_path):
    options = ("--pool", pool, "--model", model, "--out", tmp_path / "run", "--strategy", strategy)
    must(run_cli("run", *options, "--rounds", 1, "--n-init", 6, "--n-new", 5, "keep=none", *QUICK))
    first, second = chosen(tmp_path / "run", 2)
    assert len(second) == 5 and len({*first, *second}) == 11


def test_quotas_minima_and_outlier_guards_hold(model, tmp_path):
    rows = [row | {"score": index % 10} for index, row in enumerate(pool_rows(80))]
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    config = {
        "pool": {"path": str(pool)},
        "model": str(model),
        "out": str(tmp_path / "run"),
        "rounds": 1,
        "n_init": 4,
        "n_new": 8,
        "selection": {
            "minimum": {"score": 5},
            "outliers": {"share": 0.1},
            "quota": {"by": "kind", "shares": {"even": 0.75, "odd": 0.25}},
        },
    }
    (tmp_path / "my.yaml").write_text(json.dumps(config))
    must(run_cli("run", tmp_path / "my.yaml", *QUICK))
    picked = [rows[pick["source_row"]] for pick in read_jsonl(tmp_path / "run/rounds/01/chosen.jsonl")]
    assert all(row["score"] >= 5 for row in picked)
    assert sorted(row["kind"] for row in picked) == ["even"] * 6 + ["odd"] * 2
    skipped = read_jsonl(tmp_path / "run/rounds/01/skipped.jsonl")
    assert {"minimum", "outliers"} == {row["guard"] for row in skipped}


def test_a_budget_in_tokens_and_growing_rounds(model, pool, tmp_path):
    options = ("--pool", pool, "--model", model, "--rounds", 3, "--n-init", 6, *QUICK)
    must(run_cli("run", *options, "--out", tmp_path / "a", "n_new=[2,4,8]", "keep=none"))
    assert [len(ids) for ids in chosen(tmp_path / "a", 4)] == [6, 2, 4, 8]
    must(run_cli("run", *options, "--out", tmp_path / "b", "budget=4000 tokens", "keep=none", "--n-new", 5))
    sizes = [json.loads(file.read_text()) for file in sorted((tmp_path / "b").glob("rounds/*/metrics.json"))]
    assert 2000 < sizes[-1]["tokens_chosen"] <= 4000


def test_held_out_rows_are_never_chosen_and_their_loss_is_in_the_metrics(model, pool, tmp_path):
    options = ("--pool", pool, "--model", model, "--out", tmp_path / "run", "--rounds", 1, "--n-init", 8, "--n-new", 8)
    must(run_cli("run", *options, "pool.holdout=60", "keep=none", *QUICK))
    held = {line.strip() for line in (tmp_path / "run/heldout/ids.txt").read_text().split("\n") if line.strip()}
    assert len(held) == 60
    assert not held & {one for ids in chosen(tmp_path / "run", 2) for one in ids}
    metrics = json.loads((tmp_path / "run/rounds/01/metrics.json").read_text())
    assert 1 < metrics["heldout"]["loss"] < 10


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--n-init", 200), ("200", "120")),
        (("--rounds", 50, "--n-new", 10), ("120",)),
        (("--strategy", "k_centre"), ("k_centre", "k_center")),
        (("train.learning_rte=1",), ("train.learning_rte", "learning_rate")),
        (("--rounds", "-1"), ("rounds",)),
        (("--model", "no/such/model"), ("no/such/model",)),
        (("--pool", "nothing.jsonl"), ("nothing.jsonl",)),
        (("--rounds", 1, "--n-init", 4, "--n-new", 4, "selection.quota={by: nosuch}"), ("nosuch",)),
    ],
    ids=lambda value: None if isinstance(value, tuple) and not str(value[0]).startswith("-") else str(value[0]),
)
def test_what_cannot_work_is_said_before_anything_is_trained(words, parts, model, pool, tmp_path):
    ended = run_cli("run", "--pool", pool, "--model", model, "--out", tmp_path / "run", *QUICK, *words)
    refused(ended, *parts)
    assert not list(tmp_path.glob("run/rounds/*/model"))


def test_a_users_own_trainer_and_strategy_take_part(model, pool, tmp_path):
    """`train.command` leaves a model folder; a strategy is any object with `needs` and `select`."""
    script = tmp_path / "trainer.py"
    script.write_text(
        "import json, pathlib, shutil, sys\n"
        "data, base, out = sys.argv[1:]\n"
        "assert all('output' in row for row in json.loads(pathlib.Path(data).read_text()))\n"
        "shutil.copytree(base, out, dirs_exist_ok=True)\n"
    )
    options = ("--pool", pool, "--model", model, "--out", tmp_path / "run", "--rounds", 1, "--n-init", 4, "--n-new", 2)
    command = f"{sys.executable} {script} {{data}} {{base}} {{out}}"
    must(run_cli("run", *options, f"train.command={command}", "prompt.max_length=512"))
    assert [len(ids) for ids in chosen(tmp_path / "run", 2)] == [4, 2]
    assert (tmp_path / "run/rounds/01/model/config.json").exists()
