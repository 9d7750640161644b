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


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("vicuna", Asked("vicuna", None, None)),
        ("vicuna=a/b.jsonl", Asked("vicuna", Path("a/b.jsonl"), None)),
        ("vicuna=a/b.jsonl:turns", Asked("vicuna", Path("a/b.jsonl"), "turns")),
        ("my=q.jsonl:question", Asked("my", Path("q.jsonl"), "question")),
        ("vicuna=C:/b.jsonl", Asked("vicuna", Path("C:/b.jsonl"), None)),
        ("my=a=b.jsonl:q", Asked("my", Path("a=b.jsonl"), "q")),
    ],
)
def test_what_the_option_says(word, found):
    assert parse_benchmark(word) == found


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("mine", "no benchmark is called 'mine'. Known: vicuna, koala, wizardlm, mt_bench, alpaca_eval"),
        ("my=", "names no file"),
        ("my=:text", "names no file"),
    ],
)
def test_options_that_say_too_little(word, message):
    with pytest.raises(ConfigError, match=message):
        parse_benchmark(word)


def test_a_file_whose_name_holds_a_colon_is_that_file(write):
    file = write([{"text": "Why?"}], "a:b")
    assert parse_benchmark(f"vicuna={file}") == Asked("vicuna", file, None)
    assert parse_benchmark(str(file)) == Asked("a:b", file, None)


@pytest.mark.parametrize(("name", "n", "category"), [("vicuna", 80, "generic"), ("koala", 180, None), ("wizardlm", 218, "Math")])
def test_the_known_files_are_the_known_files(shared_data, name, n, category):
    questions = read_questions(Asked(name, None, None), shared_data / "benchmarks")
    assert len(questions.items) == n == KNOWN[name].n_questions
    assert questions.items[0].category == category
    assert questions.notes == (
        ("wizardlm: 1 question(s) asked twice: 27 repeats 20 (counted from 1)",) if name == "wizardlm" else ()
    )
    assert [item.id for item in questions.items[:2]] == {"vicuna": [1, 2], "koala": ["koala_0", "koala_1"], "wizardlm": [1, 2]}[
        name
    ]
    assert questions.fingerprint != read_questions(Asked(name, None, None), shared_data / "benchmarks").items[0].turns[0]


def test_what_differs_from_the_known_file_is_said_and_the_file_is_used(write, shared_data):
    whole = (shared_data / "benchmarks" / "vicuna_test_set.jsonl").read_text().splitlines()
    file = write([json.loads(line) for line in whole[:-1]])
    questions = read_questions(parse_benchmark(f"vicuna={file}"))
    assert len(questions.items) == 79
    assert questions.notes[0] == f"vicuna: {file} holds 79 questions, the benchmark has 80"
    assert "is not the file that DiverseEvol used (sha256 " in questions.notes[1]
    assert "instead of 590c39157bc5…" in questions.notes[1]
    assert len(questions.notes) == 2


def test_an_unknown_hash_is_said_to_be_unchecked(write):
    file = write([{"question_id": 81 + n, "category": "writing", "turns": [f"One {n}?", "Two?"]} for n in range(80)])
    questions = read_questions(parse_benchmark(f"mt_bench={file}"))
    assert questions.items[3].turns == ("One 3?", "Two?")
    assert len(questions.notes) == 1
    assert "not checked, for none is known" in questions.notes[0]


def test_repeats_are_counted_and_the_first_five_named(write):
    file = write([{"q": "same"} for _ in range(8)] + [{"q": "other"}])
    (note,) = read_questions(Asked("my", file, "q")).notes
    assert note == (
        "my: 7 question(s) asked twice: 2 repeats 1, 3 repeats 1, 4 repeats 1, 5 repeats 1, 6 repeats 1, and 2 more (counted from 1)"
    )


def test_jsonl_and_an_array_packed_or_not_are_the_same(write, tmp_path):
    records = [{"instruction": "Why?", "dataset": "a", "output": "x"}, {"instruction": "Grüße\u2028 aus", "dataset": "b"}]
    lines = read_questions(Asked("alpaca_eval", write(records), None))
    (tmp_path / "a.json").write_text(json.dumps(records, indent=1))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json.dumps(records).encode()))
    for name in ("a.json", "a.jsonl.gz"):
        other = read_questions(Asked("alpaca_eval", tmp_path / name, None))
        assert other.items == lines.items
        assert other.fingerprint == lines.fingerprint
    assert [(item.id, item.category) for item in lines.items] == [(1, "a"), (2, "b")]


def test_the_fingerprint_follows_ids_turns_and_inputs(write):
    base = {"question_id": 1, "instruction": "Sum up.", "input": "Text."}
    changed = [base, {**base, "question_id": "1"}, {**base, "instruction": "Sum."}, {**base, "input": "Tex."}]
    files = [write([record], f"{number}.jsonl") for number, record in enumerate(changed)]
    assert len({read_questions(Asked("my", file, "instruction")).fingerprint for file in files}) == 4


def test_an_input_of_the_alpaca_form_is_kept_apart(write):
    file = write([{"instruction": "Sum up.", "input": "A text."}, {"instruction": "Why?", "input": None}])
    first, second = read_questions(Asked("my", file, "instruction")).items
    assert (first.input, second.input) == ("A text.", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"q": "a"}\n{"text": "b"}\n', "line 2 (row 1) has no field q; it has text. Name one: NAME=FILE:FIELD"),
        ('{"q": ""}\n', "line 1 (row 0): 'q' is \"\", not a question"),
        ('{"q": ["a", 3]}\n', "line 1 (row 0): 'q' is"),
        ('{"q": []}\n', "line 1 (row 0): 'q' is"),
        ('{"q": null}\n', "line 1 (row 0): 'q' is null, not a question"),
        ('{"q": "a", "id": 1}\n{"q": "b", "id": 1}\n', "records 1 and 2 have the same id 1"),
        ('{"q": "\\ud800"}\n', "line 1 (row 0) holds broken text (half a surrogate pair"),
        ('{"q": "a"\n', "line 1 (row 0): not JSON: "),
        ("[1, 2]", "line 1 (row 0) is no object"),
        ("\n\n", "holds no questions"),
    ],
)
def test_files_that_cannot_be_used_say_where_and_why(tmp_path, text, message):
    file = tmp_path / "q.jsonl"
    file.write_text(text)
    with pytest.raises(EvaluationError, match=re.escape(message)):
        read_questions(Asked("my", file, "q"))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(EvaluationError, match="no such file. Correct --benchmark NAME=FILE"):
        read_questions(Asked("my", tmp_path / "none.jsonl", "q"))


def test_a_known_benchmark_without_a_file_says_where_to_get_it(tmp_path):
    with pytest.raises(
        EvaluationError, match=r"they are not on the Hub. Download https://.*koala_test_set.jsonl and give --benchmark koala=FILE"
    ):
        read_questions(parse_benchmark("koala"))
    with pytest.raises(
        EvaluationError, match=r"holds none of alpaca_eval.jsonl, .*the Hub's tatsu-lab/alpaca_eval gave .*download https://"
    ):
        read_questions(parse_benchmark("alpaca_eval"), tmp_path)


def test_the_hub_is_asked_for_the_known_file(monkeypatch, write):
    import huggingface_hub

    file, calls = write([{"turns": ["A?", "B?"]}]), []

    def download(repo_id, filename, *, repo_type):
        calls.append((repo_id, filename, repo_type))
        return str(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert read_questions(parse_benchmark("mt_bench")).items[0].turns == ("A?", "B?")
    assert calls == [("lmsys/mt-bench", "data/mt_bench/question.jsonl", "space")]
