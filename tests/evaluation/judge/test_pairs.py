import pytest

from diverseevol.errors import EvaluationError
from diverseevol.evaluation.judge.answers import Answer
from diverseevol.evaluation.judge.pairs import Judgement, Missing, pair_judgements, single_judgements


def answer(name, text, question="Q", category=None):
    questions = () if question is None else (question,) if isinstance(question, str) else question
    return Answer(name, questions, category, (text,) if isinstance(text, str) else text)


def test_both_orders_in_our_order_by_id():
    pairing = pair_judgements(
        [answer(2, "a2", "Q2", "c"), answer(1, "a1", "Q1")], [answer("1", "b1", "Q1", "d"), answer("2", "b2", "Q2")]
    )
    assert pairing.judgements == [
        Judgement(2, 0, "Q2", "c", "a2", "b2"),
        Judgement(2, 1, "Q2", "c", "a2", "b2"),
        Judgement(1, 0, "Q1", "d", "a1", "b1"),
        Judgement(1, 1, "Q1", "d", "a1", "b1"),
    ]
    assert pairing.missing == []


def test_shown_and_ours_first_undo_each_other():
    for order in (0, 1):
        judgement = Judgement(1, order, "Q", None, "ours", "theirs")
        assert judgement.ours_first(judgement.shown) == ("ours", "theirs")
    assert Judgement(1, 1, "Q", None, "ours", "theirs").shown == ("theirs", "ours")
    assert Judgement(1, None, "Q", None, "ours").shown == ("ours",)


def test_what_only_one_side_answered_is_listed():
    pairing = pair_judgements([answer(1, "a"), answer(2, "a", "R")], [answer(2, "b", "R"), answer(3, "b", "S")])
    assert [judgement.question_id for judgement in pairing.judgements] == [2, 2]
    assert pairing.missing == [Missing(1, "Q", "opponent"), Missing(3, "S", "ours")]


def test_by_the_question_where_a_file_has_no_ids_and_equal_questions_one_by_one():
    ours = [answer(20, "a20", "same"), answer(27, "a27", "same"), answer(28, "a28", "other")]
    theirs = [answer(None, "b1", "same"), answer(None, "b2", "other"), answer(None, "b3", "same"), answer(None, "b4", "same")]
    pairing = pair_judgements(ours, theirs)
    found = [(judgement.question_id, judgement.answer, judgement.opponent_answer) for judgement in pairing.judgements[::2]]
    assert found == [(20, "a20", "b1"), (27, "a27", "b3"), (28, "a28", "b2")]
    assert pairing.missing == [Missing(None, "same", "ours")]
    no_ids = pair_judgements(theirs, theirs)
    assert [judgement.question_id for judgement in no_ids.judgements] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_question_text_from_either_side_and_spaces_do_not_matter():
    (judgement, _) = pair_judgements([answer(1, "a", None)], [answer(1, "b", "Q")]).judgements
    assert judgement.question == "Q"
    (judgement, _) = pair_judgements([answer(1, "a", "Q  1\n")], [answer(1, "b", "Q 1")]).judgements
    assert judgement.question == "Q  1\n"


def test_an_opponent_with_more_turns_is_judged_by_ours():
    ours, theirs = answer(1, "a"), answer(1, ("b1", "b2"), ("Q", "R"))
    assert pair_judgements([ours], [theirs]).judgements[0].opponent_answer == "b1"
    assert pair_judgements([answer(1, ("a1", "a2"), ("Q", "R"))], [theirs]).judgements[0].shown == (
        "Turn 1: a1\n\nTurn 2: a2",
        "Turn 1: b1\n\nTurn 2: b2",
    )
    pairing = pair_judgements([answer(1, ("a1", "a2")), answer(2, "a")], [answer(1, "b"), answer(2, "b")])
    assert pairing.missing == [Missing(1, "Q", "opponent")]


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (
            [answer(1, "a")],
            [answer(2, "b")],
            "none of our 1 questions is among the opponent's 1: ours begin with 1, theirs with 2",
        ),
        ([answer(1, "a", "Q")], [answer(1, "b", "R")], "question 1 is 'Q' in our file and 'R' in the opponent's"),
        ([answer(1, "a", None)], [answer(1, "b", None)], "the text of question 1 is in neither file"),
        ([answer(1, "a", None)], [answer(None, "b", "Q")], "nothing to match them by"),
    ],
)
def test_what_does_not_belong_together(ours, theirs, message):
    with pytest.raises(EvaluationError, match=message):
        pair_judgements(ours, theirs)


def test_single_answers():
    assert single_judgements([answer(1, "a"), answer(None, "b", "R")]).judgements == [
        Judgement(1, None, "Q", None, "a"),
        Judgement(2, None, "R", None, "b"),
    ]
    with pytest.raises(EvaluationError, match="the text of question 1"):
        single_judgements([answer(1, "a", None)])
