"""What the base model reads: the made world's knowledge as running text, without a prompt template.

Two lines in three state something; in every third somebody asks and somebody else replies in the same plain words. So the
model has seen the words of questions, but not the forms of answers that tuning teaches. All skills are spoken of equally
often: which of them are rare in a pool is the pool's affair. Like any base model, it may have read facts that a held-out
set asks for.
Cost: about 20 µs a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from .skill import Exercise
from .skills import SKILLS
from .words import NAMES


def lines(seed: int = 0) -> Iterator[str]:
    """Yield lines of text without end; the same seed gives the same lines."""
    rng = Random(f"prose {seed}")
    while True:
        exercise = rng.choice(SKILLS).exercise(rng)
        yield _conversation(exercise, rng) if rng.random() < 1 / 3 else exercise.statement


def _conversation(exercise: Exercise, rng: Random) -> str:
    asks, replies = rng.sample(NAMES, 2)
    question = f"{exercise.instruction} ({exercise.input})" if exercise.input else exercise.instruction
    return f'{asks} asked {replies}: "{question}" {replies} told {asks}: "{exercise.statement}"'
