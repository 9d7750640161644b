"""The command line: help, errors and exit statuses, status and why, plan and costs, select and embed, compare, init and demo."""

import json
import shutil

import numpy as np
import pytest
from outside import QUICK, must, pool_rows, read_jsonl, refused, run_cli, run_process, write_jsonl

VERBS = ("init", "plan", "run", "demo", "status", "export", "embed", "select", "heldout", "diversity", "answer", "judge")
VERBS += ("score", "compare", "report")


def test_help_names_every_verb_and_each_shows_an_example():
    listed = run_process("--help").out
    for verb in VERBS:
        assert verb in listed
        assert "Example" in must(run_cli(verb, "--help")).out
    assert must(run_cli("--version")).out.startswith("diverseevol ")


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (("rn",), 2, ("rn",)),
        (("run", "--pol", "x"), 2, ("--pol",)),
        (("status", "no/such/run"), 1, ("no/such/run",)),
        (("export", "no/such/run", "--format", "alpaca", "--out", "a.jsonl"), 1, ("no/such/run",)),
        (("report", "no/such/run", "--out", "a.html"), 1, ("no/such/run",)),
        (("select", "--embeddings", "none.npy", "--n-new", "3", "--out", "p.jsonl"), 1, ("none.npy",)),
        (("score", "none.jsonl"), 1, ("none.jsonl",)),
        (("run", "none.yaml"), 1, ("none.yaml",)),
        (("init", "a.yaml", "--preset", "papper"), 1, ("papper", "paper")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) and len(value) > 1 else None,
)
def test_wrong_words_are_answered_in_two_lines(words, code, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = run_cli(*words)
    assert ended.code == code, ended.text
    refused(ended, *parts)
    assert not list(tmp_path.iterdir())


def test_status_says_what_is_done_and_why_a_row_was_chosen_or_not(finished_run):
    status = must(run_cli("status", finished_run, "--json")).json
    assert (status["state"], [one["n_chosen"] for one in status["rounds"]]) == ("finished", [8, 12, 16])
    text = must(run_cli("status", finished_run)).out
    assert "finished" in text and "round 2" in text
    pick = read_jsonl(finished_run / "rounds/01/chosen.jsonl")[0]
    said = must(run_cli("status", finished_run, pick["id"], "--json")).json
    assert (said["id"], said["nearest"]["id"], said["pick"]["round"]) == (pick["id"], pick["nearest_id"], 1)
    chosen = {one["row"] for at in range(3) for one in read_jsonl(finished_run / f"rounds/{at:02d}/chosen.jsonl")}
    row = next(row for row in range(120) if row not in chosen)
    assert "not chosen" in must(run_cli("status", finished_run, row)).out
    refused(run_cli("status", finished_run, "nosuch"), "nosuch")


def test_a_run_that_was_killed_is_said_to_be_stopped_with_what_goes_on(finished_run, tmp_path):
    out = shutil.copytree(finished_run, tmp_path / "run")
    shutil.rmtree(out / "rounds/02")
    status = must(run_cli("status", out, "--json")).json
    assert status["state"] != "finished" and not status["is_running"] and len(status["rounds"]) == 2


def test_plan_counts_the_published_schedule_as_its_formula_does(model, tmp_path):
    """Tuning costs three forward passes a token and epoch; a round embeds the pool once (the paper's schedule, 3 epochs)."""
    row = {"instruction": "Say the word.", "input": "", "output": "The word is said."}  # of one length each
    pool = write_jsonl(tmp_path / "pool.jsonl", [row | {"instruction": f"Say word {at:03d}."} for at in range(400)])
    words = ("--pool", pool, "--model", model, "--rounds", 10, "--n-init", 20, "--n-new", 20, "prompt.max_length=512")
    plan = must(run_cli("plan", *words, "--json")).json
    tuned = sum(20 * (index + 1) for index in range(11))
    ratio = (9 * tuned + 10 * 400) / (9 * 400)
    assert plan["ratio"] == pytest.approx(ratio, rel=0.02)
    assert plan["seconds"]["train"] > 0 and plan["memory"]["train"] > 0
    assert f"{plan['ratio']:.2f}" in must(run_cli("plan", *words)).out


def test_the_bill_of_a_run_is_what_the_plan_said(finished_run):
    """Tokens exactly; FLOPs as 6 and 2 a parameter and token, and attention's on top."""
    status = must(run_cli("status", finished_run, "--json")).json
    embedded = status["progress"]["embed"]
    assert embedded["tokens"]["measured"] == pytest.approx(embedded["tokens"]["predicted"])
    for one in status["rounds"]:
        bill = one["stages"]["train"]
        assert bill["tokens"] == one["tokens_chosen"]
        assert bill["flops"] > 6 * 40_000 * bill["tokens"]
        assert bill["seconds"] > 0 and bill["peak_memory_bytes"] > 1e6


def test_embed_leaves_vectors_ids_and_signals_that_select_reads(model, pool, tmp_path):
    words = ("--pool", pool, "--model", model, "--out", tmp_path / "v", "--signals", "embedding,loss")
    must(run_cli("embed", *words, "prompt.max_length=512"))
    vectors, ids = np.load(tmp_path / "v/embeddings.npy"), (tmp_path / "v/ids.txt").read_text().split()
    assert vectors.shape == (120, 48) and vectors.dtype == np.float32 and len(set(ids)) == 120
    words = ("--embeddings", tmp_path / "v/embeddings.npy", "--n-new", 5, "--out", tmp_path / "picks.jsonl")
    must(run_cli("select", *words, "--strategy", "loss"))
    picks = read_jsonl(tmp_path / "picks.jsonl")
    assert [pick["id"] for pick in picks] == [ids[pick["row"]] for pick in picks]
    losses = [pick["score"] for pick in picks]
    assert losses == sorted(losses, reverse=True)


def test_vectors_in_npy_safetensors_and_parquet_give_the_same_picks(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet
    from safetensors.numpy import save_file

    points = np.random.default_rng(0).standard_normal((200, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", points)
    save_file({"vectors": points}, tmp_path / "x.safetensors")
    parquet.write_table(pa.table({"vector": pa.array(list(points))}), tmp_path / "x.parquet")
    (tmp_path / "shards").mkdir()
    np.save(tmp_path / "shards/0.npy", points[:90])
    np.save(tmp_path / "shards/1.npy", points[90:])
    said = []
    for name in ("x.npy", "x.safetensors:vectors", "x.parquet:vector", "shards"):
        must(run_cli("select", "--embeddings", tmp_path / name, "--n-new", 9, "--out", tmp_path / "p.jsonl"))
        said.append((tmp_path / "p.jsonl").read_text())
    assert len(set(said)) == 1


def test_compare_says_in_words_what_the_seeds_show(model, pool, tmp_path):
    held = write_jsonl(tmp_path / "held.jsonl", [row | {"input": ""} for row in pool_rows(180)[130:]])
    words = ("--pool", pool, "--model", model, "--strategies", "k_center", "--seeds", "0,1", "--out", tmp_path / "c")
    words += ("--rounds", 1, "--n-init", 8, "--n-new", 8, f"heldout.path={held}", *QUICK)
    found = must(run_cli("compare", *words, "--json"))
    assert found.json == json.loads((tmp_path / "c/comparison.json").read_text())
    starts = {(tmp_path / f"c/runs/seed-0/{arm}/rounds/00/chosen.jsonl").read_text() for arm in ("k_center", "random")}
    assert len(starts) == 1  # the same start for every strategy
    text = must(run_cli("compare", *words))
    assert "no difference shown" in text.out or "better" in text.out or "worse" in text.out


@pytest.mark.parametrize("preset", ["paper", "modern", "thrifty"])
def test_init_writes_a_config_that_plan_reads(preset, model, pool, tmp_path):
    file = tmp_path / "my.yaml"
    must(run_cli("init", file, "--preset", preset, "--pool", pool, "--model", model, "--out", tmp_path / "run"))
    assert file.read_text().count("#") > 20
    words = ("rounds=1", "n_init=5", "n_new=5", "prompt.max_length=512")
    assert must(run_cli("plan", file, *words, "--json")).json["rounds"][1]["n_chosen"] == 10
    refused(run_cli("init", file), str(file), "--force")


def test_the_demos_data_are_a_pool_and_a_config_for_other_verbs(tmp_path):
    must(run_cli("demo", "--only-data", "--rows", 700, "--out", tmp_path / "demo"))
    plan = must(run_cli("plan", tmp_path / "demo/demo.yaml", "--json")).json
    assert plan["lengths"]["n_rows"] == len(read_jsonl(next((tmp_path / "demo").glob("pool*.jsonl"))))
