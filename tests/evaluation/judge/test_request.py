import pytest

from diverseevol.errors import ConfigError
from diverseevol.evaluation.judge.pairs import Judgement
from diverseevol.evaluation.judge.request import Judge
from diverseevol.evaluation.judge.template import Template, load_template

BASE = {"question_id": 1, "order": 0, "question": "Q", "category": "c", "answer": "a", "opponent_answer": "b"}
PAIRWISE = load_template("pairwise")


def key(judge=None, **changes):
    return (judge or Judge("m", PAIRWISE)).key(Judgement(**{**BASE, **changes}))


def test_whatever_the_judge_sees_is_in_the_key():
    keys = [
        key(),
        key(question="R"),
        key(answer="A"),
        key(opponent_answer="B"),
        key(opponent_answer=None),
        key(order=1),
        key(Judge("n", PAIRWISE)),
        key(Judge("m", Template("pairwise", PAIRWISE.text + " ", PAIRWISE.messages))),
        key(Judge("m", PAIRWISE, {"temperature": 1})),
        key(answer="ab", opponent_answer=""),
    ]
    assert len(set(keys)) == len(keys)


def test_what_the_judge_does_not_see_is_not():
    assert (
        key(question_id=2)
        == key(category=None)
        == key()
        == key(Judge("m", Template("renamed", PAIRWISE.text, PAIRWISE.messages)))
    )
    assert key(order=1, answer="b", opponent_answer="a") == key()  # the same two answers in the same places
    assert key(Judge("m", PAIRWISE, {"max_tokens": 1024, "temperature": 0})) == key()


def test_the_key_stays_the_same_between_versions():
    template = Template("t", "{question}{answer_1}", (("user", "{question}{answer_1}"),))
    judgement = Judgement(1, None, "Wie geht’s?", None, "Gut.")
    assert Judge("m", template).key(judgement) == "3921801754a052e6950b461bd757385e2e31b3967f1103ef89dae1a42abe67ed"


def test_judgements_that_show_the_same_are_asked_once():
    judge = Judge("m", PAIRWISE)
    same = [Judgement(i, order, "Q", None, "a", "a") for i in (1, 2) for order in (0, 1)]
    assert len(judge.by_key(same)) == 1
    assert len(judge.by_key([*same, Judgement(1, 0, "Q", None, "a", "b"), Judgement(1, 1, "Q", None, "a", "b")])) == 3


def test_settings():
    assert Judge("m", PAIRWISE).longest_reply == 1024
    assert Judge("m", PAIRWISE, {"max_tokens": 5, "max_completion_tokens": 7}).longest_reply == 7
    assert Judge("m", PAIRWISE, {}).longest_reply is None
    for name in ("model", "messages", "stream", "n"):
        with pytest.raises(ConfigError, match=f"the judge's setting {name} is not free"):
            Judge("m", PAIRWISE, {name: 1})
