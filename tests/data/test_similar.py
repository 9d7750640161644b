import numpy as np
import pytest

from diverseevol.data.contamination import THRESHOLD, Questions
from diverseevol.data.normal import WIDTH, plain


def shingle_set(text):
    text = plain(text)
    text = text.ljust(WIDTH) if text else ""
    return {text[at : at + WIDTH] for at in range(len(text) - WIDTH + 1)}


def test_as_the_definition():
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
    similar = Questions(questions)
    assert [(t, *found[:2]) for t, text in enumerate(texts) for found in similar.similar(text)] == expected


def test_a_word_before_and_a_word_changed():
    questions = Questions(["Explain the basics of quantum computing.", "Can dogs swim?"])
    assert [one[:2] for one in questions.similar("EXPLAIN the basics of quantum computing!")] == [(0, 1.0)]
    assert [one.question for one in questions.similar("Kindly explain the basics of quantum computing")] == [0]
    assert questions.similar("Can cats fly?") == []


def test_nothing_to_compare():
    assert Questions([]).similar("a text") == []
    assert Questions(["a question"]).similar("") == []
    assert Questions(["?"]).similar("!") == Questions(["?"]).similar("abc") == []
