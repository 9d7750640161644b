import numpy as np
import pytest
import verdicts_made as made

from diverseevol.errors import EvaluationError, PoolError
from diverseevol.evaluation.answer_lengths import answers_file_of, with_lengths
from diverseevol.evaluation.verdict_files import read_verdicts


@pytest.fixture
def verdicts(tmp_path):
    return read_verdicts(made.published(tmp_path / "v.jsonl", [(1, [4, 8], [2, 5]), (2, [4, 8], [2, 5]), (3, [4, 8], [2, 5])]))


def answers(file, texts, key="question_id"):
    return made.write(
        file, [{key: name, "question" if key == "question_id" else "x": None, "answer": text} for name, text in texts]
    )


def test_lengths_of_both_sides_are_filled_in(tmp_path, verdicts):
    ours = answers(tmp_path / "ours.jsonl", [(3, "abc"), (1, "a")])
    theirs = answers(tmp_path / "theirs.jsonl", [("1", "abcd"), ("2", "ab"), ("3", "x" * 9)])
    found = with_lengths(verdicts, [ours, theirs])
    assert found.lengths_QS[[0, 2]].tolist() == [[1, 4], [3, 9]]
    assert np.isnan(found.lengths_QS[1, 0])
    assert found.lengths_QS[1, 1] == 2
    assert not found.problems
    assert np.isnan(verdicts.lengths_QS).all()  # the argument stays as it was


def test_one_side_alone(tmp_path, verdicts):
    theirs = answers(tmp_path / "theirs.jsonl", [(1, "abcd")])
    found = with_lengths(verdicts, [None, theirs])
    assert np.isnan(found.lengths_QS[:, 0]).all()
    assert found.lengths_QS[0, 1] == 4


def test_lengths_in_the_verdicts_come_first(tmp_path):
    own = read_verdicts(made.own(tmp_path / "v.jsonl", [("a", 0, 8, 6)], answer="abc"))
    found = with_lengths(own, [answers(tmp_path / "ours.jsonl", [("a", "abcdef")]), None])
    assert found.lengths_QS[0, 0] == 3


def test_answers_without_an_id_are_found_by_the_question(tmp_path, verdicts):
    lines = [{"instruction": f"question {n}", "output": "x" * n, "generator": "m"} for n in (1, 2, 3)]
    found = with_lengths(verdicts, [made.write(tmp_path / "alpaca_eval.jsonl", lines), None])
    assert found.lengths_QS[:, 0].tolist() == [1, 2, 3]
    assert not found.problems


def test_empty_answers_and_questions_not_judged_are_listed(tmp_path, verdicts):
    ours = answers(tmp_path / "ours.jsonl", [(1, " "), (2, "b"), (3, "c"), (4, "not judged")])
    theirs = answers(tmp_path / "theirs.jsonl", [(1, "d"), (2, ""), (3, "e"), (5, "nor this")])
    found = with_lengths(verdicts, [ours, theirs])
    assert made.kinds(found.problems) == [
        ("empty_answer", "1", None),
        ("missing_question", "4", None),
        ("empty_answer", "2", None),
    ]
    assert found.problems[0].detail.startswith("ours answered nothing")
    assert "ours.jsonl, not judged" in found.problems[1].detail
    assert found.problems[2].detail.startswith("the opponent answered nothing")


def test_a_single_answer_has_one_side(tmp_path):
    single = read_verdicts(made.single(tmp_path / "v.jsonl", [(1, 8)]))
    ours = answers(tmp_path / "ours.jsonl", [(1, "abc")])
    assert with_lengths(single, [ours, tmp_path / "gone.jsonl"]).lengths_QS.tolist() == [[3]]


def test_answers_to_other_questions_are_refused(tmp_path, verdicts):
    with pytest.raises(
        EvaluationError, match=r"other\.jsonl answers none of the questions in .*v\.jsonl\. Give the answers that were judged"
    ):
        with_lengths(verdicts, [answers(tmp_path / "other.jsonl", [(77, "x")]), None])


def test_a_folder_is_looked_through_for_the_models_name(tmp_path):
    deep = answers(tmp_path / "run" / "rd_1.jsonl", [(1, "a")])
    assert answers_file_of("run/rd_1", tmp_path) == deep
    assert answers_file_of("elsewhere/rd_1", tmp_path / "run") == deep
    assert answers_file_of("whatever", deep) == deep
    with pytest.raises(PoolError, match="has no answers of 'run/rd_2'"):
        answers_file_of("run/rd_2", tmp_path)


@pytest.mark.parametrize("name", ["../secret", "run/../../secret", "/tmp/secret", ""])
def test_a_name_out_of_a_file_does_not_lead_out_of_the_folder(tmp_path, name):
    answers(tmp_path / "secret.jsonl", [(1, "a")])
    (tmp_path / "run").mkdir()
    with pytest.raises(PoolError, match="has no answers"):
        answers_file_of(str(tmp_path / "secret") if name.startswith("/") else name, tmp_path / "run")
