import gzip
import json

import pytest

from diverseevol.errors import EvaluationError, PoolError
from diverseevol.evaluation.judge.answers import Answer, read_answers


def written(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_every_layout(tmp_path):
    ours = written(tmp_path / "a", {"question_id": "k_1", "question": "Q", "category": None, "answer": "A", "n_tokens": 1})
    assert read_answers(ours) == [Answer("k_1", ("Q",), None, ("A",))]
    two_turns = written(
        tmp_path / "b",
        {"question_id": 1, "question": "R", "questions": ["Q", "R"], "category": "c", "answer": "B", "turns": ["A", "B"]},
    )
    assert read_answers(two_turns) == [Answer(1, ("Q", "R"), "c", ("A", "B"))]
    published = written(tmp_path / "c", {"question_id": 1, "text": "Q", "category": "c", "answer": ""})
    assert read_answers(published) == [Answer(1, ("Q",), "c", ("",))]
    fastchat = written(tmp_path / "d", {"question_id": 81, "choices": [{"index": 0, "turns": ["A", "B"]}, {"turns": ["C"]}]})
    assert read_answers(fastchat) == [Answer(81, (), None, ("A", "B"))]
    alpaca = tmp_path / "e"
    alpaca.write_text(
        json.dumps([{"instruction": "Q", "output": "A", "generator": "g"}, {"instruction": "Q", "output": "B"}], indent=1)
    )
    assert read_answers(alpaca) == [Answer(None, ("Q",), None, ("A",)), Answer(None, ("Q",), None, ("B",))]


def test_one_turn_as_it_is_several_as_a_dialogue():
    two = Answer(1, ("Q", "R"), None, ("A", "B"))
    assert (two.question, two.said(2)) == ("Turn 1: Q\n\nTurn 2: R", "Turn 1: A\n\nTurn 2: B")
    assert (two.asked(1), two.said(1)) == ("Q", "A")
    last_known = Answer(1, ("R",), None, ("A", "B"))
    assert (last_known.question, last_known.asked(1)) == ("R", None)
    assert Answer(1, (), None, ("A",)).question is None


def test_packed_files_and_line_separators_inside_texts(tmp_path):
    line = json.dumps({"question_id": 1, "question": "Q\u2028", "answer": "A\u2028B\x85C"}, ensure_ascii=False)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(f"\ufeff{line}\n\n".encode()))
    assert read_answers(tmp_path / "a.jsonl.gz") == [Answer(1, ("Q\u2028",), None, ("A\u2028B\x85C",))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no answers"),
        (
            '{"question_id": "1", "answer": "A"}\n{"question_id": 1, "answer": "B"}',
            "line 2 .row 1.: a second answer to question 1",
        ),
        (
            '{"question_id": 1, "answer": "A"}\n{"question_id": "1", "answer": "B"}',
            "line 2 .row 1.: a second answer to question '1'",
        ),
        ('{"question_id": 1, "answer": "A"}\n{"question_id": 2, "ans', "line 2 .row 1.: not JSON: .* at column"),
        (
            '{"question_id": 1, "text": "Q"}',
            "line 1 .row 0. holds no answer; its keys are question_id, text. Expected question_id with",
        ),
        ('{"question_id": 1, "answer": 7}', "holds no answer"),
        ('{"question_id": 1, "choices": []}', "holds no answer"),
        ('{"question_id": 1, "choices": [{"turns": [7]}]}', "holds no answer"),
        ('{"answer": "A"}', "says neither question_id nor the question"),
        ('{"question_id": [1], "answer": "A"}', r"question_id is \[1\]"),
        ('{"question_id": true, "answer": "A"}', "question_id is True"),
        ("[1]", "line 1 .row 0. is no object"),
        ('{"question_id": 1, "answer": "\\ud800"}', "line 1 .row 0. holds broken text"),
        ('{"question_id": 1, "answer": "A", "answer": "B"}', "the key 'answer' is given twice"),
        ('{"question_id": ' + "[" * 100_000, "line 1 .row 0.: nested too deeply. Repair"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, message):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(EvaluationError, match=message):
        read_answers(tmp_path / "a.jsonl")


def test_bytes_that_are_no_text_and_no_file(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"question_id": 1, "answer": "\xff"}')
    with pytest.raises(EvaluationError, match="line 1 .row 0.: broken UTF-8. Repair"):
        read_answers(tmp_path / "a.jsonl")
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
