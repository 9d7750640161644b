"""Questions that are nearly what a user asks: the same up to a word or two, by the Jaccard similarity of their shingles.

What the embedding of a model would be asked for, without a model: the raw embeddings of a base model lie so close together that
no threshold tells a rewording from another question. Exact, by counting common shingles of all texts and questions at once.
Shape letters: T texts, Q questions, H shingles of the texts that some question has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .minhash import shingles
from .normal import plain

THRESHOLD = 0.7
MAX_PAIRS = 1 << 22
"""Of a text's shingle and a question, or of a text and a question, held at once: some 100 MB."""


class SimilarQuestions:
    """The shingles of questions, ready to be compared."""

    def __init__(self, questions: Sequence[str]) -> None:
        """Take the questions, which are known by their numbers from here on."""
        owner, hashes = _unique([plain(question) for question in questions])
        order = np.argsort(hashes, kind="stable")
        self.n_questions = len(questions)
        self._sizes = np.bincount(owner, minlength=self.n_questions)
        self._known, self._starts = np.unique(hashes[order], return_index=True)
        self._ends = np.r_[self._starts[1:], len(hashes)]
        self._questions = owner[order]

    def found(self, texts: Sequence[str]) -> list[tuple[int, int, float]]:
        """The pairs of a text's number and a question's that are alike enough, and how alike; by text, then by question."""
        text_of, hashes = _unique([plain(text) for text in texts])
        n_shingles = np.bincount(text_of, minlength=len(texts))
        at = np.minimum(np.searchsorted(self._known, hashes), max(len(self._known) - 1, 0))
        is_known = self._known[at] == hashes if len(self._known) else np.zeros(len(hashes), dtype=bool)
        text_H, at_H = text_of[is_known], at[is_known]
        n_H = self._ends[at_H] - self._starts[at_H]
        if len(texts) > 1 and max(n_H.sum(), len(texts) * self.n_questions) > MAX_PAIRS:
            half = len(texts) // 2
            return [*self.found(texts[:half]), *((half + t, q, score) for t, q, score in self.found(texts[half:]))]
        # For every shingle all questions that have it: runs that start at its own place.
        offsets = np.arange(n_H.sum()) - np.repeat(np.cumsum(n_H) - n_H, n_H)
        question = self._questions[np.repeat(self._starts[at_H], n_H) + offsets]
        pairs = np.repeat(text_H, n_H) * self.n_questions + question
        both_TQ = np.bincount(pairs, minlength=len(texts) * self.n_questions).reshape(len(texts), self.n_questions)
        either_TQ = n_shingles[:, None] + self._sizes - both_TQ
        similar_TQ = both_TQ / np.maximum(either_TQ, 1)
        return [(int(t), int(q), float(similar_TQ[t, q])) for t, q in np.argwhere(similar_TQ >= THRESHOLD)]


def _unique(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The different shingles of each text: the text's number and the shingle, by text."""
    hashes, bounds = shingles(texts)
    text_of = np.repeat(np.arange(len(texts)), np.diff(bounds))
    order = np.lexsort((hashes, text_of))
    hashes, text_of = hashes[order], text_of[order]
    is_new = np.r_[True, (hashes[1:] != hashes[:-1]) | (text_of[1:] != text_of[:-1])][: len(hashes)]
    return text_of[is_new], hashes[is_new]
