"""Benchmarks' questions, for comparison with a pool: a known NAME, NAME=FILE, NAME=FILE:FIELD, or just FILE.

A list of texts (MT-Bench's turns) is so many questions with one id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...base.files import hash_sampled
from ...errors import PoolError
from ..benchmarks import find_file, parse_benchmark
from ..questions import questions_in


class Question(NamedTuple):
    """One question of a benchmark.

    Attributes:
        benchmark: The benchmark's name.
        id: As in ../questions.py, as text.
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
        EvaluationError: a file has no questions, or a known benchmark is neither on the Hub nor in its cache here.
        PoolError: a file is not there.
        PoolError: a file cannot be read, or two benchmarks have the same name.
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
        raise PoolError(
            f"no benchmark file {str(file)!r} (pool.decontaminate: {word!r}). Give NAME=FILE, or NAME=FILE:FIELD for a column of another name."
        )
    read = questions_in(file, asked)
    questions = tuple(Question(asked.name, str(one.id), text) for one in read for text in one.turns)
    hashed = hashlib.blake2b(f"{asked.field}\0".encode(), digest_size=8)
    hash_sampled(hashed, file)
    return Benchmark(asked.name, questions, hashed.hexdigest())
