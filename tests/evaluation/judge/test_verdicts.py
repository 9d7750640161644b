import json
import re

import pytest

from diverseevol.errors import ConfigError
from diverseevol.evaluation.api_client import Reply
from diverseevol.evaluation.judge.pairs import Judgement, Missing
from diverseevol.evaluation.judge.request import Judge
from diverseevol.evaluation.judge.template import load_template
from diverseevol.evaluation.judge.verdicts import n_replaced, verdicts_of, write_missing, write_verdicts

JUDGE = Judge("m", load_template("pairwise"))
FIRST, SECOND = (Judgement(7, order, "Q", "c", "ours", "theirs") for order in (0, 1))
KEYS = [JUDGE.key(FIRST), JUDGE.key(SECOND)]


def reply(text):
    return Reply(text, "stop", "m-0613", 1, 1)


def lines(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_scores_are_ours_first_whatever_the_order(tmp_path):
    stored = {KEYS[0]: [reply("3 8\nä")], KEYS[1]: [reply("8 3")]}
    write_verdicts(tmp_path / "v.jsonl", verdicts_of(JUDGE, [FIRST, SECOND], stored), JUDGE, "round-03", "base")
    first, second = lines(tmp_path / "v.jsonl")
    assert first == {
        "question_id": 7,
        "order": 0,
        "score": 3.0,
        "opponent_score": 8.0,
        "reply": "3 8\nä",
        "question": "Q",
        "category": "c",
        "answer": "ours",
        "opponent_answer": "theirs",
        "judge": "m",
        "answered_by": "m-0613",
        "template": "pairwise",
        "ours": "round-03",
        "opponent": "base",
    }
    assert second == {**first, "order": 1, "reply": "8 3"}


def test_the_first_readable_reply_counts_else_the_last_is_kept_with_its_problem(tmp_path):
    stored = {KEYS[0]: [reply("hm"), reply("4 5"), reply("6 7")], KEYS[1]: [reply("hm"), reply("10/10")]}
    write_verdicts(tmp_path / "v.jsonl", verdicts_of(JUDGE, [FIRST, SECOND], stored), JUDGE, "a", "b")
    first, second = lines(tmp_path / "v.jsonl")
    assert (first["score"], first["opponent_score"], first["reply"]) == (4.0, 5.0, "4 5")
    assert (second["score"], second["opponent_score"], second["reply"]) == (None, None, "10/10")
    assert "may be one fraction" in second["problem"]
    assert "problem" not in first


def test_a_reply_that_was_cut_says_so():
    cut = Reply("", "length", None, 1, 1)
    (verdict,) = verdicts_of(JUDGE, [FIRST], {KEYS[0]: [cut]})
    assert verdict.scores.reason == "the reply is empty; it was cut at the longest reply"


def test_what_has_no_reply_has_no_line():
    assert [verdict.judgement for verdict in verdicts_of(JUDGE, [FIRST, SECOND], {KEYS[1]: [reply("8 3")]})] == [SECOND]


def test_a_single_answer_has_neither_order_nor_opponent(tmp_path):
    judge, judgement = Judge("m", load_template("single")), Judgement(7, None, "Q", None, "ours")
    verdicts = verdicts_of(judge, [judgement], {judge.key(judgement): [reply("8/10")]})
    write_verdicts(tmp_path / "v.jsonl", verdicts, judge, "a", None)
    (line,) = lines(tmp_path / "v.jsonl")
    assert line["score"] == 8.0
    assert not {"order", "opponent", "opponent_score", "opponent_answer"} & set(line)


def test_missing_ones_are_listed_and_an_old_list_goes(tmp_path):
    file = tmp_path / "a-vs-b.jsonl"
    write_missing(file, [Missing(1, "Q", "opponent"), Missing(None, "R", "ours")])
    assert lines(tmp_path / "a-vs-b.missing.jsonl") == [
        {"question_id": 1, "question": "Q", "missing": "opponent"},
        {"question_id": None, "question": "R", "missing": "ours"},
    ]
    write_missing(file, [])
    assert not (tmp_path / "a-vs-b.missing.jsonl").exists()


def test_other_verdicts_that_a_file_holds_are_counted(tmp_path):
    file = tmp_path / "v.jsonl"
    both = [FIRST, SECOND]
    assert n_replaced(file, both, JUDGE) == 0
    write_verdicts(file, verdicts_of(JUDGE, both, {key: [reply("8 3")] for key in KEYS}), JUDGE, "a", "b")
    assert n_replaced(file, both, JUDGE) == 0
    assert n_replaced(file, both, Judge("other", JUDGE.template)) == 2
    assert n_replaced(file, [Judgement(7, 0, "Q", "c", "ours", "other")], JUDGE) == 2


@pytest.mark.parametrize("content", ["hello\n", '{"judge": "m"}\n', "[1]\n"])
def test_a_file_of_something_else_is_not_written_over(tmp_path, content):
    (tmp_path / "v.jsonl").write_text(content)
    with pytest.raises(ConfigError, match=re.escape("v.jsonl is there already and holds no verdicts. Give another place.")):
        n_replaced(tmp_path / "v.jsonl", [FIRST], JUDGE)
