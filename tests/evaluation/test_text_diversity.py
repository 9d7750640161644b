from collections import Counter
from math import log2

import numpy as np
import pytest

from diverseevol.evaluation.text_diversity import measure_words, words

TEXTS = [["a b a", "b c"], ["A b!", "c"], [], ["", "a"], ["x y z x y z", "x y"], ["漢字 a1"]]


def by_hand(texts):
    """The definition, with tuples."""
    pieces = [words(piece) for text in texts for piece in text]
    found = {"n_words": sum(map(len, pieces))}
    for n in (1, 2, 3):
        grams = Counter(tuple(piece[i : i + n]) for piece in pieces for i in range(len(piece) - n + 1))
        found[f"distinct_{n}"] = len(grams) / max(1, sum(grams.values()))
        if n == 1:
            shares = [count / sum(grams.values()) for count in grams.values()]
            found["word_entropy"] = -sum(share * log2(share) for share in shares)
    return found


def test_words():
    assert words("It's 3.5 °C, Ünïcode_x!") == ["it", "'", "s", "3", ".", "5", "°", "c", ",", "ünïcode_x", "!"]
    assert words("漢字かな ok混") == ["漢", "字", "か", "な", "ok", "混"]
    assert words(" \n") == []


@pytest.mark.parametrize("rows", [[0], [1], [4], [0, 1], [4, 0, 3, 1, 5], [5, 4, 3, 2, 1, 0], [2], [3]])
def test_equals_the_definition(rows):
    texts = [TEXTS[row] for row in rows]
    found = measure_words(texts, range(len(rows) + 1))
    assert found == [pytest.approx(by_hand(texts[:n])) for n in range(len(rows) + 1)]


def test_equals_the_definition_on_random_words():
    rng = np.random.default_rng(0)
    texts = [[" ".join(map(str, rng.integers(0, 12, rng.integers(0, 9)))) for _ in range(rng.integers(0, 4))] for _ in range(60)]
    sizes = [1, 2, 17, 59, 60]
    assert measure_words(iter(texts), sizes) == [pytest.approx(by_hand(texts[:n])) for n in sizes]


@pytest.mark.parametrize("texts", [[], [[]], [["", " "]], [["a"]], [["a", "b"]]])
def test_hardly_any_text(texts):
    assert measure_words(texts, [len(texts)]) == [pytest.approx(by_hand(texts))]
