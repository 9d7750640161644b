import contextlib
import json

from diverseevol.base.progress import LineWatch
from diverseevol.config import PromptConfig
from diverseevol.evaluation import answer as module
from diverseevol.evaluation.answer import Target, answer


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
    monkeypatch.setattr(module, "_model_alone", lambda *words: target)
    monkeypatch.setattr("diverseevol.models.load.fingerprint", lambda name: name)
    monkeypatch.setattr(module, "_local", lambda *words: opened.append(1) or fake)
    watch = LineWatch((said if said is not None else []).append)
    with contextlib.suppress(KeyboardInterrupt):
        answer([f"my={file}:text"], model="model", out=tmp_path / "a.jsonl", overwrite=overwrite, watch=watch)
    return opened


def test_an_interrupted_job_asks_only_what_is_left(tmp_path, monkeypatch):
    first, second, said = Fake(breaks_after=2), Fake(), []
    go(tmp_path, monkeypatch, first)
    assert not (tmp_path / "a.jsonl").exists()
    go(tmp_path, monkeypatch, second, said)
    assert (first.asked, second.asked) == ([4, 3], [2, 1, 0])
    assert said[0] == "my, round 3: 2 of 5 questions are answered already"
    assert said[-1].startswith("my, round 3: 5 answers in ")
    assert "; 5 stopped by their length; 1 questions cut; " in said[-1]
    assert [json.loads(line)["question_id"] for line in (tmp_path / "a.jsonl").read_text().splitlines()] == [0, 1, 2, 3, 4]


def test_a_finished_job_loads_no_model(tmp_path, monkeypatch):
    go(tmp_path, monkeypatch, Fake())
    said = []
    assert go(tmp_path, monkeypatch, Fake(), said) == []
    assert said == [f"my, round 3: answered already, {tmp_path / 'a.jsonl'}"]
    assert go(tmp_path, monkeypatch, Fake(), said, overwrite=True) == [1]
