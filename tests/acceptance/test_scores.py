"""Verdicts: what they add up to, and how a judge's replies become verdicts."""

import csv
import gzip
import json
from pathlib import Path

import api_server as server
import numpy as np
import pytest
from outside import must, read_jsonl, refused, run_cli, write_jsonl

DATA = Path(__file__).parents[2].parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, which is not part of the repository")
# DiverseEvol's published Relative Scores (arXiv 2311.08182), Vicuna-bench, Dolly, rounds 0 to 10.
PUBLISHED = {
    "kc_dolly_initRAND100": [46.47, 65.31, 69.09, 71.27, 71.52, 77.56, 79.69, 78.69, 78.12, 76.26, 77.90],
    "rand_dolly_initRAND100": [47.69, 61.45, 61.20, 64.55, 66.15, 63.61, 73.06, 65.54, 72.51, 67.31, 70.87],
    "baseline_dolly": [73.84],
}


def scored(*words):
    return must(run_cli("score", *words, "--json")).json


def published_line(question_id, first, second):
    names = {"assistant1_QUERY0": "ours", "assistant2_QUERY0": "gpt", "assistant1_QUERY1": "gpt", "assistant2_QUERY1": "ours"}
    return {"question_id": question_id, "question_text": f"Q{question_id}?", "eval_QUERY0": first, "eval_QUERY1": second, **names}


@needs_data
@pytest.mark.parametrize("run", PUBLISHED)
def test_the_published_verdicts_give_the_published_scores(run):
    files = scored(DATA / "verdicts" / "vicuna_test" / run)["files"]
    assert [round(file["rs"], 2) for file in files] == PUBLISHED[run]


def test_a_score_of_0_counts_as_given_and_is_listed(tmp_path):
    file = write_jsonl(tmp_path / "v.jsonl", [published_line(1, [0.0, 8.0], [4.0, 9.0]), published_line(2, [5, 8], [0, 0])])
    (found,) = scored(file)["files"]
    assert found["rs"] == pytest.approx(100 * 9 / 25)
    assert [(one["question_id"], one["order"]) for one in found["problems"]] == [("1", 0), ("2", 1)]
    assert "counts as given" in must(run_cli("score", file)).out


@pytest.mark.parametrize("odd", [None, -1, [-1, -1], [8], [8, 9, 7], [float("nan"), 3], [11, 3], [-3, 3], "none", {}])
def test_what_cannot_be_a_score_is_put_apart_alone(tmp_path, odd):
    lines = [published_line(1, [4, 8], odd), published_line(2, ["3", "9.0"], "2 8")]
    (found,) = scored(write_jsonl(tmp_path / "v.jsonl", lines))["files"]
    assert found["rs"] == pytest.approx(100 * 9 / 25)
    assert [(one["question_id"], one["order"]) for one in found["problems"]] == [("1", 1)]


def test_of_two_judgements_of_one_question_the_first_readable_one_counts(tmp_path):
    scores = [(0, None, None), (0, 8, 4), (0, 2, 6), (1, 6, 6)]
    lines = [{"question_id": 1, "order": order, "score": ours, "opponent_score": theirs} for order, ours, theirs in scores]
    (found,) = scored(write_jsonl(tmp_path / "v.jsonl", lines))["files"]
    assert (found["rs"], found["n_judgements"]) == (pytest.approx(140), 2)


def win_lines(wins, lengths):
    return [
        {"question_id": n, "winner": "ours" if win else "opponent", "length": ours, "opponent_length": theirs}
        for n, (win, (ours, theirs)) in enumerate(zip(wins, lengths, strict=True))
    ]


def controlled_rate(file):
    return scored(file)["files"][0]["lengths"]["controlled_win_rate"]


def test_wins_and_losses_with_lengths_give_a_win_rate_at_equal_lengths(tmp_path):
    rng = np.random.default_rng(0)
    lengths, wins = rng.integers(200, 2000, (60, 2)).tolist(), (np.arange(60) % 4 == 0).tolist()
    equal = write_jsonl(tmp_path / "equal.jsonl", win_lines(wins, [(900, 900)] * 60))
    assert controlled_rate(equal) == pytest.approx(25)
    shorter = [(min(pair), max(pair) + 1) for pair in lengths]
    longer = [pair[::-1] for pair in shorter]
    assert controlled_rate(write_jsonl(tmp_path / "shorter.jsonl", win_lines(wins, shorter))) > 28
    assert controlled_rate(write_jsonl(tmp_path / "longer.jsonl", win_lines(wins, longer))) < 22
    assert controlled_rate(write_jsonl(tmp_path / "none.jsonl", win_lines([False] * 60, lengths))) == pytest.approx(0, abs=0.01)


