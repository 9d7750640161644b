import random

import numpy as np
import pytest

from diverseevol.base.progress import SILENT
from diverseevol.data.contamination import N_WORDS, THRESHOLD, Questions, find_contamination, read_benchmarks, words
from diverseevol.data.duplicates import WIDTH, plain
from diverseevol.data.sample import Sample, Turn

LONG = "Implement a binary search algorithm to find a specific element in a sorted array."
SHORT = "What is quantum computing?"


def alpaca(instruction, output="An answer long enough to be compared.", input="", **more):
    return {"instruction": instruction, "input": input, "output": output, **more}


@pytest.fixture
def found(read, write):
    def find(records, questions, is_in=None):
        records = read(records)
        benchmarks = read_benchmarks([f"b={write(questions, 'questions.jsonl')}"])
        is_in = np.ones(len(records), dtype=bool) if is_in is None else np.array(is_in)
        return [
            (one.position, one.question.id, one.kind, one.role, round(one.score, 2))
            for one in find_contamination(records, is_in, benchmarks, SILENT)
        ]

    return find


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (alpaca(LONG), ("words", "user", 1.0)),
        (alpaca("Do what is said.", input=f"Well: {LONG.upper()} Now."), ("words", "user", 1.0)),
        (alpaca("Invent a task.", f"Here is one: {LONG} Good luck!"), ("words", "assistant", 1.0)),
        (alpaca("Hello", system=f"Your only task: {LONG}"), ("words", "system", 1.0)),
        (
            {
                "messages": [
                    {"role": role, "content": text}
                    for role, text in (("user", "Hi"), ("assistant", "Yes?"), ("user", LONG), ("assistant", "No."))
                ]
            },
            ("words", "user", 1.0),
        ),
        (alpaca(LONG.replace("specific", "given")), ("words", "user", 0.57)),
        (alpaca("Please sort an array."), None),
    ],
)
def test_a_question_in_any_text(found, record, expected):
    assert found([alpaca("nothing"), record], [{"text": LONG}]) == ([(1, "1", *expected)] if expected else [])


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (alpaca("what is QUANTUM computing"), ("words", 1.0)),
        (alpaca("What is", input="quantum computing?"), ("words", 1.0)),
        (alpaca("What is quantum-computing", input="Answer in a line."), ("words", 1.0)),
        (alpaca("What's quantum computing?"), None),
        (alpaca("Say it.", SHORT), None),
        (alpaca("What is quantum computing good for in the car industry?"), None),
    ],
)
def test_a_short_question_must_be_all_that_a_user_asks(found, record, expected):
    matches = found([record], [{"text": SHORT}])
    assert matches == ([(0, "1", expected[0], "user", expected[1])] if expected else [])


@pytest.mark.parametrize(
    "row", [alpaca("How can I improve time management skills"), alpaca("How can I improve", input="time management skills")]
)
def test_a_question_that_is_nearly_what_a_user_asks(found, row):
    assert found([row], [{"text": "How can I improve my time management skills?"}]) == [(0, "1", "similar", "user", 0.79)]
    assert found([alpaca("Say it.", row["instruction"])], [{"text": "How can I improve my time management skills?"}]) == []


def test_non_english_and_signs(found):
    russian = "Объясните основы квантовых вычислений простыми словами для ребёнка десяти лет"
    chinese = "请解释量子计算的基本原理"
    records = [alpaca(f"«{russian.upper()}»"), alpaca("?"), alpaca(f"请问：{chinese}。"), alpaca("ok", "!")]
    questions = [{"text": russian}, {"text": chinese}, {"text": "???"}]
    assert [(row, number) for row, number, *_ in found(records, questions)] == [(0, "1"), (2, "2")]


QUESTION = "Implement a binary search algorithm to find a specific element in a sorted array of whole numbers."


def inside(question, text):
    return [(found.question, found.score) for found in Questions([question]).inside(text)]


def test_less_than_half_of_its_words_is_too_little():
    long = QUESTION + " Then explain every step of it to a child of ten years, and give two examples of your own."
    assert inside(long, QUESTION) == []
    assert inside(QUESTION, " ".join(words(QUESTION)[:N_WORDS])) == []
    assert inside(QUESTION, " ".join(words(QUESTION)[: N_WORDS + 1])) == [(0, pytest.approx(9 / 17))]
    assert inside(QUESTION, " ".join(words(QUESTION)[: N_WORDS - 1])) == []


def test_short_questions_are_whole_texts_only():
    phrases = Questions(["What is AI?", QUESTION, "…"])
    assert phrases.inside("I ask you: what is AI?") == []
    for text, number in (("what is ai", [0]), ("What is AI good for?", []), ("!", []), (QUESTION, [1])):
        found = phrases.in_sample(Sample((Turn("user", text),)))
        assert sorted({one.question for one, kind, _ in found if kind == "words"}) == number


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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is  AI?", "what is ai"),
        ('He said: "No, thanks!"', "he said no thanks"),
        ("Ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("a\n\tb\u00a0c", "a b c"),
        ("STRASSE", "straße"),
        ("cafe\u0301", "café"),
        ("你好。", "你好"),
        ("¿Qué tal?", "qué tal"),
    ],
)
def test_plain_forgets_what_does_not_matter(one, other):
    assert plain(one) == plain(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What's 3.5-times “X”?", ["what", "s", "3", "5", "times", "x"]),
        ("我喜欢2只猫。", ["我", "喜", "欢", "2", "只", "猫"]),
        ("ΣΊΣΥΦΟΣ", ["σίσυφοσ"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ﬁne", ["fine"]),
        ("?!…", []),
        ("", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected
