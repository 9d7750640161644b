"""Answers, judges, scores, held-out losses, diversity, duplicates and contamination of a finished run."""

import json

import api_server
import pytest
from outside import must, pool_rows, read_jsonl, refused, run_cli, write_jsonl

pytest.importorskip("openai", reason="needs the extra judge")
QUESTIONS = [{"question_id": f"q{index}", "text": row["instruction"]} for index, row in enumerate(pool_rows(6))]


@pytest.fixture(scope="module")
def answered(finished_run, tmp_path_factory):
    """The finished run with greedy answers of every round and the base model to six questions."""
    questions = write_jsonl(tmp_path_factory.mktemp("questions") / "questions.jsonl", QUESTIONS)
    words = ("--benchmark", f"my={questions}:text", "--sampling", "greedy", "--max-new-tokens", 12, "--round")
    must(run_cli("answer", finished_run, *words, "all"))
    must(run_cli("answer", finished_run, *words, "base"))
    return finished_run


def test_answers_are_what_generate_says_to_the_training_prompt(answered):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = answered / "rounds/02/model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    answers = read_jsonl(answered / "answers/my/round-02.jsonl")
    assert [answer["question_id"] for answer in answers] == [question["question_id"] for question in QUESTIONS]
    for question, answer in zip(QUESTIONS[:2], answers, strict=False):
        prompt = (
            "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
            f"### Instruction:\n{question['text']}\n\n### Response:"
        )
        ids = tokenizer(prompt, return_tensors="pt")
        said = model.generate(**ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0, ids["input_ids"].shape[1] :]
        assert answer["answer"].strip() == tokenizer.decode(said, skip_special_tokens=True).strip()


def test_a_judge_is_asked_in_both_orders_once_and_its_scores_add_up(answered, tmp_path):
    ours = [{"question_id": f"q{at}", "text": f"ask {at}", "answer": f"An answer worth {at + 3}."} for at in range(5)]
    theirs = [row | {"answer": "Another answer, worth 4."} for row in ours]
    files = [write_jsonl(tmp_path / name, rows) for name, rows in (("a.jsonl", ours), ("b.jsonl", theirs))]
    words = ("judge", "--answers", files[0], "--opponent", files[1], "--out", tmp_path / "v.jsonl", "--model", "m", "--yes")
    with api_server.serving() as server:  # a judge that gives an answer what it says it is worth
        must(run_cli(*words, "--base-url", server.url))
        assert len(server.asked) == 10
        must(run_cli(*words, "--base-url", server.url))
        assert len(server.asked) == 10  # nothing is paid for twice
    verdicts = read_jsonl(tmp_path / "v.jsonl")
    assert sorted((verdict["question_id"], verdict["order"]) for verdict in verdicts) == [
        (f"q{at}", order) for at in range(5) for order in (0, 1)
    ]
    for verdict in verdicts:
        assert (verdict["score"], verdict["opponent_score"]) == (int(verdict["question_id"][1:]) + 3, 4)
    (scored,) = must(run_cli("score", tmp_path / "v.jsonl", "--json")).json["files"]
    assert scored["rs"] == pytest.approx(100 * (3 + 4 + 5 + 6 + 7) / (5 * 4))
    assert (scored["tally"]["wins"], scored["tally"]["ties"], scored["tally"]["losses"]) == (3, 1, 1)


def test_a_runs_answers_are_judged_against_its_base(answered):
    with api_server.serving(lambda asked: "5 5\nbecause") as server:
        words = ("--benchmark", "my", "--opponent", "base", "--model", "m", "--base-url", server.url, "--yes")
        must(run_cli("judge", answered, *words, "--round", "all"))
    files = sorted(file.name for file in (answered / "verdicts/my").glob("*.jsonl"))
    assert [name for name in files if "missing" not in name] == [f"round-0{at}-vs-base.jsonl" for at in range(3)]
    assert [scored["rs"] for scored in must(run_cli("score", answered, "--json")).json["files"]] == [100, 100, 100]


def test_a_key_is_read_from_the_environment_alone_and_stands_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret-0123456789")
    rows = [{"question_id": 1, "text": "ask", "answer": "one"}]
    files = [write_jsonl(tmp_path / name, rows) for name in ("a.jsonl", "b.jsonl")]
    words = ("--answers", files[0], "--opponent", files[1], "--out", tmp_path / "v.jsonl", "--model", "m", "--yes")
    with api_server.serving(
        lambda asked: api_server.Sent(401, '{"error": {"message": "bad key sk-secret-0123456789"}}')
    ) as server:
        ended = refused(run_cli("judge", *words, "--base-url", server.url, "--key-variable", "MY_KEY"), "401")
        assert server.asked[0].headers["authorization"] == "Bearer sk-secret-0123456789"
    assert "sk-secret" not in ended.text
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and b"sk-secret" in file.read_bytes()]


