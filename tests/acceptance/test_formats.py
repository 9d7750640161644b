"""Every format in: the same data has the same ids in any of them, and each layout's meaning is read."""

import csv
import gzip
import json

import pytest
from outside import must, pool_rows, read_jsonl, refused, run_cli, trained_parts, write_jsonl

ROWS = [{name: row[name] for name in ("instruction", "input", "output")} for row in pool_rows(12)]
ROWS[3]["output"] = 'A "quoted", comma-rich\nanswer of two lines – naïve 東京 🙂.'


@pytest.fixture(scope="module")
def ids_of(model, tmp_path_factory):
    def embed(pool, *words):
        out = tmp_path_factory.mktemp("embed") / "out"
        must(run_cli("embed", "--pool", pool, "--model", model, "--out", out, "prompt.max_length=1024", *words))
        return (out / "ids.txt").read_text().split()

    return embed


@pytest.fixture(scope="module")
def jsonl_ids(ids_of, tmp_path_factory):
    return ids_of(write_jsonl(tmp_path_factory.mktemp("rows") / "rows.jsonl", ROWS))


def write_table(file, delimiter):
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.DictWriter(out, list(ROWS[0]), delimiter=delimiter)
        table.writeheader()
        table.writerows(ROWS)


def write_parquet(file):
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(ROWS), file)


def write_zst(file):
    import pyarrow as pa

    with pa.CompressedOutputStream(str(file), "zstd") as out:
        out.write("".join(json.dumps(row) + "\n" for row in ROWS).encode())


def write_datasets(folder):
    from datasets import Dataset

    Dataset.from_list(ROWS).save_to_disk(str(folder))


def write_folder(folder):
    write_jsonl(folder / "a.jsonl", ROWS[:5])
    (folder / "b.json").write_text(json.dumps(ROWS[5:]))


WRITERS = {
    "rows.json": lambda file: file.write_text(json.dumps(ROWS, indent=2)),
    "crlf.jsonl": lambda file: file.write_bytes("".join(json.dumps(row) + "\r\n" for row in ROWS).encode("utf-8-sig")),
    "rows.jsonl.gz": lambda file: file.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode())),
    "rows.jsonl.zst": write_zst,
    "rows.csv": lambda file: write_table(file, ","),
    "rows.tsv": lambda file: write_table(file, "\t"),
    "rows.parquet": write_parquet,
    "a-datasets-folder": write_datasets,
    "a-folder": write_folder,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_rows_have_the_same_ids_in_every_format(name, ids_of, jsonl_ids, tmp_path):
    (tmp_path / "data").mkdir()
    WRITERS[name](tmp_path / "data" / name)
    assert ids_of(tmp_path / "data" / name) == jsonl_ids


def test_ids_follow_the_content_not_the_place(ids_of, jsonl_ids, tmp_path):
    assert ids_of(write_jsonl(tmp_path / "reversed.jsonl", ROWS[::-1])) == jsonl_ids[::-1]
    twice = ids_of(write_jsonl(tmp_path / "twice.jsonl", [*ROWS[:3], *ROWS[:3]]))
    assert len(set(twice)) == 6 and twice[:3] == jsonl_ids[:3]
    assert jsonl_ids[0] == "168e3ea2eb878e42"  # of this content, on any machine and in any version


ASKED, SAID = "What is the boiling point of water?", "It is 100 degrees Celsius."
TURNS = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]
LAYOUTS = {
    "alpaca": {"instruction": ASKED, "output": SAID},
    "alpaca with a history": {"instruction": ASKED, "output": SAID, "history": [["Hello.", "Good day."]]},
    "alpaca with a system": {"instruction": ASKED, "output": SAID, "system": "You are terse."},
    "dolly": {"instruction": ASKED, "context": "", "response": SAID, "category": "open_qa"},
    "sharegpt": {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}]},
    "messages": {"messages": TURNS},
    "messages in blocks": {"messages": [TURNS[0], {"role": "assistant", "content": [{"type": "text", "text": SAID}]}]},
    "prompt and completion": {"prompt": ASKED, "completion": SAID},
    "prompt and completion as messages": {"prompt": TURNS[:1], "completion": TURNS[1:]},
}

IDS = {
    "alpaca": "fa4e272cafc85277",
    "alpaca with a history": "4b37950814858a61",
    "alpaca with a system": "2625edee4e4581e0",
    "dolly": "0dfeddbfcb6e9e9e",
    "sharegpt": "e603b9f5d2e65fe5",
    "messages": "f7f43c22731f196d",
    "messages in blocks": "85171f14eeae0762",
    "prompt and completion": "8a3a90c3e5ac6449",
    "prompt and completion as messages": "7993e878d4465113",
}
"""Of these contents, on any machine and in any version."""


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_trains_on_the_answer_alone(name, model, tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", [LAYOUTS[name]])
    words = ("--pool", pool, "--model", model, "--out", tmp_path / "run", "prompt.template=chat", "--show-samples", 1)
    shown = must(run_cli("run", *words)).out
    assert [part.strip() for part in trained_parts(shown)][-1] == f"{SAID}<|im_end|>"
    assert f"id {IDS[name]}" in shown
    assert ASKED in shown and ASKED not in "".join(trained_parts(shown))
    assert not (tmp_path / "run").exists()


def test_columns_of_other_names_are_mapped(ids_of, jsonl_ids, tmp_path):
    renamed = [{"question": row["instruction"], "more": row["input"], "reply": row["output"]} for row in ROWS]
    pool = write_jsonl(tmp_path / "pool.jsonl", renamed)
    words = ("pool.format=alpaca", "pool.columns={prompt: question, query: more, response: reply}")
    assert len(set(ids_of(pool, *words))) == len(ROWS)


def test_bad_rows_are_put_aside_with_their_row_and_reason(model, tmp_path):
    pool = tmp_path / "pool.jsonl"
    lines = [json.dumps(row) for row in pool_rows(60)]
    lines[7], lines[20] = '{"instruction": "half a', json.dumps({"instruction": "No answer.", "output": ""})
    pool.write_text("\n".join(lines) + "\n")
    words = ("--pool", pool, "--model", model, "--out", tmp_path / "run", "--rounds", 0, "--n-init", 2)
    must(run_cli("run", *words, "prompt.max_length=512", "train.num_train_epochs=1"))
    aside = {row["row"]: row for row in read_jsonl(tmp_path / "run/pool/quarantine.jsonl")}
    assert set(aside) == {7, 20}
    assert "JSON" in aside[7]["reason"] and "no response" in aside[20]["reason"] and "half a" in aside[7]["text"]
    words = ("--pool", pool, "--model", model, "--out", tmp_path / "b", "--rounds", 0, "--n-init", 2)
    refused(run_cli("run", *words, "pool.max_bad=0.01"), "2 of 60", "max_bad", "row 20", n_lines=4)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('{"question": "a", "reply": "b"}\n', ("question", "reply")),
        ("", ("empty",)),
        ("just some words\n", ("JSON",)),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ("pool.jsonl",)),
    ],
    ids=["unknown columns", "empty", "text", "binary"],
)
def test_what_is_no_pool_is_said_to_be_none(content, parts, model, tmp_path):
    pool = tmp_path / "pool.jsonl"
    pool.write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(run_cli("run", "--pool", pool, "--model", model, "--out", tmp_path / "run"), *parts, n_lines=5)
