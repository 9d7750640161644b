"""What a judge is asked about: files of answers, read and paired, and the order in which it sees them.

    ours        {"question_id", "question", "category", "answer", …}
    published   {"question_id", "text", "category", "answer"}              the DiverseEvol repository's
    FastChat    {"question_id", "choices": [{"turns": ["…", …]}, …]}       the first choice's first turn
    AlpacaEval  {"instruction", "output", "generator", …}                  an array; holds no id
Files may be packed (.gz, .zst). Answers meet by question id where both files have ids, else by the question's
text, the k-th of equal questions with the k-th. What has no counterpart is returned by name, never dropped.
"""

from __future__ import annotations

from collections import Counter
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
    """One answer; what the file does not say is None."""

    question_id: int | str | None
    question: str | None
    category: str | None
    text: str

    @property
    def shown(self) -> str:
        """Its question, for people."""
        return repr((self.question or "")[:N_SHOWN]) if self.question_id is None else str(self.question_id)


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
    """Judgements in our file's order, order 0 before order 1, and questions that only one side answered."""

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
        name = str(answer.question_id)
        if answer.question_id is not None and name in seen:
            raise EvaluationError(
                f"{place}: a second answer to question {answer.question_id!r}. Leave one of them out."
            )
        if answer.question_id is not None:
            seen.add(name)
        answers.append(answer)
    if not answers:
        raise EvaluationError(f"{file} holds no answers.")
    return answers


def _answer(record: dict[str, Any], place: str) -> Answer:
    name, category = record.get("question_id"), record.get("category")
    question, text = (
        next((record[key] for key in keys if isinstance(record.get(key), str)), None)
        for keys in (QUESTION_KEYS, ANSWER_KEYS)
    )
    match record.get("choices"):
        case [{"turns": [str() as first, *_]}, *_]:
            text = first
    if text is None:
        raise EvaluationError(
            f"{place} holds no answer; its keys are {', '.join(record) or 'none'}. Expected question_id "
            f"with answer, question_id with choices, or instruction with output."
        )
    if isinstance(name, bool) or not (isinstance(name, int | str) or (name is None and question is not None)):
        raise EvaluationError(
            f"{place}: question_id is {name!r}; it must be a number or a text, or be left out where the "
            f"question is there."
        )
    return Answer(name, question, category if isinstance(category, str) else None, text)


def pair_judgements(ours: Sequence[Answer], opponents: Sequence[Answer]) -> Pairing:
    """Our answers against the opponent's, in both orders.

    Raises:
        EvaluationError: nothing meets, a question differs between the files, or is not known.
    """
    everybody = (*ours, *opponents)
    key: Callable[[Answer], Hashable] = lambda answer: str(answer.question_id)  # noqa: E731
    if any(answer.question_id is None for answer in everybody):
        key = lambda answer: answer.question  # noqa: E731
        unknown = next((answer for answer in everybody if answer.question is None), None)
        if unknown:
            raise EvaluationError(
                f"one file has no question ids and the other no text of question {unknown.question_id!r}: "
                f"nothing to match them by. Add question_id to the one or the question to the other."
            )
    theirs = _by_key(opponents, key)
    judgements: list[Judgement] = []
    alone: list[str] = []
    for position, (name, answer) in enumerate(_by_key(ours, key).items(), 1):
        opponent = theirs.pop(name, None)
        if opponent is None:
            alone.append(answer.shown)
            continue
        question, category = _question(answer, opponent), answer.category or opponent.category
        number = position if answer.question_id is None else answer.question_id
        judgements += [
            Judgement(number, order, question, category, answer.text, opponent.text) for order in (0, 1)
        ]
    if not judgements:
        raise EvaluationError(
            f"none of our {len(ours)} questions is among the opponent's {len(opponents)}: ours begin with "
            f"{ours[0].shown}, theirs with {opponents[0].shown}. Give answers to the same questions."
        )
    return Pairing(judgements, tuple(alone), tuple(answer.shown for answer in theirs.values()))


def _by_key(
    answers: Sequence[Answer], key: Callable[[Answer], Hashable]
) -> dict[tuple[Hashable, int], Answer]:
    found, n_seen = dict[tuple[Hashable, int], Answer](), Counter[Hashable]()
    for answer in answers:
        found[key(answer), n_seen[key(answer)]] = answer
        n_seen[key(answer)] += 1
    return found


def _question(answer: Answer, opponent: Answer) -> str:
    ours, theirs = answer.question, opponent.question
    question = theirs if ours is None else ours
    if question is None:
        raise EvaluationError(
            f"the text of question {answer.question_id!r} is in neither file. Add it as 'question' to one "
            f"of them."
        )
    # An opponent's file may have been cleaned of the spaces around a question; another question is another
    # matter.
    if theirs is not None and question.split() != theirs.split():
        raise EvaluationError(
            f"question {answer.question_id!r} is {question[:N_SHOWN]!r} in our file and "
            f"{theirs[:N_SHOWN]!r} in the opponent's. Give answers to the same questions."
        )
    return question
