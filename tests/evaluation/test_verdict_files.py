import gzip
import json

import numpy as np
import pytest
import verdicts_made as made

from diverseevol.base.files import write_jsonl
from diverseevol.errors import EvaluationError, PoolError
from diverseevol.evaluation.journal import open_journal
from diverseevol.evaluation.judge_ask import Asking, Budget, Judge
from diverseevol.evaluation.judge_pairs import Judgement
from diverseevol.evaluation.judge_template import load_template
from diverseevol.evaluation.verdict_files import find_verdict_files, read_verdicts


def test_own_layout(tmp_path):
    rows = [(7, 0, 8, 6.5), (7, 1, "7", "7.0"), ("x", 0, 1, 10), ("x", 1, 2, 9)]
    verdicts = read_verdicts(made.own(tmp_path / "v.jsonl", rows, question="Why?", answer="abc", opponent_answer="ab"))
    assert (verdicts.ours, verdicts.opponent) == ("m", "them")
    assert verdicts.question_ids == ("7", "x")
    assert verdicts.orders == (0, 1)
    assert verdicts.scores_QOS.tolist() == [[[8, 6.5], [7, 7]], [[1, 10], [2, 9]]]
    assert verdicts.lengths_QS.tolist() == [[3, 2], [3, 2]]
    assert not verdicts.problems


def test_published_layout_is_not_exchanged_again(tmp_path):
    verdicts = read_verdicts(
        made.published(tmp_path / "v.jsonl", [("koala_0", [4.0, 8.0], [2.0, 5.0]), ("koala_1", [1.0, 9.0], [3.0, 9.0])])
    )
    assert (verdicts.ours, verdicts.opponent) == ("run/rd_1", "gpt")
    assert verdicts.scores_QOS.tolist() == [[[4, 8], [2, 5]], [[1, 9], [3, 9]]]
    assert verdicts.questions == ("question koala_0", "question koala_1")
    assert np.isnan(verdicts.lengths_QS).all()
    assert not verdicts.problems


def test_a_published_record_without_an_evaluation(tmp_path):
    file = made.published(tmp_path / "v.jsonl", [("a", [4, 8], [2, 5]), ("b", [4, 8], [2, 5]), ("c", [4, 8], [2, 5])])
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    del lines[0]["eval_QUERY0"]  # asked, but nothing stored
    lines[1] = {key: value for key, value in lines[1].items() if not key.endswith("_QUERY1")}  # never asked
    verdicts = read_verdicts(made.write(file, lines))
    assert made.kinds(verdicts.problems) == [("unreadable", "a", 0), ("missing_order", "b", 1)]
    assert "ours second" in verdicts.problems[1].detail
    assert verdicts.opponent == "gpt"


@pytest.mark.parametrize("bad", [11, 85, -3, -0.5, 10.5])
def test_scores_off_the_scale_are_listed_and_do_not_count(tmp_path, bad):
    verdicts = read_verdicts(
        made.own(tmp_path / "v.jsonl", [("a", 0, bad, 8), ("a", 1, 8, 10), ("b", 0, 1, bad), ("b", 1, 1, 10)])
    )
    assert made.kinds(verdicts.problems) == [("off_scale", "a", 0), ("off_scale", "b", 0)]
    assert f"score {bad!r} and opponent_score 8, outside 1 to 10" in verdicts.problems[0].detail
    assert verdicts.counts_QO.tolist() == [[False, True], [False, True]]
    assert verdicts.sums_QS.tolist() == [[8, 10], [1, 10]]


@pytest.mark.parametrize("low", [0, 0.0, "0", 0.5])
def test_scores_below_the_scale_count_as_given_and_are_listed(tmp_path, low):
    verdicts = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 0, low, 8), ("a", 1, 8, 10)]))
    assert made.kinds(verdicts.problems) == [("below_scale", "a", 0)]
    assert verdicts.problems[0].detail == f"line 1: score {low!r} and opponent_score 8, below 1; counts as given"
    assert verdicts.sums_QS.tolist() == [[8 + float(low), 18]]
    published = read_verdicts(made.published(tmp_path / "p.jsonl", [("a", [0.0, 8.0], [2.0, 0.0])]))
    assert made.kinds(published.problems) == [("below_scale", "a", 0), ("below_scale", "a", 1)]
    assert published.sums_QS.tolist() == [[2, 8]]


def test_another_scale(tmp_path):
    file = made.own(tmp_path / "v.jsonl", [("a", 0, 0, 80)])
    assert not read_verdicts(file, scale=(0, 100)).problems
    assert made.kinds(read_verdicts(file, scale=(20, 100)).problems) == [("below_scale", "a", 0)]
    assert not read_verdicts(made.own(tmp_path / "w.jsonl", [("a", 0, -3, 3)]), scale=(-5, 5)).problems
    with pytest.raises(EvaluationError, match=r"scale goes from 10 to 1\. Give the lowest"):
        read_verdicts(file, scale=(10, 1))


