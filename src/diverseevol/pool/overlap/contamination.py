"""Where a pool holds questions of benchmarks: word for word in any of its texts, or nearly in what a user asks.

Shape letters: R records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...progress import Watch
from ..sample import Sample, Turn
from ..store import Records
from .benchmarks import Benchmark, Question
from .phrases import Found, Phrases
from .similar import SimilarQuestions


class Match(NamedTuple):
    """A record, by position, and a question that it holds.

    Attributes:
        position: The record.
        question: The question.
        kind: words (a phrase of it, or all of it), or similar (nearly all of a user's turn).
        score: Of words, the share of the question's words that were found in a row; of similar, the Jaccard similarity.
        matched: What was found.
        role: Whose turn it was in.
    """

    position: int
    question: Question
    kind: str
    score: float
    matched: str
    role: str


def find_contamination(records: Records, is_in: NDArray[np.bool_], benchmarks: Sequence[Benchmark], watch: Watch) -> list[Match]:
    """Every record with every question that it holds, by position; the best match of each pair.

    Args:
        records: The records.
        is_in: Which of them count; bool[R].
        benchmarks: The questions.
        watch: Sees the progress.
    """
    questions = [question for benchmark in benchmarks for question in benchmark.questions]
    texts = [question.text for question in questions]
    phrases, similar = Phrases(texts), SimilarQuestions(texts)
    found: list[Match] = []
    with watch.task("compare with benchmarks", int(is_in.sum()), "rows") as task:
        for position, sample in records.some(is_in):
            found += _best(position, [*_word_for_word(sample, phrases), *_similar(sample, similar)], questions)
            task.advance()
    return found


Matches = list[tuple[str, str, Found]]
"""Kind, role, and the question that was found."""


def _word_for_word(sample: Sample, phrases: Phrases) -> Iterator[tuple[str, str, Found]]:
    for turn in sample.turns:
        for text in filter(None, (turn.text, turn.input)):
            yield from (("words", turn.role, found) for found in phrases.inside(text))
        if turn.role == "user":
            for text in _asked(turn):
                yield from (("words", turn.role, found) for found in phrases.equal(text))


def _similar(sample: Sample, similar: SimilarQuestions) -> Iterator[tuple[str, str, Found]]:
    """The questions that are nearly what a user asks."""
    for turn in sample.turns:
        if turn.role == "user":
            for text in _asked(turn):
                yield from (("similar", "user", Found(number, score, text)) for number, score in similar.found(text))


def _asked(turn: Turn) -> list[str]:
    """What a user's turn asks: its text, and that with its input."""
    return [turn.text, f"{turn.text}\n{turn.input}"] if turn.input else [turn.text]


def _best(position: int, matches: Matches, questions: Sequence[Question]) -> list[Match]:
    """One match a question: word for word before similar, then the highest score, then the first."""
    best: dict[int, tuple[str, str, Found]] = {}
    for match in sorted(matches, key=lambda match: (match[0] == "words", match[2].score), reverse=True):
        best.setdefault(match[2].question, match)
    return [
        Match(position, questions[number], kind, found.score, found.matched, role)
        for number, (kind, role, found) in sorted(best.items())
    ]
