"""Benchmarks' questions, for comparison with a pool: a known NAME, NAME=FILE, NAME=FILE:FIELD, or just FILE.

The questions lie in one column: `FIELD`, or the first that a record has of `FIELDS`. A list of texts (MT-Bench's turns) is so many
questions with one id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...benchmarks import find_file, parse_benchmark
from ...errors import PoolError, SourceNotFoundError
from ...files import hash_sampled
from ..json_files import json_rows
from ..row import Row

FIELDS = ("text", "prompt", "Instruction", "instruction", "question", "turns")
IDS = ("question_id", "id", "idx")


class Question(NamedTuple):
    """One question of a benchmark.

    Attributes:
        benchmark: The benchmark's name.
        id: The record's question_id, id or idx, else its number in the file, from 0; as text.
        text: What is asked.
    """

    benchmark: str
    id: str
    text: str


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's questions; `fingerprint` is a short hash of its file and the field."""

    name: str
    questions: tuple[Question, ...]
    fingerprint: str


def read_benchmarks(words: Sequence[str]) -> list[Benchmark]:
    """Read benchmarks named as above.

    Raises:
        ConfigError: a name without a file is unknown.
        QuestionsError: a known benchmark is neither on the Hub nor in its cache here.
        SourceNotFoundError: a file is not there.
        PoolError: a file cannot be read or has no questions, or two benchmarks have the same name.
    """
    benchmarks = [_read(word) for word in words]
    names = [benchmark.name for benchmark in benchmarks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PoolError(f"pool.decontaminate names two benchmarks {twice!r}. Tell them apart: NAME=FILE.")
    return benchmarks


def _read(word: str) -> Benchmark:
    asked = parse_benchmark(word, needs_field=False)
    file = asked.file or find_file(asked.name, None)
    if not file.is_file():
        raise SourceNotFoundError(
            f"no benchmark file {str(file)!r} (pool.decontaminate: {word!r}). Give NAME=FILE, or NAME=FILE:FIELD for a column of another name."
        )
    questions = tuple(question for row in json_rows(file, str(file)) for question in _questions(row, asked.name, asked.field))
    if not questions:
        raise PoolError(f"{file} has no questions. Correct pool.decontaminate.")
    hashed = hashlib.blake2b(f"{asked.field}\0".encode(), digest_size=8)
    hash_sampled(hashed, file)
    return Benchmark(asked.name, questions, hashed.hexdigest())


def _questions(row: Row, name: str, field: str | None) -> list[Question]:
    record = row.record
    if row.problem or not isinstance(record, dict):
        raise PoolError(f"{row.place()}: {row.problem or 'not an object'}. Repair the benchmark's file.")
    fields = (field,) if field else FIELDS
    value = next((record[key] for key in fields if record.get(key) is not None), None)
    texts: list[Any] = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise PoolError(
            f"{row.place()}: no question under {' or '.join(fields)}; its keys are {', '.join(list(record)[:12])}. "
            f"Name the right one: {name}=FILE:FIELD."
        )
    question_id: Any = next((record[key] for key in IDS if record.get(key) is not None), row.number)
    return [Question(name, str(question_id), text) for text in texts]