def test_heldout_losses_are_the_models_own(finished_run, tmp_path):
    """The mean over the response tokens of all rows, by the library's own loss."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rows = [row | {"input": ""} for row in pool_rows(200)[190:]]
    file = write_jsonl(tmp_path / "held.jsonl", rows)
    found = must(run_cli("heldout", finished_run, "--file", file, "--group", "kind", "--json")).json
    last = found["models"][-1]
    assert last["model"] == "round-02"
    folder = finished_run / "rounds/02/model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    losses = {"even": [], "odd": []}
    for row in rows:
        prompt = (
            "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
            f"### Instruction:\n{row['instruction']}\n\n### Response:"
        )
        before, after = tokenizer(prompt)["input_ids"], tokenizer(row["output"])["input_ids"] + [tokenizer.eos_token_id]
        with torch.inference_mode():
            logits = model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
        losses[row["kind"]] += torch.nn.functional.cross_entropy(logits, torch.tensor(after), reduction="none").tolist()
    both = losses["even"] + losses["odd"]
    assert last["heldout"]["loss"] == pytest.approx(sum(both) / len(both), rel=1e-4)
    for kind, each in losses.items():
        assert last["heldout"]["by_group"][kind] == pytest.approx(sum(each) / len(each), rel=1e-4)


def test_diversity_beside_random_sets(finished_run):
    measured = must(run_cli("diversity", finished_run, "--json", "--labels", "kind")).json
    assert [one["n_chosen"] for one in measured["sets"]] == [8, 12, 16]
    for one in measured["sets"]:
        radius = one["measures"]["covering_radius"]
        assert radius["random_low"] <= radius["random_mean"] <= radius["random_high"]
    radii = [one["measures"]["covering_radius"]["value"] for one in measured["sets"]]
    assert radii == sorted(radii, reverse=True)


def test_duplicates_and_benchmark_questions_are_found_and_nothing_is_removed(tmp_path):
    rows = pool_rows(40)
    words = "The quick brown fox jumps over the lazy dog while seven sleepy cats watch from the old stone wall nearby"
    rows[5] |= {"instruction": f"Explain this sentence to a child: {words}.", "output": f"A fox jumps. {words}."}
    rows[9] = rows[5] | {"instruction": rows[5]["instruction"].replace("child", "small child")}
    rows.append(rows[3])
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    asked = write_jsonl(tmp_path / "asked.jsonl", [{"id": "one", "text": rows[5]["instruction"]}, {"id": "two", "text": "Why?"}])
    words = ("--pool", pool, "--benchmark", f"my={asked}:text", "--out", tmp_path / "found")
    said = must(run_cli("check", *words, "--json")).json
    assert said["n_exact"] == 1
    pairs = {(row["source_row"], row["kept_source_row"]) for row in read_jsonl(tmp_path / "found/duplicates.jsonl")}
    assert {(40, 3), (9, 5)} <= pairs
    assert {row["question_id"] for row in read_jsonl(tmp_path / "found/contamination.jsonl")} == {"one"}
    assert read_jsonl(pool) == rows


def test_a_run_leaves_out_duplicates_and_contaminated_rows_where_it_is_asked(model, tmp_path):
    rows = pool_rows(30)
    rows += [rows[4], rows[7]]
    asked = write_jsonl(
        tmp_path / "asked.jsonl", [{"id": "one", "text": "Name the number of bridges in Cairo, please, case 11."}]
    )
    pool = write_jsonl(tmp_path / "pool.jsonl", rows)
    words = ("--pool", pool, "--model", model, "--out", tmp_path / "run", "--rounds", 0, "--n-init", 2, "pool.dedup=exact")
    must(run_cli("run", *words, f"pool.decontaminate=[my={asked}:text]", "prompt.max_length=512", "keep=none"))
    status = must(run_cli("status", tmp_path / "run", "--json")).json
    assert status["n_duplicates_dropped"] == 2 and status["n_contaminated"] >= 1
    assert len(json.dumps(status)) > 100
