"""The questions of a benchmark: read, checked, compared with the known file; and the line of an answer.

Loads no torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ..data.benchmarks import Asked, Question, differences, find_file, questions_in
from ..errors import EvaluationError
from .journal import Line

__all__ = ["Question", "Questions", "answer_line", "read_questions"]


@dataclass(frozen=True, slots=True)
class Questions:
    """A benchmark's questions in its order; `notes` say how its file differs, and which are asked twice."""

    name: str
    items: tuple[Question, ...]
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """A hash of the ids and texts, whatever the file's form."""
        said = json.dumps([[question.id, question.turns, question.input] for question in self.items])
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def read_questions(asked: Asked, folder: Path | None = None) -> Questions:
    """Read the questions that `--benchmark` names; `folder` is where known benchmarks' files lie.

    Raises:
        EvaluationError: there is no such file, it is not readable, a record has no question, or an id stands
            twice.
    """
    file = asked.file or find_file(asked.name, folder)
    if not file.is_file():
        raise EvaluationError(f"no questions at {str(file)!r}: no such file. Correct --benchmark NAME=FILE.")
    items, seen = questions_in(file, asked), dict[str, int]()
    for number, question in enumerate(items, 1):
        earlier = seen.setdefault(str(question.id), number)
        if earlier != number:
            raise EvaluationError(
                f"{file}: records {earlier} and {number} have the same id {question.id!r}. Make ids unique."
            )
    texts = ["\n".join((*question.turns, question.input)) for question in items]
    return Questions(asked.name, items, tuple(differences(asked.name, file, len(items), texts)))


def answer_line(
    question: Question, text: str, n_tokens: int | None, finish: str, is_cut: bool, model: str
) -> Line:
    """The line of a question in a file of answers.

    `n_tokens` are without the one that ended it; None where a server does not say. `finish`: eos, length, or
    content_filter where a server refused the question; `is_cut`: it had to be shortened.
    """
    asked = f"{question.turns[0]}\n{question.input}" if question.input else question.turns[0]
    said = {"question_id": question.id, "question": asked, "category": question.category, "answer": text}
    return {**said, "n_tokens": n_tokens, "finish": finish, "is_cut": is_cut, "model": model}
