"""Questions that are nearly what a user asks: the same up to a word or two, by the Jaccard similarity of their shingles.

What the embedding of a model would be asked for, without a model: the raw embeddings of a base model lie so close together that
no threshold tells a rewording from another question. Exact, by counting a text's shingles in all questions at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain

from .near import shingles
from .normal import plain

THRESHOLD = 0.7


class SimilarQuestions:
    """The shingles of questions, ready to be compared."""

    def __init__(self, questions: Sequence[str]) -> None:
        """Take the questions, which are known by their numbers from here on."""
        self._sizes: list[int] = []
        self._having: dict[str, list[int]] = defaultdict(list)
        for number, question in enumerate(questions):
            own = shingles(plain(question))
            self._sizes.append(len(own))
            for shingle in own:
                self._having[shingle].append(number)

    def found(self, text: str) -> list[tuple[int, float]]:
        """The numbers of the questions that are alike enough, ascending, and how alike they are."""
        own = shingles(plain(text))
        if len(own) * THRESHOLD > max(self._sizes, default=0):
            return []
        n_both = Counter(chain.from_iterable(self._having.get(shingle, ()) for shingle in own))
        alike = ((number, n / (len(own) + self._sizes[number] - n)) for number, n in sorted(n_both.items()))
        return [(number, similarity) for number, similarity in alike if similarity >= THRESHOLD]
