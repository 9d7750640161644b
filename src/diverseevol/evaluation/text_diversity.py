"""How varied the words of some rows are: distinct n-grams and the entropy of words.

Source of distinct-n: Li et al., 2016, https://arxiv.org/abs/1510.03055: different n-grams over all n-grams. It falls as text grows, so only
subsets of about as many words compare; that is why the number of words is given along.
A word is a run of letters and digits in lower case, a single character of Chinese or Japanese, or a single sign. An n-gram lies
within one piece of text (a turn, or its separate input), so no template and no seam between pieces counts.
Cost: one pass over the text; some 40 bytes a word while it is held.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cells import entropy_bits

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")
LENGTHS = (1, 2, 3)


def words(text: str) -> list[str]:
    """The words of a text."""
    return WORD.findall(text.lower())


@dataclass(frozen=True)
class Grams:
    """The n-grams of some texts as numbers: those of the first k texts are `numbers[n - 1][: n_of_first[n - 1][k]]`."""

    numbers: tuple[NDArray[np.int64], ...]
    n_of_first: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]]) -> Grams:
        """Count the texts' n-grams; a text is its pieces."""
        vocabulary: dict[str, int] = {}
        tokens: list[int] = []
        piece_of: list[int] = []
        text_of: list[int] = []
        n_pieces = n_texts = 0
        for pieces in texts:
            for piece in pieces:
                found = [vocabulary.setdefault(word, len(vocabulary)) for word in words(piece)]
                tokens += found
                piece_of += [n_pieces] * len(found)
                text_of += [n_texts] * len(found)
                n_pieces += 1
            n_texts += 1
        first = np.array(tokens, dtype=np.int64)
        pieces_of, texts_of = np.array(piece_of, dtype=np.int64), np.array(text_of, dtype=np.int64)
        numbers, n_of_first, grams = [], [], first
        for n in LENGTHS:
            if n > 1:  # a gram is the pair of the shorter one and the word behind it, numbered anew so that no number overflows
                grams, first = grams[:-1], first[1:]
                grams = np.unique(grams * max(1, len(vocabulary)) + first, return_inverse=True)[1].astype(np.int64)
            is_whole = pieces_of[: len(grams)] == pieces_of[n - 1 :]
            numbers.append(grams[is_whole])
            n_of_first.append(np.searchsorted(texts_of[: len(grams)][is_whole], np.arange(n_texts + 1)))
        return cls(tuple(numbers), tuple(n_of_first))

    def measure(self, n_texts: int) -> dict[str, float]:
        """Measure the first texts: `n_words`, `distinct_1` to `distinct_3` and `word_entropy` in bits; a share of nothing is 0."""
        found = {"n_words": float(self.n_of_first[0][n_texts])}
        for n, numbers, n_of_first in zip(LENGTHS, self.numbers, self.n_of_first, strict=True):
            _, counts = np.unique(numbers[: n_of_first[n_texts]], return_counts=True)
            found[f"distinct_{n}"] = len(counts) / max(1, int(counts.sum()))
            if n == 1:
                found["word_entropy"] = entropy_bits(counts)
        return found
