"""A line of a file of answers: the question, what was answered, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...pool.sample import Sample
from ..questions import Question


@dataclass(frozen=True, slots=True)
class Said:
    """One turn's answer.

    Attributes:
        text: What was generated, special tokens left out.
        n_tokens: Its tokens, without the one that ended it; None where a server does not say.
        finish: eos or length.
        asked: The dialogue as it was asked, if it had to be shortened.
    """

    text: str
    n_tokens: int | None
    finish: str
    asked: Sample | None


def answer_line(question: Question, said: Sequence[Said], model: str) -> dict[str, Any]:
    """The line of a question; of several turns the last one's question, answer and end are the line's."""
    last = said[-1]
    line: dict[str, Any] = {
        "question_id": question.id,
        "question": _text(question, len(said) - 1),
        "category": question.category,
        "answer": last.text,
    }
    if len(said) > 1:
        line |= {"questions": list(question.turns[: len(said)]), "turns": [turn.text for turn in said]}
    line |= {"n_tokens": last.n_tokens, "finish": last.finish, "is_cut": any(turn.asked for turn in said), "model": model}
    if last.asked:
        line["asked"] = [
            {"role": turn.role, "content": turn.text, **({"input": turn.input} if turn.input else {})}
            for turn in last.asked.turns
        ]
    return line


def _text(question: Question, turn: int) -> str:
    text = question.turns[turn]
    return f"{text}\n{question.input}" if question.input and turn == 0 else text
