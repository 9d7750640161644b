import gzip
import json

import pytest

from diverseevol.data.contamination import read_benchmarks
from diverseevol.errors import ConfigError, EvaluationError, PoolError


@pytest.mark.parametrize("field", ["text", "prompt", "Instruction", "instruction", "question"])
def test_known_fields(write, field):
    file = write([{"question_id": 7, field: "Why?"}, {field: "How?"}])
    (benchmark,) = read_benchmarks([f"b={file}"])
    assert benchmark.name == "b"
    assert benchmark.questions == (("b", "7", "Why?"), ("b", "2", "How?"))


def test_a_named_field_and_awkward_file_names(write, tmp_path):
    file = write([{"id": "a", "text": "not this", "ask": "Why?"}], "a=b:c.jsonl")
    assert read_benchmarks([f"x={file}:ask"])[0].questions == (("x", "a", "Why?"),)
    assert read_benchmarks([f"x={file}"])[0].questions[0].text == "not this"
    assert read_benchmarks([str(file)])[0].name == "a=b:c"
    packed = tmp_path / "q.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert read_benchmarks([f"x={packed}:ask"])[0].questions[0].text == "Why?"
    array = tmp_path / "array.json"
    array.write_text(json.dumps([{"text": "One?"}, {"text": "Two?"}]))
    assert [question.text for question in read_benchmarks([f"x={array}"])[0].questions] == ["One?", "Two?"]


def test_known_names_are_found_on_the_hub_or_said_where(monkeypatch, write):
    file = write([{"question_id": 81, "turns": ["A?", "B?"]}])
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(file))
    (benchmark,) = read_benchmarks(["mt_bench"])
    assert benchmark.questions == (("mt_bench", "81", "A?"), ("mt_bench", "81", "B?"))
    with pytest.raises(EvaluationError, match=r"no questions for vicuna: they are not on the Hub. Download https://"):
        read_benchmarks(["vicuna"])


def test_the_fingerprint_follows_content_and_field(write):
    def of(records, field=""):
        return read_benchmarks([f"x={write(records)}{field}"])[0].fingerprint

    first = of([{"text": "Why?", "ask": "a"}])
    assert of([{"text": "Why?", "ask": "a"}]) == first
    assert len({first, of([{"text": "Why?", "ask": "a"}], ":ask"), of([{"text": "How?", "ask": "a"}])}) == 3


@pytest.mark.parametrize(
    ("records", "word", "message"),
    [
        ([{"query": "Why?"}], "x={}", r"row 0\) has no field text or prompt or .*; it has query\. Name one: NAME=FILE:FIELD"),
        ([{"text": "Why?"}], "x={}:ask", r"has no field ask; it has text"),
        ([{"text": " "}], "x={}", r"'text' is \" \", not a question"),
        ([{"turns": []}], "x={}", r"'turns' is \[\], not a question"),
        ([], "x={}", r"holds no questions"),
    ],
)
def test_what_cannot_be_read_is_said(write, records, word, message):
    with pytest.raises(EvaluationError, match=message):
        read_benchmarks([word.format(write(records))])


def test_broken_lines_missing_files_and_names_given_twice(write, tmp_path):
    file = write([{"text": "Why?"}])
    with pytest.raises(PoolError, match=r"names two benchmarks 'x'"):
        read_benchmarks([f"x={file}", f"x={file}"])
    with pytest.raises(PoolError, match=r"no benchmark file 'none.jsonl' \(pool.decontaminate: 'x=none.jsonl'\)"):
        read_benchmarks(["x=none.jsonl"])
    with pytest.raises(ConfigError, match="no benchmark is called 'vikuna'. Known: vicuna"):
        read_benchmarks(["vikuna"])
    (tmp_path / "broken.jsonl").write_text('{"text": "Why?"}\n{"text": \n')
    with pytest.raises(EvaluationError, match=r"broken.jsonl line 2 \(row 1\): not JSON"):
        read_benchmarks([f"x={tmp_path / 'broken.jsonl'}"])
