"""From answers to judgements: which answer stands against which, and in which orders the judge sees them.

Answers meet by question id where both files have ids, else by the question's text, the k-th of equal questions with the k-th.
What has no counterpart is returned by name, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from ...errors import EvaluationError
from .answers import Answer

N_SHOWN = 60
"""Characters of a question that an error shows."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One thing to ask the judge: a question with our answer, alone or beside the opponent's.

    Attributes:
        order: 0: our answer is shown first; 1: second; None: ours alone.
    """

    question_id: int | str
    order: int | None
    question: str
    category: str | None
    answer: str
    opponent_answer: str | None = None

    @property
    def shown(self) -> tuple[str, ...]:
        """The answers in the order in which the judge sees them."""
        if self.opponent_answer is None:
            return (self.answer,)
        both = (self.answer, self.opponent_answer)
        return both[::-1] if self.order else both

    def ours_first(self, scores: tuple[float, ...]) -> tuple[float, ...]:
        """Scores in the order shown, turned so that ours comes first."""
        return scores[::-1] if self.order else scores


@dataclass(frozen=True, slots=True)
class Missing:
    """A question that only one side answered; `side` is the one whose answer is missing."""

    question_id: int | str | None
    question: str | None
    side: str


@dataclass(frozen=True, slots=True)
class Pairing:
    """Judgements in our file's order, order 0 before order 1, and what is left over."""

    judgements: list[Judgement]
    missing: list[Missing]


def single_judgements(ours: Sequence[Answer]) -> Pairing:
    """Our answers one by one.

    Raises:
        EvaluationError: an answer's question is not known.
    """
    judgements = [
        Judgement(_name(a, i), None, _question(a, None), a.category, a.said(len(a.turns)))
        for i, a in enumerate(ours)
    ]
    return Pairing(judgements, [])


def pair_judgements(ours: Sequence[Answer], opponents: Sequence[Answer]) -> Pairing:
    """Our answers against the opponent's, in both orders.

    An opponent that answered more turns than we did is judged by as many turns as ours.

    Raises:
        EvaluationError: nothing meets, a question differs between the files, or is not known.
    """
    key = _key_for(ours, opponents)
    theirs = _by_key(opponents, key)
    judgements: list[Judgement] = []
    missing: list[Missing] = []
    for position, (name, answer) in enumerate(_by_key(ours, key).items()):
        opponent = theirs.pop(name, None)
        if opponent is None or len(opponent.turns) < len(answer.turns):
            missing.append(Missing(answer.question_id, answer.question, "opponent"))
            continue
        question, category = _question(answer, opponent), answer.category or opponent.category
        ours_said, theirs_said = (side.said(len(answer.turns)) for side in (answer, opponent))
        number = _name(answer, position)
        judgements += [
            Judgement(number, order, question, category, ours_said, theirs_said) for order in (0, 1)
        ]
    missing += [Missing(left.question_id, left.question, "ours") for left in theirs.values()]
    if not judgements:
        raise EvaluationError(
            f"none of our {len(ours)} questions is among the opponent's {len(opponents)}: "
            f"ours begin with {_shown(ours[0])}, theirs with {_shown(opponents[0])}. Give answers to the same questions."
        )
    return Pairing(judgements, missing)


def _key_for(ours: Sequence[Answer], opponents: Sequence[Answer]) -> Callable[[Answer], Hashable]:
    if all(answer.question_id is not None for answer in (*ours, *opponents)):
        return lambda answer: str(answer.question_id)
    unknown = next((answer for answer in (*ours, *opponents) if answer.question is None), None)
    if unknown is not None:
        raise EvaluationError(
            f"one file has no question ids and the other no text of question {unknown.question_id!r}: nothing to match them by. "
            "Add question_id to the one or the question to the other."
        )
    return lambda answer: answer.question


def _by_key(
    answers: Sequence[Answer], key: Callable[[Answer], Hashable]
) -> dict[tuple[Hashable, int], Answer]:
    found: dict[tuple[Hashable, int], Answer] = {}
    n_seen: dict[Hashable, int] = {}
    for answer in answers:
        name = key(answer)
        found[name, n_seen.get(name, 0)] = answer
        n_seen[name] = n_seen.get(name, 0) + 1
    return found


def _name(answer: Answer, position: int) -> int | str:
    return position + 1 if answer.question_id is None else answer.question_id


def _question(answer: Answer, opponent: Answer | None) -> str:
    ours, theirs = answer.question, opponent.asked(len(answer.turns)) if opponent else None
    # An opponent's file may have been cleaned of the spaces around a question; another question is another matter.
    if ours is not None and theirs is not None and ours.split() != theirs.split():
        raise EvaluationError(
            f"question {answer.question_id!r} is {ours[:N_SHOWN]!r} in our file and {theirs[:N_SHOWN]!r} in the opponent's. "
            "Give answers to the same questions."
        )
    question = theirs if ours is None else ours
    if question is None:
        raise EvaluationError(
            f"the text of question {answer.question_id!r} is in neither file. Add it as 'question' to one of them."
        )
    return question


def _shown(answer: Answer) -> str:
    return repr((answer.question or "")[:N_SHOWN] if answer.question_id is None else answer.question_id)
