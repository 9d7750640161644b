"""Files of verdicts of every layout, and what is listed because it does not count."""

import gzip
import json

import numpy as np
import pytest
import verdicts_made as made

from diverseevol.errors import EvaluationError, PoolError
from diverseevol.evaluation.verdict_files import find_verdict_files, read_verdicts


def read_own(tmp_path, rows, scale=(1, 10), **extra):
    return read_verdicts(made.own(tmp_path / "v.jsonl", rows, **extra), scale)


def test_own_layout_as_lines_an_array_or_packed(tmp_path):
    rows = [(7, 0, 8, 6.5), (7, 1, "7", "7.0"), ("x", 0, 1, 10), ("x", 1, 2, 9)]
    found = read_own(tmp_path, rows, question="Why?", answer="abc", opponent_answer="ab")
    assert (found.ours, found.opponent, found.question_ids, found.orders) == ("m", "them", ("7", "x"), (0, 1))
    assert found.questions == ("Why?", "Why?")
    assert found.scores_QOS.tolist() == [[[8, 6.5], [7, 7]], [[1, 10], [2, 9]]]
    assert found.lengths_QS.tolist() == [[3, 2], [3, 2]]
    assert not found.problems
    text = (tmp_path / "v.jsonl").read_text()
    (tmp_path / "array.json").write_text(json.dumps([json.loads(line) for line in text.splitlines()]))
    with gzip.open(tmp_path / "v.jsonl.gz", "wt") as file:
        file.write(text)
    for name in ("array.json", "v.jsonl.gz"):
        np.testing.assert_array_equal(read_verdicts(tmp_path / name).scores_QOS, found.scores_QOS)


def test_published_layout_is_not_exchanged_again_and_lacks_what_was_not_asked(tmp_path):
    rows = [("a", [4.0, 8.0], [2.0, 5.0]), ("b", [1.0, 9.0], [3.0, 9.0]), ("c", [4, 8], [2, 5])]
    file = made.published(tmp_path / "v.jsonl", rows)
    found = read_verdicts(file)
    assert (found.ours, found.opponent) == ("run/rd_1", "gpt")
    assert found.scores_QOS.tolist() == [[[4, 8], [2, 5]], [[1, 9], [3, 9]], [[4, 8], [2, 5]]]
    assert found.questions == ("question a", "question b", "question c")
    assert np.isnan(found.lengths_QS).all()
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    del lines[0]["eval_QUERY0"]  # asked, but nothing stored
    lines[1] = {key: value for key, value in lines[1].items() if not key.endswith("_QUERY1")}  # never asked
    found = read_verdicts(made.write(file, lines))
    assert made.kinds(found.problems) == [("unreadable", "a", 0), ("missing_order", "b", 1)]
    assert "ours second" in found.problems[1].detail


@pytest.mark.parametrize(
    ("rows", "scale", "kinds", "detail", "sums"),
    [
        (
            [("a", 0, 11, 8), ("a", 1, 8, 10)],
            (1, 10),
            [("off_scale", "a", 0)],
            "score 11 and opponent_score 8, outside 1 to 10",
            [8, 10],
        ),
        ([("a", 0, 8, -0.5), ("a", 1, 8, 10)], (1, 10), [("off_scale", "a", 0)], "outside 1 to 10", [8, 10]),
        (
            [("a", 0, "0", 8), ("a", 1, 8, 10)],
            (1, 10),
            [("below_scale", "a", 0)],
            "line 1: score '0' and opponent_score 8, below 1; counts as given",
            [8, 18],
        ),
        ([("a", 0, 0, 80)], (20, 100), [("below_scale", "a", 0)], "below 20", [0, 80]),
        ([("a", 0, -3, 3)], (-5, 5), [], "", [-3, 3]),
        (
            [("a", 0, 8, 6), ("a", 1, 7, 7), ("a", 0, 2, 3)],
            (1, 10),
            [("duplicate", "a", 0)],
            "line 3: judged before; score 2 and opponent_score 3 does not count",
            [15, 13],
        ),
        (
            [("a", 0, None, None), ("a", 0, 2, 3), ("a", 0, None, 4)],
            (1, 10),
            [("unreadable", "a", 0), ("duplicate", "a", 0), ("duplicate", "a", 0)],
            "score None",
            [2, 3],
        ),
        ([("a", 1, 7, 7), ("b", 0, 1, 2), ("b", 1, 1, 2)], (1, 10), [("missing_order", "a", 0)], "ours first", [7, 7]),
    ],
)
def test_what_does_not_count_or_counts_with_a_doubt_is_listed(tmp_path, rows, scale, kinds, detail, sums):
    found = read_own(tmp_path, rows, scale)
    assert made.kinds(found.problems) == kinds
    assert not kinds or detail in found.problems[0].detail
    assert found.sums_QS[0].tolist() == sums