def test_a_judgement_given_twice_counts_once(tmp_path):
    verdicts = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 0, 8, 6), ("a", 1, 7, 7), ("a", 0, 2, 3), ("a", 0, 8, 6)]))
    assert made.kinds(verdicts.problems) == [("duplicate", "a", 0)] * 2
    assert "line 3: judged before; score 2 and opponent_score 3 does not count" in verdicts.problems[0].detail
    assert verdicts.scores_QOS[0].tolist() == [[8, 6], [7, 7]]


def test_a_readable_second_try_replaces_an_unreadable_first(tmp_path):
    verdicts = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 0, None, None), ("a", 0, 2, 3), ("a", 0, None, 4)]))
    assert made.kinds(verdicts.problems) == [("unreadable", "a", 0), ("duplicate", "a", 0), ("duplicate", "a", 0)]
    assert verdicts.scores_QOS[0].tolist() == [[2, 3]]


def test_a_question_judged_in_one_order_only_is_listed(tmp_path):
    verdicts = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 1, 7, 7), ("b", 0, 1, 2), ("b", 1, 1, 2)]))
    assert made.kinds(verdicts.problems) == [("missing_order", "a", 0)]
    assert verdicts.orders == (0, 1)
    assert verdicts.scores_QOS[0, 1].tolist() == [7, 7]
    assert np.isnan(verdicts.scores_QOS[0, 0]).all()


def test_empty_answers_are_listed_and_count(tmp_path):
    lines = [
        {"question_id": 1, "order": 0, "score": 1, "opponent_score": 9, "answer": " \n", "opponent_answer": "x"},
        {"question_id": 2, "order": 0, "score": 9, "opponent_score": 1, "answer": "y", "opponent_answer": ""},
    ]
    verdicts = read_verdicts(made.write(tmp_path / "v.jsonl", lines))
    assert [(problem.question_id, problem.detail.split()[0]) for problem in verdicts.problems] == [
        ("1", "answer"),
        ("2", "opponent_answer"),
    ]
    assert verdicts.counts_QO.all()
    assert verdicts.lengths_QS.tolist() == [[2, 1], [1, 0]]


def test_lines_that_are_no_judgements_are_listed(tmp_path):
    good = '{"question_id": 1, "order": 0, "score": 3, "opponent_score": 4}\n'
    lines = [good, "{broken\n", "[1]\n", '{"score": 3}\n', good.replace("1,", "2,").replace('"order": 0', '"order": 2')]
    verdicts = read_verdicts(made.write(tmp_path / "v.jsonl", lines))
    assert [(problem.kind, problem.question_id) for problem in verdicts.problems] == [("bad_line", None)] * 3 + [
        ("bad_line", "2")
    ]
    assert [problem.detail.split(":")[0] for problem in verdicts.problems] == ["line 2", "line 3", "line 4", "line 5"]
    assert "order is 2, not 0 or 1" in verdicts.problems[3].detail
    assert verdicts.question_ids == ("1",)


def test_wins_and_losses_are_points(tmp_path):
    lines = [
        {"question": "Why?", "order": 0, "winner": "ours", "length": 7, "opponent_length": 5.0},
        {"question": "Why?", "order": 1, "winner": "tie", "answer": "abc", "opponent_answer": "ab"},
        {"question_id": 2, "winner": "opponent", "answer": "abc", "opponent_length": 9},
        {"question_id": 3, "winner": None, "length": True, "opponent_length": -1},
    ]
    verdicts = read_verdicts(made.write(tmp_path / "v.jsonl", lines))
    assert verdicts.question_ids == ("Why?", "2", "3")
    assert verdicts.sums_QS.tolist() == [[1.5, 0.5], [0, 1], [0, 0]]
    assert np.nan_to_num(verdicts.lengths_QS, nan=-1).tolist() == [[7, 5], [3, 9], [-1, -1]]
    assert made.kinds(verdicts.problems) == [("unreadable", "3", 0), ("missing_order", "2", 1), ("missing_order", "3", 1)]
    assert verdicts.problems[0].detail == "line 4: winner is None"


def test_a_questions_record_is_the_first_that_counts(tmp_path):
    verdicts = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 0, None, 3), ("a", 1, 8, 10), ("b", 0, None, 3)]))
    assert [record["order"] for record in verdicts.records] == [1, 0]


def test_the_reason_that_the_judge_gave_is_shown(tmp_path):
    verdicts = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 0, None, None)], problem="no scores"))
    assert verdicts.problems[0].detail.endswith("(no scores)")


