"""Where a pool holds questions of benchmarks: word for word in any of its texts, or nearly in what a user asks.

Shape letters: R records.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...base.progress import Watch
from ..sample import Sample
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


def find_contamination(
    records: Records, is_in: NDArray[np.bool_], benchmarks: Sequence[Benchmark], watch: Watch
) -> list[Match]:
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
            best: dict[int, Match] = {}
            # Word for word before similar, then the highest score, then the first.
            ranked = sorted(
                _in_sample(sample, phrases, similar),
                key=lambda it: (it[1] == "words", it[0].score),
                reverse=True,
            )
            for one, kind, role in ranked:
                best.setdefault(
                    one.question, Match(position, questions[one.question], kind, one.score, one.matched, role)
                )
            found += [best[number] for number in sorted(best)]
            task.advance()
    return found


def _in_sample(
    sample: Sample, phrases: Phrases, similar: SimilarQuestions
) -> Iterator[tuple[Found, str, str]]:
    """The questions that a sample holds, each with the kind and the role of its match."""
    for turn in sample.turns:
        for text in filter(None, (turn.thinking, turn.text, turn.input)):
            yield from ((found, "words", turn.role) for found in phrases.inside(text))
        if turn.role == "user":
            for text in [turn.text, f"{turn.text}\n{turn.input}"] if turn.input else [turn.text]:
                yield from ((found, "words", turn.role) for found in phrases.equal(text))
                yield from (
                    (Found(number, score, text), "similar", turn.role)
                    for number, score in similar.found(text)
                )
