import json

import numpy as np
import pytest

from diverseevol.base.progress import SILENT
from diverseevol.data.contamination import find_contamination, read_benchmarks

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


def test_every_row_with_every_question_and_only_rows_that_count(found):
    records = [alpaca(LONG, output=f"{LONG} twice"), alpaca(f"{LONG} {LONG}"), alpaca("x"), alpaca(LONG, input=SHORT)]
    questions = [{"id": "a", "text": LONG}, {"id": "b", "text": SHORT}, {"id": "c", "text": LONG}]
    assert found(records, questions, [True, False, True, True]) == [
        (0, "a", "words", "user", 1.0),
        (0, "c", "words", "user", 1.0),
        (3, "a", "words", "user", 1.0),
        (3, "c", "words", "user", 1.0),
    ]


def test_non_english_and_signs(found):
    russian = "Объясните основы квантовых вычислений простыми словами для ребёнка десяти лет"
    chinese = "请解释量子计算的基本原理"
    records = [alpaca(f"«{russian.upper()}»"), alpaca("?"), alpaca(f"请问：{chinese}。"), alpaca("ok", "!")]
    questions = [{"text": russian}, {"text": chinese}, {"text": "???"}]
    assert [(row, number) for row, number, *_ in found(records, questions)] == [(0, "1"), (2, "2")]


def test_what_alpaca_shares_with_the_benchmarks(shared_data, read):
    """Looked at by eye: one task on binary search that was reworded at its end, and nothing that merely quotes or loops."""
    names = ("vicuna", "koala", "wizardlm")
    benchmarks = read_benchmarks([f"{name}={shared_data / 'benchmarks' / f'{name}_test_set.jsonl'}" for name in names])
    assert [len(benchmark.questions) for benchmark in benchmarks] == [80, 180, 218]
    rows = json.loads((shared_data / "pools" / "alpaca_data.json").read_text("utf-8"))
    # Around the only match, and around two that any 13 words in a row would bring.
    records = read([row for start in (38_500, 11_500, 35_900) for row in rows[start : start + 500] if row["output"]])
    matches = find_contamination(records, np.ones(len(records), dtype=bool), benchmarks, SILENT)
    assert [(match.question.benchmark, match.question.id, match.kind) for match in matches] == [("vicuna", "65", "words")]
    assert records.record(matches[0].position)["instruction"].startswith("Implement a binary search algorithm")


def test_questions_of_a_row_come_in_the_benchmarks_order(found):
    other = "Explain how the tides of the sea follow the moon in two sentences."
    record = alpaca(other, output=LONG.replace("specific", "given"))
    asked = [{"text": LONG}, {"text": other}]
    assert [question for _, question, *_ in found([record], asked)] == ["1", "2"]
    assert [question for _, question, *_ in found([record], asked[::-1])] == ["1", "2"]