def test_arrays_and_packed_files_are_read_too(tmp_path):
    lines = made.own(tmp_path / "v.jsonl", [("a", 0, 8, 6), ("a", 1, 7, 7)]).read_text()
    (tmp_path / "array.json").write_text(json.dumps([json.loads(line) for line in lines.splitlines()]))
    with gzip.open(tmp_path / "v.jsonl.gz", "wt") as file:
        file.write(lines)
    for name in ("array.json", "v.jsonl.gz"):
        assert read_verdicts(tmp_path / name).scores_QOS.tolist() == [[[8, 6], [7, 7]]]


def test_files_that_cannot_be_scored_say_why(tmp_path):
    with pytest.raises(EvaluationError, match=r"line 1 is no verdict: it has the keys question_id, answer\. A verdict has"):
        read_verdicts(made.write(tmp_path / "answers.jsonl", [{"question_id": 1, "answer": "x"}]))
    with pytest.raises(EvaluationError, match=r"line 1 is no verdict: it has the keys question_id, choices\. A verdict has"):
        read_verdicts(made.write(tmp_path / "fastchat.jsonl", [{"question_id": 1, "choices": [{"turns": ["x"]}]}]))
    with pytest.raises(EvaluationError, match="holds no verdicts: line 1: no object with a question_id"):
        read_verdicts(made.write(tmp_path / "odd.jsonl", [{"a": 1}]))
    with pytest.raises(EvaluationError, match=r"holds no verdicts\. Give"):
        read_verdicts(made.write(tmp_path / "empty.jsonl", []))
    two = [{"question_id": n, "score": 3, "ours": f"m{n}"} for n in range(2)]
    with pytest.raises(EvaluationError, match=r"two\.jsonl line 2: verdicts on 'm1', those before on 'm0'\. Split"):
        read_verdicts(made.write(tmp_path / "two.jsonl", two))
    single = read_verdicts(made.write(tmp_path / "single.jsonl", [{"question_id": 1, "score": 3}]))
    assert made.kinds(single.problems) == [("unreadable", "1", 0)]
    with pytest.raises(PoolError, match="cannot read"):
        read_verdicts(tmp_path / "gone.jsonl")


def test_a_folder_stands_for_its_files_in_natural_order(tmp_path):
    for name in ("b/rd_10", "b/rd_2", "a/rd_3", "b/rd_1"):
        made.own(tmp_path / f"{name}.jsonl", [("a", 0, 8, 6)])
    (tmp_path / "b" / "replies.ndjson").write_text("{}")
    assert [file.stem for file in find_verdict_files(tmp_path / "b")] == ["rd_1", "rd_2", "rd_10"]
    assert find_verdict_files(tmp_path / "a" / "rd_3.jsonl") == [tmp_path / "a" / "rd_3.jsonl"]
    assert [file.stem for file in find_verdict_files(tmp_path)] == ["rd_3", "rd_1", "rd_2", "rd_10"]


def test_a_run_folder_stands_for_its_verdicts(tmp_path):
    made.write(tmp_path / "config.yaml", ["seed: 0\n"])
    made.write(tmp_path / "pool" / "quarantine.jsonl", [{"row": 1}])
    file = made.own(tmp_path / "verdicts" / "vicuna" / "round-03-vs-base.jsonl", [("a", 0, 8, 6)])
    assert find_verdict_files(tmp_path) == [file]


def test_paths_without_verdicts_say_so(tmp_path):
    with pytest.raises(PoolError, match="no verdicts at '.*gone': no such file or folder"):
        find_verdict_files(tmp_path / "gone")
    with pytest.raises(PoolError, match=r"holds no \.jsonl or \.json file"):
        find_verdict_files(tmp_path)


def test_a_run_without_verdicts_is_told_how_to_get_them(tmp_path):
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(PoolError, match="has no verdicts yet. Have its answers judged: diverseevol judge .* --benchmark NAME"):
        find_verdict_files(tmp_path)


def test_what_judge_writes_is_what_score_reads(tmp_path):
    judge, file = Judge("m", load_template("pairwise")), tmp_path / "v.jsonl"
    judgements = [Judgement(q, order, f"Q{q}", "c", "ours", "theirs") for q, order in ((7, 0), (7, 1), (8, 0))]
    known = {"finish": "stop", "answered_by": "m", "tokens_in": 1, "tokens_out": 1, "is_counted": True}
    with open_journal(tmp_path / "replies.ndjson", is_synced=False) as journal:
        for one, text in zip(judgements, ("3 8", "6 4", "hm"), strict=True):
            journal.add({"key": judge.key(one), "reply": text, **known})
        write_jsonl(file, Asking(judge, judgements, journal, Budget(None, None)).verdicts(judgements, "round-03", "base"))
    found = read_verdicts(file)
    assert (found.ours, found.opponent) == ("round-03", "base")
    assert found.scores_QOS[0].tolist() == [[3, 8], [4, 6]]
    assert made.kinds(found.problems) == [("unreadable", "8", 0), ("missing_order", "8", 1)]
    assert "not two scores" in found.problems[0].detail
    assert found.lengths_QS.tolist() == [[4, 6], [4, 6]]
