"""Reading: whatever a file, a table or a folder holds is a row, a bad row with its reason, or named; never less, never something else."""

import re

import api_server
import pytest
from outside import must, pool_rows, read_jsonl, run_cli, write_jsonl

LINE_ENDS = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"
"""What Python's splitlines takes for the end of a line, and JSON does not."""


def show(pool, model, n=1, *words):
    """What is trained on of the first rows, without the marks of what the loss counts."""
    options = ("--pool", pool, "--model", model, "--out", pool.parent / "not-made", "--show-samples", n)
    said = must(run_cli("run", *options, "prompt.template=chat", "prompt.max_length=1024", *words))
    return re.sub("[⟦⟧]", "", said.out)


def test_only_a_newline_ends_a_line_of_jsonl(model, tmp_path):
    pool = tmp_path / "pool.jsonl"
    write_jsonl(pool, [{**row, "output": f"one{LINE_ENDS}two"} for row in pool_rows(3)] + [{LINE_ENDS: 1}])
    pool.write_bytes(pool.read_bytes().replace(b"\n", b"\r\n"))
    said = show(pool, model, 3, "pool.max_bad=0.5")
    assert said.count("row ") == 3
    assert "1 left out: unknown format" in said


def test_a_judge_asked_again_reads_its_verdicts_whatever_they_hold(tmp_path):
    pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
    files = [api_server.answer_lines(2, lambda i: 3 + i, tmp_path / name) for name in ("ours.jsonl", "theirs.jsonl")]
    for file in files:
        write_jsonl(file, [{**line, "answer": line["answer"] + LINE_ENDS} for line in read_jsonl(file)])
    with api_server.serving() as judge:
        words = ("--opponent", files[1], "--base-url", judge.url, "--model", "judge", "--out", tmp_path / "v.jsonl", "--yes")
        first = must(run_cli("judge", "--answers", files[0], *words))
        must(run_cli("judge", "--answers", files[0], *words))
    assert len(read_jsonl(tmp_path / "v.jsonl")) == 4
    assert "4 to ask" in first.err
