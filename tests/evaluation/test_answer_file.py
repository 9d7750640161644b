import json

import pytest

from diverseevol.errors import EvaluationError, RunFolderError
from diverseevol.evaluation.answer_file import AnswerFile
from diverseevol.evaluation.judge_pairs import read_answers

SETTINGS = {"sampling": "paper", "seed": 0, "prompt": {"template": "alpaca"}}


def line(name, answer="x"):
    return {
        "question_id": name,
        "question": f"Q{name}?",
        "category": None,
        "answer": answer,
        "finish": "eos",
        "is_cut": False,
        "n_tokens": 1,
    }


@pytest.fixture
def file(tmp_path):
    return tmp_path / "answers" / "vicuna" / "round-03.jsonl"


def fill(file, names, finish=None):
    answers = AnswerFile(file)
    assert answers.begin(SETTINGS, overwrite=False)
    with answers.writing() as add:
        for name in names:
            add(line(name))
        if finish:
            answers.finish(finish)


def test_lines_are_there_as_soon_as_they_are_added_and_the_whole_is_in_order(file):
    answers = AnswerFile(file)
    answers.begin(SETTINGS, overwrite=False)
    with answers.writing() as add:
        for n_before, name in enumerate((3, 1, "1", 2)):
            assert len(answers.answered()) == n_before
            add(line(name, "Grüße\u2028\n"))
        assert not file.exists()
        answers.finish([1, 2, 3, "1"])
    assert [json.loads(text)["question_id"] for text in file.read_text("utf-8").split("\n")[:-1]] == [1, 2, 3, "1"]
    assert sorted(item.name for item in file.parent.iterdir()) == ["round-03.jsonl", "round-03.settings.json"]
    assert not AnswerFile(file).begin(SETTINGS, overwrite=False)


def test_a_finished_file_is_what_judges_read(file):
    fill(file, [2, 1], [1, 2])
    assert [(answer.question_id, answer.question, answer.text) for answer in read_answers(file)] == [
        (1, "Q1?", "x"),
        (2, "Q2?", "x"),
    ]


@pytest.mark.parametrize(
    "torn", ['{"question_id": 9, "answer": "ha', '{"question_id": 9, "answer": "x"}', "\0\0\0\0\n", "Gr\udcc3"]
)
def test_what_a_kill_tore_is_asked_again_and_the_rest_is_kept(file, torn):
    fill(file, [1, 2])
    (part,) = file.with_suffix(".unfinished").glob("*.jsonl")
    with part.open("a", encoding="utf-8", errors="surrogateescape") as out:
        out.write(torn)
    answers = AnswerFile(file)
    assert answers.begin(SETTINGS, overwrite=False)
    with answers.writing() as add:
        assert sorted(answers.answered()) == ["1", "2"]
        add(line(9, "whole"))
        answers.finish([1, 2, 9])
    assert json.loads(file.read_text().splitlines()[2])["answer"] == "whole"


def test_other_settings_are_refused_before_anything_is_touched(file):
    fill(file, [1])
    with pytest.raises(
        EvaluationError,
        match=r"answered with another prompt.template \('alpaca' then, 'chat' now\), seed \(0 then, 1 now\). Give --overwrite",
    ):
        AnswerFile(file).begin({**SETTINGS, "seed": 1, "prompt": {"template": "chat"}}, overwrite=False)
    with pytest.raises(EvaluationError, match=r"another top_k \(None then, 50 now\)"):
        AnswerFile(file).begin({**SETTINGS, "top_k": 50}, overwrite=False)
    fill(file, [2], [1, 2])
    with pytest.raises(EvaluationError, match="seed"):
        AnswerFile(file).begin({**SETTINGS, "seed": 1}, overwrite=False)
    assert len(file.read_text().splitlines()) == 2


def test_overwrite_starts_anew(file):
    fill(file, [1, 2], [1, 2])
    answers = AnswerFile(file)
    assert answers.begin({**SETTINGS, "seed": 1}, overwrite=True)
    assert not file.exists()
    with answers.writing():
        assert answers.answered() == {}
    with pytest.raises(EvaluationError, match="seed"):
        AnswerFile(file).begin(SETTINGS, overwrite=False)


def test_a_file_of_unknown_making_is_left_alone(file):
    file.parent.mkdir(parents=True)
    file.write_text("mine\n")
    with pytest.raises(EvaluationError, match="is there already and says nothing of how it was made"):
        AnswerFile(file).begin(SETTINGS, overwrite=False)
    assert file.read_text() == "mine\n"


def test_a_missing_answer_is_an_error_and_nothing_is_lost(file):
    answers = AnswerFile(file)
    answers.begin(SETTINGS, overwrite=False)
    with answers.writing() as add, pytest.raises(EvaluationError, match=r'2 questions have no answer, first "b"'):
        add(line("a"))
        answers.finish(["a", "b", "c"])
    assert list(AnswerFile(file).answered()) == ['"a"']


def test_two_programs_do_not_answer_into_one_file(file):
    answers = AnswerFile(file)
    answers.begin(SETTINGS, overwrite=False)
    with answers.writing(), pytest.raises(RunFolderError, match="is in use by process"), AnswerFile(file).writing():
        pass
