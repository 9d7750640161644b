"""What a judge is asked about: files of answers, read and paired, and the order in which it sees them.

    ours        {"question_id", "question", "category", "answer", …}
    published   {"question_id", "text", "category", "answer"}              the DiverseEvol repository's
    FastChat    {"question_id", "choices": [{"turns": ["…", …]}, …]}       the first choice's first turn
    AlpacaEval  {"instruction", "output", "generator", …}                  an array; holds no id
Files may be packed (.gz, .zst). Answers meet by question id where both files have ids, else by the question's
text, the k-th of equal questions with the k-th. What has no counterpart is returned by name, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.json_files import records_in
from ..errors import EvaluationError

QUESTION_KEYS = ("question", "text", "question_text", "instruction", "prompt")
ANSWER_KEYS = ("answer", "output")
N_SHOWN = 60
"""Characters of a question that an error shows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; what the file does not say is None.

    Attributes:
        question_id: As the file has it, a number or a text.
    """

    question_id: int | str | None
    question: str | None
    category: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One thing to ask the judge: a question with our answer beside the opponent's.

    Attributes:
        order: 0: our answer is shown first; 1: second.
    """

    question_id: int | str
    order: int
    question: str
    category: str | None
    answer: str
    opponent_answer: str

    @property
    def shown(self) -> tuple[str, str]:
        """The answers in the order in which the judge sees them."""
        return (self.opponent_answer, self.answer) if self.order else (self.answer, self.opponent_answer)

    def ours_first(self, scores: tuple[float, float]) -> tuple[float, float]:
        """Scores in the order shown, turned so that ours comes first."""
        return (scores[1], scores[0]) if self.order else scores


@dataclass(frozen=True, slots=True)
class Pairing:
    """Judgements in our file's order, order 0 before order 1, and what is left over.

    Attributes:
        judgements: What can be asked.
        without_opponent: Names of the questions that only we answered; `without_ours`: that only the opponent
            did.
    """

    judgements: list[Judgement]
    without_opponent: tuple[str, ...]
    without_ours: tuple[str, ...]


def read_answers(file: Path) -> list[Answer]:
    """The answers of a file, in its order.

    Raises:
        EvaluationError: there is no such file, a line is not readable as one of the layouts, or an id stands
            twice.
    """
    if not file.is_file():
        raise EvaluationError(f"no answers at {str(file)!r}. Give a file of answers, a line a question.")
    answers: list[Answer] = []
    seen: set[str] = set()
    for place, record in records_in(file, EvaluationError):
        answer = _answer(record, place)
        if answer.question_id is not None:
            if str(answer.question_id) in seen:
                raise EvaluationError(
                    f"{place}: a second answer to question {answer.question_id!r}. Leave one of them out."
                )
            seen.add(str(answer.question_id))
        answers.append(answer)
    if not answers:
        raise EvaluationError(f"{file} holds no answers.")
    return answers


def _answer(record: dict[str, Any], place: str) -> Answer:
    name, question, category = record.get("question_id"), _text(record, QUESTION_KEYS), record.get("category")
    if name is not None and (isinstance(name, bool) or not isinstance(name, int | str)):
        raise EvaluationError(f"{place}: question_id is {name!r}; it must be a number or a text.")
    text = _text(record, ANSWER_KEYS)
    match record.get("choices"):
        case [{"turns": [str() as first, *_]}, *_]:
            text = first
    if text is None:
        raise EvaluationError(
            f"{place} holds no answer; its keys are {', '.join(record) or 'none'}. Expected question_id "
            f"with answer, question_id with "
            "choices, or instruction with output."
        )
    if name is None and question is None:
        raise EvaluationError(f"{place} says neither question_id nor the question. Add one of them.")
    return Answer(name, question, category if isinstance(category, str) else None, text)


def _text(record: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((record[key] for key in keys if isinstance(record.get(key), str)), None)


def pair_judgements(ours: Sequence[Answer], opponents: Sequence[Answer]) -> Pairing:
    """Our answers against the opponent's, in both orders.

    Raises:
        EvaluationError: nothing meets, a question differs between the files, or is not known.
    """
    key = _key_for(ours, opponents)
    theirs = _by_key(opponents, key)
    judgements: list[Judgement] = []
    alone: list[str] = []
    for position, (name, answer) in enumerate(_by_key(ours, key).items(), 1):
        opponent = theirs.pop(name, None)
        if opponent is None:
            alone.append(_shown(answer))
            continue
        question, category = _question(answer, opponent), answer.category or opponent.category
        number = position if answer.question_id is None else answer.question_id
        judgements += [
            Judgement(number, order, question, category, answer.text, opponent.text) for order in (0, 1)
        ]
    if not judgements:
        raise EvaluationError(
            f"none of our {len(ours)} questions is among the opponent's {len(opponents)}: ours begin with "
            f"{_shown(ours[0])}, "
            f"theirs with {_shown(opponents[0])}. Give answers to the same questions."
        )
    return Pairing(judgements, tuple(alone), tuple(map(_shown, theirs.values())))


def _key_for(ours: Sequence[Answer], opponents: Sequence[Answer]) -> Callable[[Answer], Hashable]:
    if all(answer.question_id is not None for answer in (*ours, *opponents)):
        return lambda answer: str(answer.question_id)
    unknown = next((answer for answer in (*ours, *opponents) if answer.question is None), None)
    if unknown is not None:
        raise EvaluationError(
            f"one file has no question ids and the other no text of question {unknown.question_id!r}: "
            f"nothing to match them by. "
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


def _question(answer: Answer, opponent: Answer) -> str:
    ours, theirs = answer.question, opponent.question
    # An opponent's file may have been cleaned of the spaces around a question; another question is another
    # matter.
    if ours is not None and theirs is not None and ours.split() != theirs.split():
        raise EvaluationError(
            f"question {answer.question_id!r} is {ours[:N_SHOWN]!r} in our file and {theirs[:N_SHOWN]!r} in "
            f"the opponent's. "
            "Give answers to the same questions."
        )
    question = theirs if ours is None else ours
    if question is None:
        raise EvaluationError(
            f"the text of question {answer.question_id!r} is in neither file. Add it as 'question' to one "
            f"of them."
        )
    return question


def _shown(answer: Answer) -> str:
    return repr((answer.question or "")[:N_SHOWN]) if answer.question_id is None else str(answer.question_id)
