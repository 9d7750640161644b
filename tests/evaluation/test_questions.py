import gzip
import json
import re
from pathlib import Path

import pytest

from diverseevol.data.benchmarks import KNOWN, Asked, parse_benchmark
from diverseevol.errors import ConfigError, EvaluationError
from diverseevol.evaluation.questions import read_questions


@pytest.fixture
def write(tmp_path):
    def write(records, name="q.jsonl"):
        file = tmp_path / name
        file.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
        return file

    return write


def test_what_the_option_says(write):
    found = {
        "vicuna": Asked("vicuna", None, None),
        "vicuna=a/b.jsonl": Asked("vicuna", Path("a/b.jsonl"), None),
        "vicuna=C:/b.jsonl": Asked("vicuna", Path("C:/b.jsonl"), None),
        "my=a=b.jsonl:q": Asked("my", Path("a=b.jsonl"), "q"),
    }
    assert {word: parse_benchmark(word) for word in found} == found
    file = write([{"text": "Why?"}], "a:b")
    assert parse_benchmark(f"vicuna={file}") == Asked("vicuna", file, None)
    assert parse_benchmark(str(file)) == Asked("a:b", file, None)
    with pytest.raises(ConfigError, match="no benchmark is called 'mine'. Known: vicuna, koala, wizardlm, mt_bench, alpaca_eval"):
        parse_benchmark("mine")
    for word in ("my=", "my=:text"):
        with pytest.raises(ConfigError, match="names no file"):
            parse_benchmark(word)


@pytest.mark.parametrize(
    ("name", "n", "category", "first"),
    [("vicuna", 80, "generic", 1), ("koala", 180, None, "koala_0"), ("wizardlm", 218, "Math", 1)],
)
def test_the_known_files_are_the_known_files(shared_data, name, n, category, first):
    questions = read_questions(Asked(name, None, None), shared_data / "benchmarks")
    assert len(questions.items) == n == KNOWN[name].n_questions
    assert (questions.items[0].id, questions.items[0].category) == (first, category)
    twice = "wizardlm: 1 question(s) asked twice: 27 repeats 20 (counted from 1)"
    assert questions.notes == ((twice,) if name == "wizardlm" else ())


def test_what_differs_from_the_known_file_is_said_and_the_file_is_used(write, shared_data):
    whole = (shared_data / "benchmarks" / "vicuna_test_set.jsonl").read_text().splitlines()
    file = write([json.loads(line) for line in whole[:-1]])
    number, used = read_questions(parse_benchmark(f"vicuna={file}")).notes
    assert number == f"vicuna: {file} holds 79 questions, the benchmark has 80"
    assert "is not the file that DiverseEvol used (sha256 " in used and "instead of 590c39157bc5…" in used
    file = write([{"question_id": 81 + n, "category": "writing", "turns": [f"One {n}?", "Two?"]} for n in range(80)])
    questions = read_questions(parse_benchmark(f"mt_bench={file}"))
    assert questions.items[3].turns == ("One 3?", "Two?")
    (note,) = questions.notes
    assert "not checked, for none is known" in note


def test_repeats_are_counted_and_the_first_five_named(write):
    (note,) = read_questions(Asked("my", write([{"q": "same"} for _ in range(8)] + [{"q": "other"}]), "q")).notes
    five = ", ".join(f"{n} repeats 1" for n in range(2, 7))
    assert note == f"my: 7 question(s) asked twice: {five}, and 2 more (counted from 1)"


def test_lines_and_an_array_packed_or_not_are_the_same(write, tmp_path):
    records = [{"instruction": "Why?", "dataset": "a", "output": "x"}, {"instruction": "Grüße\u2028 aus", "dataset": "b"}]
    lines = read_questions(Asked("alpaca_eval", write(records), None))
    (tmp_path / "a.json").write_text(json.dumps(records, indent=1))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(records).encode()))
    for name in ("a.json", "a.jsonl.gz"):
        other = read_questions(Asked("alpaca_eval", tmp_path / name, None))
        assert (other.items, other.fingerprint) == (lines.items, lines.fingerprint)
    assert [(item.id, item.category) for item in lines.items] == [(1, "a"), (2, "b")]


def test_the_fingerprint_follows_ids_turns_and_inputs_which_are_kept_apart(write):
    base = {"question_id": 1, "instruction": "Sum up.", "input": "Text."}
    changed = [
        base,
        {**base, "question_id": "1"},
        {**base, "instruction": "Sum."},
        {**base, "input": "Tex."},
        {**base, "input": None},
    ]
    found = [read_questions(Asked("my", write([record]), "instruction")) for record in changed]
    assert len({questions.fingerprint for questions in found}) == 5
    assert [questions.items[0].input for questions in found] == ["Text.", "Text.", "Text.", "Tex.", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"q": "a"}\n{"text": "b"}\n', "line 2 (row 1) has no field q; it has text. Name one: NAME=FILE:FIELD"),
        ('{"q": ""}\n', "line 1 (row 0): 'q' is \"\", not a question"),
        ('{"q": ["a", 3]}\n', "line 1 (row 0): 'q' is"),
        ('{"q": null}\n', "line 1 (row 0): 'q' is null, not a question"),
        ('{"q": "a", "id": 1}\n{"q": "b", "id": 1}\n', "records 1 and 2 have the same id 1"),
        ('{"q": "\\ud800"}\n', "line 1 (row 0) holds broken text (half a surrogate pair"),
        ('{"q": "a"\n', "line 1 (row 0): not JSON: "),
        ("[1, 2]", "line 1 (row 0) is no object"),
        ("\n\n", "holds no questions"),
        (None, "no such file. Correct --benchmark NAME=FILE"),
    ],
)
def test_files_that_cannot_be_used_say_where_and_why(tmp_path, text, message):
    file = tmp_path / "q.jsonl"
    if text is not None:
        file.write_text(text)
    with pytest.raises(EvaluationError, match=re.escape(message)):
        read_questions(Asked("my", file, "q"))


def test_a_known_benchmark_without_a_file_is_asked_of_the_hub_or_said_where(tmp_path, monkeypatch, write):
    for name, folder, said in (
        ("koala", None, r"they are not on the Hub. Download https://.*koala_test_set.jsonl and give --benchmark koala=FILE"),
        ("alpaca_eval", tmp_path, r"holds none of alpaca_eval.jsonl, .*the Hub's tatsu-lab/alpaca_eval gave .*download https://"),
    ):
        with pytest.raises(EvaluationError, match=said):
            read_questions(parse_benchmark(name), folder)
    file, calls = write([{"turns": ["A?", "B?"]}]), []
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *words, **more: calls.append((words, more)) or str(file))
    assert read_questions(parse_benchmark("mt_bench")).items[0].turns == ("A?", "B?")
    assert calls == [(("lmsys/mt-bench", "data/mt_bench/question.jsonl"), {"repo_type": "space"})]
