"""Files of answers to judge: ours, the published layout, FastChat's and AlpacaEval's.

    ours        {"question_id", "question", "category", "answer", …}               with several turns also "questions" and "turns"
    published   {"question_id", "text", "category", "answer"}                      the DiverseEvol repository's
    FastChat    {"question_id", "choices": [{"turns": ["…", …]}, …]}               the first choice; holds no question
    AlpacaEval  {"instruction", "output", "generator", …}                          an array; holds no id
What is judged of several turns is the whole dialogue. Files may be packed (.gz, .zst).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.json_files import records_in
from ...errors import EvaluationError

QUESTION_KEYS = ("question", "text", "question_text", "instruction", "prompt")
ANSWER_KEYS = ("answer", "output")
LAYOUTS = "question_id with answer, question_id with choices, or instruction with output"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; what the file does not say is None.

    Attributes:
        question_id: As the file has it, a number or a text.
        questions: What was asked, turn by turn; the last turn's alone, or nothing, where the file does not say more.
        turns: The text of each turn's answer, at least one.
    """

    question_id: int | str | None
    questions: tuple[str, ...]
    category: str | None
    turns: tuple[str, ...]

    @property
    def question(self) -> str | None:
        """What was asked in all turns."""
        return self.asked(len(self.turns))

    def asked(self, n_turns: int) -> str | None:
        """What was asked in the first turns."""
        if len(self.questions) >= len(self.turns):
            return _dialogue(self.questions[:n_turns])
        return self.questions[-1] if self.questions and n_turns == len(self.turns) else None

    def said(self, n_turns: int) -> str:
        """What was answered in the first turns."""
        return _dialogue(self.turns[:n_turns])


def read_answers(file: Path) -> list[Answer]:
    """The answers of a file, in its order.

    Raises:
        EvaluationError: there is no such file, a line is not readable as one of the layouts, or an id stands twice.
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
    name, questions, turns = record.get("question_id"), _questions(record), _turns(record)
    if name is not None and (isinstance(name, bool) or not isinstance(name, int | str)):
        raise EvaluationError(f"{place}: question_id is {name!r}; it must be a number or a text.")
    if not turns:
        raise EvaluationError(
            f"{place} holds no answer; its keys are {', '.join(record) or 'none'}. Expected {LAYOUTS}."
        )
    if name is None and not questions:
        raise EvaluationError(f"{place} says neither question_id nor the question. Add one of them.")
    category = record.get("category")
    return Answer(name, questions, category if isinstance(category, str) else None, turns)


def _questions(record: dict[str, Any]) -> tuple[str, ...]:
    found, text = record.get("questions"), _first_text(record, QUESTION_KEYS)
    if isinstance(found, list) and found and all(isinstance(question, str) for question in found):
        return tuple(found)
    return () if text is None else (text,)


def _turns(record: dict[str, Any]) -> tuple[str, ...]:
    choices = record.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    found = first.get("turns") if isinstance(first, dict) else record.get("turns")
    if isinstance(found, list) and found and all(isinstance(turn, str) for turn in found):
        return tuple(found)
    text = _first_text(record, ANSWER_KEYS)
    return () if text is None else (text,)


def _first_text(record: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((record[key] for key in keys if isinstance(record.get(key), str)), None)


def _dialogue(parts: Sequence[str]) -> str:
    """One turn as it is, several with their numbers."""
    if len(parts) == 1:
        return parts[0]
    return "\n\n".join(f"Turn {number}: {part}" for number, part in enumerate(parts, 1))
