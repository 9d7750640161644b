"""The questions of a benchmark to be answered: read, checked, compared with the known file.

Loads no torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from ..data.benchmarks import Asked, Question, differences, find_file, questions_in
from ..errors import EvaluationError

__all__ = ["Question", "Questions", "read_questions"]


@dataclass(frozen=True, slots=True)
class Questions:
    """A benchmark's questions, in its order.

    Attributes:
        name: What the benchmark is called; becomes a folder's name.
        notes: What differs from the known file, and which questions are asked twice; a sentence each.
    """

    name: str
    file: Path
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
    items = questions_in(file, asked)
    _check_ids(items, file)
    texts = ["\n".join((*question.turns, question.input)) for question in items]
    return Questions(asked.name, file, items, tuple(differences(asked.name, file, len(items), texts)))


def _check_ids(items: tuple[Question, ...], file: Path) -> None:
    seen: dict[str, int] = {}
    for number, question in enumerate(items, 1):
        earlier = seen.setdefault(str(question.id), number)
        if earlier != number:
            raise EvaluationError(
                f"{file}: records {earlier} and {number} have the same id {question.id!r}. Make ids unique."
            )
