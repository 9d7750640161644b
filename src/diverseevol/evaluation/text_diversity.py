"""How varied the words of some rows are: distinct n-grams and the entropy of words.

Source of distinct-n: Li et al., 2016, https://arxiv.org/abs/1510.03055: different n-grams over all n-grams. It falls as text grows, so only
subsets of about as many words compare; that is why the number of words is given along.
A word is a run of letters and digits in lower case, a single character of Chinese or Japanese, or a single sign. An n-gram lies
within one piece of text (a turn, or its separate input), so no template and no seam between pieces counts.
Cost: one pass over the text; some 100 bytes a different n-gram.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, islice, pairwise

import numpy as np

from .cells import entropy_bits

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")
LENGTHS = (2, 3)
"""Of the n-grams beside single words."""


def words(text: str) -> list[str]:
    """The words of a text."""
    return WORD.findall(text.lower())


def measure_words(texts: Iterable[Sequence[str]], sizes: Sequence[int]) -> list[dict[str, float]]:
    """Measure the first texts, so many of them as each size says.

    Args:
        texts: Each as its pieces; at least the last size.
        sizes: Ascending.

    Returns:
        A size's `n_words`, `distinct_1` to `distinct_3` and `word_entropy` in bits; a share of nothing is 0.
    """
    counts = Counter[str]()
    different = {n: set[tuple[str, ...]]() for n in LENGTHS}
    n_grams = dict.fromkeys(LENGTHS, 0)
    rest, found = iter(texts), []
    for n_before, size in pairwise((0, *sizes)):
        for piece in chain.from_iterable(islice(rest, size - n_before)):
            said = list(map(sys.intern, words(piece)))  # every gram then holds the same few strings
            counts.update(said)
            for n in LENGTHS:
                different[n].update(zip(*(said[start:] for start in range(n)), strict=False))
                n_grams[n] += max(0, len(said) - n + 1)
        n_words, entropy = counts.total(), entropy_bits(np.array(list(counts.values()), dtype=np.int64))
        shares = {f"distinct_{n}": len(different[n]) / max(1, n_grams[n]) for n in LENGTHS}
        found.append(
            {
                "n_words": float(n_words),
                "distinct_1": len(counts) / max(1, n_words),
                **shares,
                "word_entropy": entropy,
            }
        )
    return found
