import contextlib
import json

from diverseevol.base.progress import LineWatch
from diverseevol.evaluation.answer.job import answer_benchmarks
from diverseevol.evaluation.questions import Question, Questions

ITEMS = tuple(Question(n, (f"Q{n}?",)) for n in range(5))


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


def go(tmp_path, fake, said=None, overwrite=False, turns=1):
    opened = []
    files, settings, questions = {"my": tmp_path / "a.jsonl"}, {"seed": 0, "turns": turns}, Questions("my", tmp_path / "q", ITEMS)
    watch = LineWatch((said if said is not None else []).append)
    with contextlib.suppress(KeyboardInterrupt):
        answer_benchmarks("round 3", files, settings, lambda: opened.append(1) or fake, [questions], overwrite, watch)
    return opened


def test_an_interrupted_job_asks_only_what_is_left(tmp_path):
    first, second, said = Fake(breaks_after=2), Fake(), []
    go(tmp_path, first)
    assert not (tmp_path / "a.jsonl").exists()
    go(tmp_path, second, said)
    assert (first.asked, second.asked) == ([4, 3], [2, 1, 0])
    assert said[0] == "my, round 3: 2 of 5 questions are answered already"
    assert said[-1].startswith("my, round 3: 5 answers in ")
    assert "; 5 stopped by their length; 1 questions cut; " in said[-1]
    assert [json.loads(line)["question_id"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [0, 1, 2, 3, 4]


def test_a_finished_job_loads_no_model(tmp_path):
    go(tmp_path, Fake())
    said = []
    assert go(tmp_path, Fake(), said) == []
    assert said == [f"my, round 3: answered already, {tmp_path / 'a.jsonl'}"]
    assert go(tmp_path, Fake(), said, overwrite=True) == [1]


def test_turns_that_no_question_has_do_not_count_as_a_setting(tmp_path):
    go(tmp_path, Fake(), turns=2)
    assert go(tmp_path, Fake(), turns=1) == []
