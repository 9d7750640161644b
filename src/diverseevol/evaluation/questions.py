"""The questions of a benchmark: read from a file, checked, compared with what is known of it. Loads no torch.

Files are JSONL or a JSON array, also packed (.gz, .zst). A question is a text, or a list of texts where it has several turns. Its id is
`question_id`, `id`, `idx` or `prompt_id`, whichever the record has, else its number counted from 1. Nothing is mended or left out: a record without a
question stops everything, for scores over fewer questions would not compare with others'.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..benchmarks import KNOWN, Asked, differences, find_file
from ..errors import QuestionsError
from .records import records_in

ID_FIELDS = ("question_id", "id", "idx", "prompt_id")


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: As the file has it, a number or a text.
        turns: What the user says, turn by turn; at least one.
        input: Text that the question is about, kept apart because the Alpaca template has a slot of its own for it.
        category: The kind of question, where the file sorts them.
    """

    id: int | str
    turns: tuple[str, ...]
    input: str = ""
    category: str | None = None


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
        QuestionsError: there is no such file, it is not readable, a record has no question, or an id stands twice.
    """
    file = asked.file or find_file(asked.name, folder)
    known = KNOWN.get(asked.name)
    fields = (asked.field,) if asked.field else known.fields if known else ()
    category = known.category if known else "category"
    if not file.is_file():
        raise QuestionsError(f"no questions at {str(file)!r}: no such file. Correct --benchmark NAME=FILE.")
    records = enumerate(records_in(file, QuestionsError), 1)
    items = tuple(_question(record, place, number, fields, category) for number, (place, record) in records)
    if not items:
        raise QuestionsError(f"{file} holds no questions.")
    _check_ids(items, file)
    texts = ["\n".join((*question.turns, question.input)) for question in items]
    return Questions(asked.name, file, items, tuple(differences(asked.name, file, len(items), texts)))


def _question(record: dict[str, Any], place: str, number: int, fields: tuple[str, ...], category: str) -> Question:
    field = next((name for name in fields if name in record), None)
    if field is None:
        raise QuestionsError(
            f"{place} has no field {' or '.join(fields)}; it has {', '.join(record) or 'none'}. Name one: NAME=FILE:FIELD."
        )
    value = record[field]
    turns = tuple(value) if isinstance(value, list) else (value,)
    if not turns or not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise QuestionsError(f"{place}: {field!r} is {json.dumps(value)[:80]}, not a question. Repair the file.")
    name = next((record[key] for key in ID_FIELDS if isinstance(record.get(key), int | str)), number)
    kind, given = record.get(category), record.get("input")
    return Question(
        id=name,
        turns=turns,
        input=given if isinstance(given, str) and field == "instruction" else "",
        category=kind if isinstance(kind, str) else None,
    )


def _check_ids(items: tuple[Question, ...], file: Path) -> None:
    seen: dict[str, int] = {}
    for number, question in enumerate(items, 1):
        earlier = seen.setdefault(str(question.id), number)
        if earlier != number:
            raise QuestionsError(f"{file}: records {earlier} and {number} have the same id {question.id!r}. Make ids unique.")
