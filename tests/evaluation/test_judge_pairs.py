import gzip
import json

import pytest

from diverseevol.errors import EvaluationError, PoolError
from diverseevol.evaluation.judge_pairs import Answer, Judgement, pair_judgements, read_answers

LAYOUTS = [
    ({"question_id": "k_1", "question": "Q", "category": None, "answer": "A", "n_tokens": 1}, Answer("k_1", "Q", None, "A")),
    ({"question_id": 1, "text": "Q", "category": "c", "answer": ""}, Answer(1, "Q", "c", "")),
    ({"question_id": 81, "choices": [{"index": 0, "turns": ["A", "B"]}, {"turns": ["C"]}]}, Answer(81, None, None, "A")),
    ({"instruction": "Q", "output": "A", "generator": "g"}, Answer(None, "Q", None, "A")),
    ({"question_id": 1, "question": "Q\u2028", "answer": "A\u2028B\x85C"}, Answer(1, "Q\u2028", None, "A\u2028B\x85C")),
]


@pytest.mark.parametrize(("record", "expected"), LAYOUTS)
def test_every_layout(tmp_path, record, expected):
    line = json.dumps(record, ensure_ascii=False)
    contents = {
        "a.jsonl": line.encode(),
        "b.json": f"[{line}]".encode(),
        "c.jsonl.gz": gzip.compress(f"\ufeff{line}\n\n".encode()),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert read_answers(tmp_path / name) == [expected]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no answers"),
        ('{"question_id": "1", "answer": "A"}\n{"question_id": 1, "answer": "B"}', "line 2 .*: a second answer to question 1"),
        ('{"question_id": 1, "answer": "A"}\n{"question_id": 2, "ans', "line 2 .*: not JSON: .* at column"),
        ('{"question_id": 1, "text": "Q"}', "holds no answer; its keys are question_id, text. Expected question_id with"),
        ('{"question_id": 1, "answer": 7}', "holds no answer"),
        ('{"question_id": 1, "choices": [{"turns": [7]}]}', "holds no answer"),
        ('{"answer": "A"}', "question_id is None; it must be a number or a text, or be left out where the question is there"),
        ('{"question_id": [1], "answer": "A"}', r"question_id is \[1\]"),
        ('{"question_id": true, "answer": "A"}', "question_id is True"),
        ("[1]", "is no object"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, message):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(EvaluationError, match=message):
        read_answers(tmp_path / "a.jsonl")


def test_broken_arrays_and_no_file(tmp_path):
    (tmp_path / "a.jsonl").write_text('[{"question_id": 1, "answer": "A"}, {"question')
    with pytest.raises(PoolError, match="behind 1 whole records"):
        read_answers(tmp_path / "a.jsonl")
    with pytest.raises(EvaluationError, match="no answers at .*none.jsonl"):
        read_answers(tmp_path / "none.jsonl")


def test_the_published_answers(shared_data):
    for file in sorted((shared_data / "answers" / "vicuna_test").glob("*/*.jsonl")):
        answers = read_answers(file)
        assert [answer.question_id for answer in answers] == list(range(1, 81))
        assert all(answer.question and answer.category for answer in answers)


def answer(name, text, question="Q", category=None):
    return Answer(name, question, category, text)


def test_both_orders_in_our_order_by_id_and_what_only_one_side_answered_is_named():
    ours = [answer(2, "a2", "Q2", "c"), answer(4, "a4"), answer(1, "a1", "Q1")]
    pairing = pair_judgements(ours, [answer("1", "b1", "Q1", "d"), answer(3, "b3"), answer("2", "b2", "Q2")])
    assert pairing.judgements == [
        Judgement(2, 0, "Q2", "c", "a2", "b2"),
        Judgement(2, 1, "Q2", "c", "a2", "b2"),
        Judgement(1, 0, "Q1", "d", "a1", "b1"),
        Judgement(1, 1, "Q1", "d", "a1", "b1"),
    ]
    assert (pairing.without_opponent, pairing.without_ours) == (("4",), ("3",))
    assert [judgement.shown for judgement in pairing.judgements[:2]] == [("a2", "b2"), ("b2", "a2")]
    assert [judgement.ours_first((8, 9)) for judgement in pairing.judgements[:2]] == [(8, 9), (9, 8)]


def test_by_the_question_where_a_file_has_no_ids_and_equal_questions_one_by_one():
    ours = [answer(20, "a20", "same"), answer(27, "a27", "same"), answer(28, "a28", "other")]
    theirs = [answer(None, "b1", "same"), answer(None, "b2", "other"), answer(None, "b3", "same"), answer(None, "b4", "same")]
    pairing = pair_judgements(ours, theirs)
    found = [(judgement.question_id, judgement.answer, judgement.opponent_answer) for judgement in pairing.judgements[::2]]
    assert found == [(20, "a20", "b1"), (27, "a27", "b3"), (28, "a28", "b2")]
    assert pairing.without_ours == ("'same'",)
    assert [judgement.question_id for judgement in pair_judgements(theirs, theirs).judgements] == [1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(("ours", "theirs", "asked"), [(None, "Q", "Q"), ("Q", None, "Q"), ("Q  1\n", "Q 1", "Q  1\n")])
def test_a_question_text_from_either_side_and_spaces_do_not_matter(ours, theirs, asked):
    assert {one.question for one in pair_judgements([answer(1, "a", ours)], [answer(1, "b", theirs)]).judgements} == {asked}


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (answer(1, "a"), answer(2, "b"), "none of our 1 questions is among the opponent's 1: ours begin with 1, theirs with 2"),
        (answer(1, "a", "Q"), answer(1, "b", "R"), "question 1 is 'Q' in our file and 'R' in the opponent's"),
        (answer(1, "a", None), answer(1, "b", None), "the text of question 1 is in neither file"),
        (answer(1, "a", None), answer(None, "b", "Q"), "nothing to match them by"),
    ],
)
def test_what_does_not_belong_together(ours, theirs, message):
    with pytest.raises(EvaluationError, match=message):
        pair_judgements([ours], [theirs])
