"""The questions in a benchmark's file: the one reader for answering and for decontamination. Loads no torch.

Files are JSONL or a JSON array, also packed (.gz, .zst). A question is a text, or a list of texts where it has several turns. Its id is
`question_id`, `id`, `idx` or `prompt_id`, whichever the record has, else its number counted from 1. Nothing is mended or left out: a
record without a question stops everything, for scores over fewer questions would not compare with others'.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EvaluationError
from .benchmarks import KNOWN, Asked
from .records import records_in

ID_FIELDS = ("question_id", "id", "idx", "prompt_id")
FIELDS = ("text", "prompt", "Instruction", "instruction", "question", "turns")
"""Where a question is looked for in a file of no known benchmark, if no field is named."""


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


def questions_in(file: Path, asked: Asked) -> tuple[Question, ...]:
    """The questions of a file, in its order, by the field that `asked` names or those of the benchmark.

    Raises:
        EvaluationError: it holds none, it is not readable, or a record has no question.
    """
    known = KNOWN.get(asked.name)
    fields = (asked.field,) if asked.field else known.fields if known else FIELDS
    category = known.category if known else "category"
    records = enumerate(records_in(file, EvaluationError), 1)
    items = tuple(_question(record, place, number, fields, category) for number, (place, record) in records)
    if not items:
        raise EvaluationError(f"{file} holds no questions.")
    return items


def _question(
    record: dict[str, Any], place: str, number: int, fields: tuple[str, ...], category: str
) -> Question:
    there = [name for name in fields if name in record]
    if not there:
        keys = ", ".join(list(record)[:12]) or "none"
        raise EvaluationError(
            f"{place} has no field {' or '.join(fields)}; it has {keys}. Name one: NAME=FILE:FIELD."
        )
    field = next((name for name in there if record[name] is not None), there[0])
    value = record[field]
    turns = tuple(value) if isinstance(value, list) else (value,)
    if not turns or not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise EvaluationError(
            f"{place}: {field!r} is {json.dumps(value)[:80]}, not a question. Repair the file."
        )
    name = next((record[key] for key in ID_FIELDS if isinstance(record.get(key), int | str)), number)
    kind, given = record.get(category), record.get("input")
    return Question(
        id=name,
        turns=turns,
        input=given if isinstance(given, str) and field == "instruction" else "",
        category=kind if isinstance(kind, str) else None,
    )
