"""Questions found word for word in other texts.

Source: Lambert et al., "Tülu 3" (2024, https://arxiv.org/abs/2411.15124), section on decontamination: phrases of 8 words, and half of a
question's words in such phrases. Brown et al. ("Language Models are Few-Shot Learners", 2020, appendix C) take any 13 words in a row,
which on questions with code or quotations finds `for int i 0 i n i …` and proverbs, and not a question with one word changed.
A question of fewer than 8 words is common speech, so a user's turn must consist of it.
Cost: one look-up a word, whatever the number of questions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .normal import words

N_WORDS = 8
MIN_SHARE = 0.5
"""Of a question's words that must be found."""
N_START = 4
"""Words by which phrases are looked up: rare enough to have few phrases each."""

Words = tuple[str, ...]


class Found(NamedTuple):
    """A question found in a text.

    Attributes:
        question: Its number.
        score: The share of its words that lie in phrases that were found.
        matched: The first of them in a row.
    """

    question: int
    score: float
    matched: str


class Phrases:
    """The phrases of questions, ready to be looked for."""

    def __init__(self, questions: Sequence[str]) -> None:
        """Take the questions, which are known by their numbers from here on."""
        self.words = [tuple(words(question)) for question in questions]
        self._phrases: dict[Words, list[tuple[Words, int, int]]] = defaultdict(list)
        self._whole: dict[Words, list[int]] = defaultdict(list)
        for number, own in enumerate(self.words):
            if len(own) >= N_WORDS:
                for start in range(len(own) - N_WORDS + 1):
                    phrase = own[start : start + N_WORDS]
                    self._phrases[phrase[:N_START]].append((phrase, number, start))
            elif own:
                self._whole[own].append(number)

    def inside(self, text: str) -> list[Found]:
        """The questions of which enough phrases occur in a text."""
        own = words(text)
        covered: dict[int, set[int]] = defaultdict(set)
        for at, start in enumerate(zip(*(own[offset:] for offset in range(N_START)), strict=False)):
            for phrase, number, place in self._phrases.get(start, ()):
                if tuple(own[at : at + N_WORDS]) == phrase:
                    covered[number].update(range(place, place + N_WORDS))
        found = (self._found(number, places) for number, places in sorted(covered.items()))
        return [one for one in found if one.score >= MIN_SHARE]

    def equal(self, text: str) -> Iterator[Found]:
        """The short questions of which a text consists."""
        own = tuple(words(text))
        for number in self._whole.get(own, ()):
            yield Found(number, 1.0, " ".join(own))

    def _found(self, number: int, places: set[int]) -> Found:
        first = min(places)
        last = next(place for place in range(first, len(self.words[number]) + 1) if place not in places)
        return Found(number, len(places) / len(self.words[number]), " ".join(self.words[number][first:last]))