def test_empty_answers_are_listed_and_count(tmp_path):
    found = read_own(tmp_path, [(1, 0, 1, 9)], answer=" \n", opponent_answer="")
    assert [problem.detail.split()[0] for problem in found.problems] == ["answer", "opponent_answer"]
    assert found.counts_QO.all()
    assert found.lengths_QS.tolist() == [[2, 0]]


def test_lines_that_are_no_judgements_are_listed(tmp_path):
    good = '{"question_id": 1, "order": 0, "score": 3, "opponent_score": 4}\n'
    lines = [good, "{broken\n", "[1]\n", '{"score": 3}\n', good.replace("1,", "2,").replace('"order": 0', '"order": 2')]
    found = read_verdicts(made.write(tmp_path / "v.jsonl", lines))
    assert made.kinds(found.problems) == [*[("bad_line", None, None)] * 3, ("bad_line", "2", None)]
    assert [problem.detail.split(":")[0] for problem in found.problems] == ["line 2", "line 3", "line 4", "line 5"]
    assert "order is 2, not 0 or 1" in found.problems[3].detail
    assert found.question_ids == ("1",)


def test_wins_and_losses_are_points(tmp_path):
    lines = [
        {"question": "Why?", "order": 0, "winner": "ours", "length": 7, "opponent_length": 5.0},
        {"question": "Why?", "order": 1, "winner": "tie", "answer": "abc", "opponent_answer": "ab"},
        {"question_id": 2, "winner": "opponent", "answer": "abc", "opponent_length": 9},
        {"question_id": 3, "winner": None, "length": True, "opponent_length": -1},
    ]
    found = read_verdicts(made.write(tmp_path / "v.jsonl", lines))
    assert found.question_ids == ("Why?", "2", "3")
    assert found.sums_QS.tolist() == [[1.5, 0.5], [0, 1], [0, 0]]
    assert np.nan_to_num(found.lengths_QS, nan=-1).tolist() == [[7, 5], [3, 9], [-1, -1]]
    assert made.kinds(found.problems) == [("unreadable", "3", 0), ("missing_order", "2", 1), ("missing_order", "3", 1)]
    assert found.problems[0].detail == "line 4: winner is None"


def test_a_questions_record_is_the_first_that_counts_and_the_judges_reason_is_shown(tmp_path):
    found = read_own(tmp_path, [("a", 0, None, 3), ("a", 1, 8, 10), ("b", 0, None, 3)], problem="no scores")
    assert [record["order"] for record in found.records] == [1, 0]
    assert found.problems[0].detail.endswith("(no scores)")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"question_id": 1, "answer": "x"}], r"line 1 is no verdict: it has the keys question_id, answer\. A verdict has"),
        ([{"a": 1}], "holds no verdicts: line 1: no object with a question_id"),
        ([], r"holds no verdicts\. Give"),
        (
            [{"question_id": n, "score": 3, "ours": f"m{n}"} for n in range(2)],
            r"v\.jsonl line 2: verdicts on 'm1', those before on 'm0'\. Split",
        ),
    ],
)
def test_files_that_cannot_be_scored_say_why(tmp_path, lines, message):
    file = made.write(tmp_path / "v.jsonl", lines)
    with pytest.raises(EvaluationError, match=message):
        read_verdicts(file)
    with pytest.raises(EvaluationError, match=r"scale goes from 10 to 1\. Give the lowest"):
        read_verdicts(file, scale=(10, 1))
    with pytest.raises(PoolError, match="cannot read"):
        read_verdicts(tmp_path / "gone.jsonl")


def test_a_folder_stands_for_its_files_in_natural_order_and_a_run_for_its_verdicts(tmp_path):
    with pytest.raises(PoolError, match="no verdicts at '.*gone': no such file or folder"):
        find_verdict_files(tmp_path / "gone")
    with pytest.raises(PoolError, match=r"holds no \.jsonl or \.json file"):
        find_verdict_files(tmp_path)
    for name in ("b/rd_10", "b/rd_2", "a/rd_3", "b/rd_1"):
        made.own(tmp_path / f"{name}.jsonl", [("a", 0, 8, 6)])
    (tmp_path / "b" / "replies.ndjson").write_text("{}")
    assert find_verdict_files(tmp_path / "a" / "rd_3.jsonl") == [tmp_path / "a" / "rd_3.jsonl"]
    assert [file.stem for file in find_verdict_files(tmp_path)] == ["rd_3", "rd_1", "rd_2", "rd_10"]
    made.write(tmp_path / "config.yaml", ["seed: 0\n"])
    with pytest.raises(PoolError, match="has no verdicts yet. Have its answers judged: diverseevol score .* --benchmark NAME"):
        find_verdict_files(tmp_path)
    file = made.own(tmp_path / "verdicts" / "vicuna" / "round-03-vs-base.jsonl", [("a", 0, 8, 6)])
    assert find_verdict_files(tmp_path) == [file]