def test_lengths_may_be_given_by_the_answers_and_scores_in_place_of_winners(tmp_path):
    rng = np.random.default_rng(0)
    lengths, wins = rng.integers(200, 2000, (40, 2)).tolist(), rng.random(40) < 0.3
    answers = [
        {
            "question_id": n,
            "order": 0,
            "score": 1 + int(win),
            "opponent_score": 2 - int(win),
            "answer": "x" * ours,
            "opponent_answer": "y" * theirs,
        }
        for n, (win, (ours, theirs)) in enumerate(zip(wins, lengths, strict=True))
    ]
    by_answers = controlled_rate(write_jsonl(tmp_path / "answers.jsonl", answers))
    assert by_answers == pytest.approx(controlled_rate(write_jsonl(tmp_path / "lengths.jsonl", win_lines(wins, lengths))))


@needs_data
def test_win_rates_at_equal_lengths_are_near_alpaca_evals_published_ones(tmp_path):
    folder = DATA / "oracles"
    with (folder / "alpaca_eval_2_leaderboard.csv").open() as file:
        published = {row["model"]: float(row["length_controlled_win_rate"]) for row in csv.DictReader(file)}
    rows = {}
    with gzip.open(folder / "alpaca_eval_2_judgements.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            rows.setdefault(row["model"], []).append(
                (float(row["win"]) > 0.5, (int(row["chars_model"]), int(row["chars_baseline"])))
            )
    errors, raw = [], []
    for model in (
        "FuseChat-Llama-3.2-1B-Instruct",
        "gpt-3.5-turbo-1106",
        "claude-2",
    ):  # longer, far shorter, shorter than the baseline
        found = controlled_rate(write_jsonl(tmp_path / f"{model}.jsonl", win_lines(*zip(*rows[model], strict=True))))
        errors.append(abs(found - published[model]))
        raw.append(abs(100 * np.mean([win for win, _ in rows[model]]) - published[model]))
    assert max(errors) <= 2.2
    assert np.mean(errors) < np.mean(raw) / 4


@pytest.fixture
def answers(tmp_path):
    files = [
        write_jsonl(
            tmp_path / f"{side}.jsonl", [{"question_id": n, "question": f"Q{n}?", "answer": f"{side}{n}"} for n in range(20)]
        )
        for side in ("ours", "theirs")
    ]
    return ("--answers", files[0], "--opponent", files[1], "--out", tmp_path / "v.jsonl")


def judged(answers, judge, *words):
    pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
    return run_cli("judge", *answers, "--model", "m", "--base-url", judge.url, "--concurrency", 1, "--yes", *words)


def completion(**message):
    body = json.loads(server.completion(""))
    body["choices"][0]["message"] = {"role": "assistant", **message}
    return server.Sent(body=json.dumps(body))


THINKS_FIRST = [
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "7 7"}]}, {"type": "text", "text": "8 9"}]},
    {"content": "Hm, 7 or\n</think>\n\n8 9"},
    {"content": "<think>\n7 7\n</think>\n8 9\nbecause"},
    {"content": "8 9", "reasoning_content": "7 7"},
]


@pytest.mark.parametrize("message", THINKS_FIRST)
def test_a_judge_that_thinks_first_is_read(answers, message):
    with server.serving(lambda asked: completion(**message)) as judge:
        must(judged(answers, judge))
        assert len(judge.asked) == 40
    assert {(line["order"], line["score"], line["opponent_score"]) for line in read_jsonl(answers[-1])} == {(0, 8, 9), (1, 9, 8)}


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"content": "", "reasoning_content": "Let me see"}, "thinking"),
        ({"content": None, "refusal": "I will not."}, "I will not."),
        ({"content": "Answer 1 is better."}, "not two scores"),
    ],
)
def test_a_judge_that_never_says_scores_is_not_paid_for_everything(answers, message, why):
    with server.serving(lambda asked: completion(**message)) as judge:
        refused(judged(answers, judge), "10 requests in a row brought no scores", why)
        assert len(judge.asked) == 10


def test_one_moderated_prompt_is_no_wrong_key_and_no_credit_stops_at_once(answers):
    def moderating(asked):
        flagged = '{"error": {"message": "Your input was flagged", "code": 403}}'
        return server.Sent(403, flagged) if "Q3?" in asked.prompt else "8 9"

    with server.serving(moderating) as judge:
        must(judged(answers, judge))
    unreadable = [line for line in read_jsonl(answers[-1]) if line["score"] is None]
    assert [(line["question_id"], line["problem"]) for line in unreadable] == [(3, "the server's content filter refused it")] * 2
    # Who was answered before has a good key, whatever words the 403 comes with.
    with server.serving(lambda asked: server.Sent(403, "Forbidden") if "Q3?" in asked.prompt else "8 9") as judge:
        refused(judged(answers, judge, "temperature=0.25"), "2 of 40 judgements are left")
        assert len(judge.asked) == 40
    with server.serving(lambda asked: server.Sent(402, '{"error": {"message": "top up"}}')) as judge:
        refused(judged(answers, judge, "temperature=0.5"), "no credit is left", "top up")
        assert len(judge.asked) == 1
