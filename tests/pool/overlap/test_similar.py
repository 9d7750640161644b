import numpy as np
import pytest

from diverseevol.pool.overlap import similar
from diverseevol.pool.overlap.minhash import WIDTH
from diverseevol.pool.overlap.normal import plain
from diverseevol.pool.overlap.similar import THRESHOLD, SimilarQuestions


def shingle_set(text):
    text = plain(text)
    text = text.ljust(WIDTH) if text else ""
    return {text[at : at + WIDTH] for at in range(len(text) - WIDTH + 1)}


@pytest.mark.parametrize("max_pairs", [1, 200, 1 << 22])
def test_as_the_definition_in_any_parts(monkeypatch, max_pairs):
    monkeypatch.setattr(similar, "MAX_PAIRS", max_pairs)
    rng = np.random.default_rng(0)
    questions = ["".join(rng.choice(list("abc "), rng.integers(1, 50))) for _ in range(25)] + ["", "?"]
    texts = ["", "??"]
    for question in questions * 3:
        letters = np.array(list(question or "x"))
        texts.append("".join(np.where(rng.random(len(letters)) < 0.05, "d", letters)))
    expected = []
    for t, text in enumerate(texts):
        for q, question in enumerate(questions):
            one, other = shingle_set(text), shingle_set(question)
            if one & other and len(one & other) / len(one | other) >= THRESHOLD:
                expected.append((t, q, pytest.approx(len(one & other) / len(one | other))))
    assert len(expected) > 20
    assert SimilarQuestions(questions).found(texts) == expected


def test_a_word_before_and_a_word_changed():
    questions = SimilarQuestions(["Explain the basics of quantum computing.", "Can dogs swim?"])
    found = questions.found(
        ["EXPLAIN the basics of quantum computing!", "Kindly explain the basics of quantum computing", "Can cats fly?"]
    )
    assert [(text, question) for text, question, _ in found] == [(0, 0), (1, 0)]
    assert found[0][2] == 1.0


def test_nothing_to_compare():
    assert SimilarQuestions([]).found(["a text"]) == []
    assert SimilarQuestions(["a question"]).found([]) == []
    assert SimilarQuestions(["?"]).found(["!", "abc"]) == []
