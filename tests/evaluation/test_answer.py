import contextlib
import json

import pytest

from diverseevol.base.progress import LineWatch
from diverseevol.config import PromptConfig
from diverseevol.config.verbs import AnswerConfig
from diverseevol.errors import EvaluationError, RunFolderError
from diverseevol.evaluation import answer as module
from diverseevol.evaluation.answer import AnswerFile, Target, answer
from diverseevol.evaluation.journal import open_journal, read_lines
from diverseevol.evaluation.judge_pairs import read_answers

SETTINGS = {"sampling": "paper", "seed": 0, "prompt": {"template": "alpaca"}}
TORN = [b'{"question_id": 9, "te', b'{"question_id": 9}', b"\0\0\0\n", "Gr\udcc3".encode("utf-8", "surrogateescape")]


class Fake:
    """Answers until it breaks."""

    def __init__(self, breaks_after=None):
        self.breaks_after, self.asked = breaks_after, []

    def answer(self, questions, write, task):
        for question in reversed(questions):
            if len(self.asked) == self.breaks_after:
                raise KeyboardInterrupt
            self.asked.append(question.id)
            cut = question.id == 3
            write({"question_id": question.id, "answer": "x", "n_tokens": 2, "finish": "length", "is_cut": cut})


def go(tmp_path, monkeypatch, fake, said=None, overwrite=False):
    """Answer five questions with a model that is loaded (the list returned says how often)."""
    opened, file = [], tmp_path / "q.jsonl"
    file.write_text("".join(json.dumps({"question_id": n, "text": f"Q{n}?"}) + "\n" for n in range(5)))
    target = Target("round-03", "round 3", "model", None, PromptConfig(), False)
    monkeypatch.setattr(module, "_alone", lambda *words: target)
    monkeypatch.setattr("diverseevol.models.load.fingerprint", lambda name: name)
    monkeypatch.setattr(module, "answerer_of", lambda *words: opened.append(1) or fake)
    watch, settings = LineWatch((said if said is not None else []).append), AnswerConfig(overwrite=overwrite)
    with contextlib.suppress(KeyboardInterrupt):
        answer([f"my={file}:text"], model="model", out=tmp_path / "a.jsonl", settings=settings, watch=watch)
    return opened


def test_an_interrupted_job_asks_only_what_is_left_and_a_finished_one_loads_no_model(tmp_path, monkeypatch):
    first, second, said, file = Fake(breaks_after=2), Fake(), [], tmp_path / "a.jsonl"
    go(tmp_path, monkeypatch, first)
    assert not file.exists()
    go(tmp_path, monkeypatch, second, said)
    assert (first.asked, second.asked) == ([4, 3], [2, 1, 0])
    assert said[0] == "my, round 3: 2 of 5 questions are answered already"
    assert said[-1].startswith("my, round 3: 5 answers in ")
    assert "; 5 stopped by their length; 1 questions cut; " in said[-1]
    assert [json.loads(line)["question_id"] for line in file.read_text().splitlines()] == [0, 1, 2, 3, 4]
    assert go(tmp_path, monkeypatch, Fake(), said) == []
    assert said[-1] == f"my, round 3: answered already, {file}"
    assert go(tmp_path, monkeypatch, Fake(), said, overwrite=True) == [1]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "answers" / "vicuna" / "round-03.jsonl"


def fill(file, names, finish=None):
    answers = AnswerFile(file)
    assert answers.begin(SETTINGS, overwrite=False)
    with answers.writing() as add:
        for n_before, name in enumerate(names):
            assert len(answers.answered()) == n_before
            add({"question_id": name, "question": f"Q{name}?", "category": None, "answer": "Grüße\u2028\n"})
        assert not file.exists()
        if finish:
            answers.finish(finish)


def test_lines_are_there_as_soon_as_they_are_added_and_the_whole_is_in_order(file):
    fill(file, [3, 1, "1b", 2], [1, 2, 3, "1b"])
    assert [answer.question_id for answer in read_answers(file)] == [1, 2, 3, "1b"]
    assert {answer.text for answer in read_answers(file)} == {"Grüße\u2028\n"}
    assert sorted(item.name for item in file.parent.iterdir()) == ["round-03.jsonl", "round-03.settings.json"]
    assert not AnswerFile(file).begin(SETTINGS, overwrite=False)


@pytest.mark.parametrize("torn", TORN)
def test_what_a_kill_tore_is_asked_again_and_the_rest_is_kept(file, torn):
    fill(file, [1, "1"])
    (part,) = file.with_suffix(".unfinished").glob("*.jsonl")
    with part.open("ab") as out:
        out.write(torn)
    answers = AnswerFile(file)
    with answers.writing() as add:
        assert sorted(answers.answered()) == ['"1"', "1"]
        with pytest.raises(EvaluationError, match="1 questions have no answer, first 9. Give the same command again"):
            answers.finish([1, "1", 9])
        add({"question_id": 9, "answer": "whole"})
        answers.finish([1, "1", 9])
    assert json.loads(file.read_text("utf-8").split("\n")[2])["answer"] == "whole"


def test_other_settings_are_refused_before_anything_is_touched(file, tmp_path):
    fill(file, [1])
    said = r"answered with another prompt.template \('alpaca' then, 'chat' now\), seed \(0 then, 1 now\). Give --overwrite"
    with pytest.raises(EvaluationError, match=said):
        AnswerFile(file).begin({**SETTINGS, "seed": 1, "prompt": {"template": "chat"}}, overwrite=False)
    with AnswerFile(file).writing(), pytest.raises(RunFolderError), AnswerFile(file).writing():
        pass
    assert AnswerFile(file).answered().keys() == {"1"}
    assert AnswerFile(file).begin({**SETTINGS, "seed": 1}, overwrite=True)
    assert not file.with_suffix(".unfinished").exists()
    (other := tmp_path / "other.jsonl").write_text("{}\n")
    with pytest.raises(EvaluationError, match="says nothing of how it was made. Give --overwrite"):
        AnswerFile(other).begin(SETTINGS, overwrite=False)
    assert other.read_text() == "{}\n"


@pytest.mark.parametrize("torn", TORN)
def test_a_journal_leaves_out_what_a_kill_tore(tmp_path, torn):
    file = tmp_path / "below" / "a.jsonl"
    with open_journal(file, is_synced=True) as journal:
        journal.add({"n": 1})
        assert len(read_lines(file)) == 1  # there as soon as it is added
    with file.open("ab") as out:
        out.write(torn)
    with open_journal(file, is_synced=False) as journal:
        assert journal.lines == [{"n": 1}]
        journal.add({"n": 4})
    assert read_lines(file) == [{"n": 1}, {"n": 4}]


def test_one_process_at_a_time_and_only_where_one_may_write(tmp_path):
    file = tmp_path / "a.jsonl"
    taken = pytest.raises(EvaluationError, match="is in use by another process")
    with open_journal(file, is_synced=True), taken, open_journal(file, is_synced=True):
        pass
    with pytest.raises(EvaluationError, match="cannot write .*Give a place"), open_journal(tmp_path, is_synced=True):
        pass
