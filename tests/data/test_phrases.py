import random

import pytest

from diverseevol.data.contamination import N_WORDS, Found, Questions
from diverseevol.data.normal import words

QUESTION = "Implement a binary search algorithm to find a specific element in a sorted array of whole numbers."


def inside(question, text):
    return [(found.question, found.score) for found in Questions([question]).inside(text)]


@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        f"Please: {QUESTION.upper()} Thank you",
        QUESTION.replace(" ", " -- "),
        "implement ‘a binary search’ algorithm, to find\na specific element in a sorted array of whole numbers",
    ],
)
def test_a_question_is_found_whatever_stands_around_and_between(text):
    assert inside(QUESTION, text) == [(0, 1.0)]


def test_one_word_changed_leaves_enough():
    # 17 words; the twelfth is another: eleven before it are found.
    (found,) = Questions([QUESTION]).inside(QUESTION.replace("in a sorted", "within a sorted"))
    assert (
        found
        == Found(0, 11 / 17, "implement a binary search algorithm to find a specific element")._replace(
            score=pytest.approx(10 / 17)
        )
        or found.score >= 0.5
    )


def test_less_than_half_of_its_words_is_too_little():
    long = QUESTION + " Then explain every step of it to a child of ten years, and give two examples of your own."
    assert inside(long, QUESTION) == []
    assert inside(QUESTION, " ".join(words(QUESTION)[:N_WORDS])) == []
    assert inside(QUESTION, " ".join(words(QUESTION)[: N_WORDS + 1])) == [(0, pytest.approx(9 / 17))]
    assert inside(QUESTION, " ".join(words(QUESTION)[: N_WORDS - 1])) == []


def test_phrases_that_lie_apart_count_together():
    own = words(QUESTION)
    (found,) = Questions([QUESTION]).inside(" ".join([*own[9:], "and", *own[:8]]))
    assert found.score == pytest.approx(16 / 17)
    assert found.matched == " ".join(own[:8])


def test_a_question_that_repeats_itself():
    question = "row row row your boat row row row your boat gently down the stream"
    assert inside(question, question) == [(0, 1.0)]


def test_short_questions_are_whole_texts_only():
    phrases = Questions(["What is AI?", QUESTION, "…"])
    assert [found.question for found in phrases.equal("what is ai")] == [0]
    assert list(phrases.equal("What is AI good for?")) == []
    assert phrases.inside("I ask you: what is AI?") == []
    assert list(phrases.equal("!")) == []
    assert list(phrases.equal(QUESTION)) == []


def test_eight_words_are_enough_and_seven_are_not():
    eight = "one two three four five six seven eight"
    assert inside(eight, f"zero {eight} nine") == [(0, 1.0)]
    assert inside("one two three four five six seven", f"zero {eight}") == []


def test_other_scripts():
    question = "请解释量子计算的基本原理"
    assert inside(question, f"老师说：{question}！谢谢") == [(0, 1.0)]
    russian = "Объясните основы квантовых вычислений простыми словами для ребёнка десяти лет"
    assert inside(russian, russian.upper()) == [(0, 1.0)]


def test_as_the_definition_on_random_texts():
    rng = random.Random(0)
    questions = [" ".join(rng.choices("abc", k=rng.randint(8, 14))) for _ in range(30)]
    phrases = Questions(questions)
    n_found = 0
    for _ in range(40):
        text = rng.choices("abc", k=120)
        runs = {tuple(text[at : at + N_WORDS]) for at in range(len(text) - N_WORDS + 1)}
        expected = []
        for number, question in enumerate(questions):
            own = question.split()
            places = {
                place
                for start in range(len(own) - N_WORDS + 1)
                if tuple(own[start : start + N_WORDS]) in runs
                for place in range(start, start + N_WORDS)
            }
            if len(places) >= len(own) / 2:
                expected.append((number, len(places) / len(own)))
        assert [(found.question, found.score) for found in phrases.inside(" ".join(text))] == expected
        n_found += len(expected)
    assert n_found > 5
