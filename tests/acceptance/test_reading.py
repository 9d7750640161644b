"""Reading: whatever a file, a table or a folder holds is a row, a bad row with its reason, or named; never less, never something else."""

import datetime
import gzip
import json
import re
import uuid

import api_server
import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from outside import QUICK, must, pool_rows, read_jsonl, refused, run_cli, write_jsonl

from diverseevol import Pool

LINE_ENDS = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"
"""What Python's splitlines takes for the end of a line, and JSON does not."""


def shown(pool, model, *words, n=40):
    """The end of showing what is trained on of the first rows, without the marks around it."""
    options = ("--pool", pool, "--model", model, "--out", model.parent / "not-made", "--show-samples", n)
    ended = run_cli("run", *options, "prompt.template=chat", "prompt.max_length=1024", *words)
    return ended._replace(out=re.sub("[⟦⟧]", "", ended.out))


def records(pool):
    return [pool.record(row) for row in range(len(pool))]


def calls(n):
    """Dialogues with tools, calls and a column of their own whose keys differ from row to row."""
    rows = []
    for index in range(n):
        name, arguments = [("weather", {"city": f"town {index}"}), ("convert", {"amount": index, "to": ["EUR", None]})][index % 2]
        schema = {key: {"type": "string", "enum": [None, key]} for key in arguments}
        messages = [
            {"role": "user", "content": f"Question {index}?"},
            {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}]},
            {"role": "tool", "content": f"{index}"},
            {"role": "assistant", "content": f"Answer {index}."},
        ]
        tool = {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": schema}}}
        rows.append({"messages": messages, "tools": [tool], "seen": {name: {"at": index}}})
    return rows


def test_only_a_newline_ends_a_line_of_jsonl(model, tmp_path):
    rows = [{**row, "output": f"one{LINE_ENDS}two"} for row in pool_rows(3)]
    pool = write_jsonl(tmp_path / "pool.jsonl", [*rows, {LINE_ENDS: 1}])
    pool.write_bytes(b"\xef\xbb\xbf" + pool.read_bytes().replace(b"\n", b"\r\n"))
    said = must(shown(pool, model, "pool.max_bad=0.5"))
    assert said.out.count("id ") == 3
    assert "1 left out: unknown format" in said.out


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


SONGS = [("question", "answer"), ("Plain?", "Yes."), ('"Stairway is whose song?', "Led Zeppelin."), ("Of 7?", f"a{LINE_ENDS}b")]
SONGS += [("Next?", "One."), ('"Emma" is a book by whom?', "Jane Austen."), ("A 12", 'An LP is 12"'), ("Last?", "Two.")]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("closed", ['"Emma" is a book by whom?', 'Of 12"', "nothing closes it"])
def test_each_line_of_a_tsv_is_a_row_whatever_its_quotes_would_swallow(tmp_path, ending, closed):
    rows = [(closed, answer) if question.startswith('"Emma') else (question, answer) for question, answer in SONGS]
    text = "".join("\t".join(row) + ending for row in rows)
    (tmp_path / "pool.tsv.gz").write_bytes(gzip.compress(text.encode()))
    wanted = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert records(Pool.read(tmp_path / "pool.tsv.gz")) == wanted


def test_quoted_cells_of_several_lines_are_one_cell(tmp_path):
    for name, between in (("pool.csv", ","), ("pool.tsv", "\t")):
        cells = [["question", "answer"], ['"one\n\nof ""three"" lines, all told"', "a"], ["b", '"Well, yes\nSure, why not?"']]
        (tmp_path / name).write_text("\ufeff" + "".join(between.join(row) + "\n" for row in cells))
        assert records(Pool.read(tmp_path / name)) == [
            {"question": 'one\n\nof "three" lines, all told', "answer": "a"},
            {"question": "b", "answer": "Well, yes\nSure, why not?"},
        ]


def test_lines_that_a_csv_swallows_are_counted_and_placed(model, tmp_path):
    lines = ["question,answer", *(f"What is {n}?,The number {n}." for n in range(40))]

    def tried(opens, closes):
        broken = [*lines[:5], opens, *lines[6:30], closes, *lines[31:]]
        (tmp_path / "pool.csv").write_text("".join(f"{line}\n" for line in broken))
        return shown(tmp_path / "pool.csv", model)

    broken = tried('"Stairway is whose?,Theirs.', '"Emma" is whose?,Hers.')
    assert broken.code == 1
    assert "26 of 40 rows are bad" in broken.err and "line 6 and close in line 31" in broken.err
    refused(tried('"Stairway is whose?,Theirs.', "Plain?,Yes."), "line 6", "lines 7 to 41")
    whole = must(tried('"Stairway is whose?,Theirs.', 'How long is 12"?,A foot.'.replace("?,", ",")))
    assert "lines 6 to 31" in whole.err
    assert must(shown(tmp_path / "pool.csv", model, "pool.max_bad=0.9")).out.count("id ") == 15


def test_no_type_of_a_column_that_nobody_reads_makes_a_row_bad(tmp_path):
    moment = datetime.datetime(2024, 2, 29, 12)
    columns = {
        "instruction": pa.array(["a", "b"], pa.large_string()),
        "output": pa.array(["c", "d"]).dictionary_encode(),
        "uuid": pa.array([uuid.UUID(int=n).bytes for n in range(2)], pa.uuid()),
        "bytes": [b"\xff\x00", b"text"],
        "wait": pa.array([1, 1001], pa.duration("ns")),
        "at": pa.array([moment, moment], pa.timestamp("ns", "Europe/Oslo")),
        "nowhere": pa.array([1, 2], pa.timestamp("us", "Mars/Olympus")),
        "far": pa.array([10**15, 1], pa.timestamp("ms")),
        "pairs": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int64())),
        "deep": [[{"price": None, "blob": b"\xff"}], []],
        "latin": pa.Array.from_buffers(pa.string(), 2, pa.array([b"caf\xe9", b"cafe"]).buffers()),
    }
    pq.write_table(pa.table(columns), tmp_path / "pool.parquet")
    found = records(Pool.read(tmp_path / "pool.parquet"))
    assert [(record["instruction"], record["output"]) for record in found] == [("a", "c"), ("b", "d")]
    assert found[0]["uuid"] == "00000000-0000-0000-0000-000000000000"
    assert found[0]["bytes"] == {"base64": "/wA="} and found[1]["bytes"] == "text"
    assert found[0]["pairs"] == {"k": 1}
    assert all(record[name] is not None for record in found for name in columns)


def test_bytes_that_are_no_text_are_never_trained_on(model, tmp_path):
    table = pa.table({"instruction": [b"caf\xe9", *([b"plain"] * 3)], "output": ["a", "b", "c", "d"]})
    pq.write_table(table, tmp_path / "pool.parquet")
    said = must(shown(tmp_path / "pool.parquet", model, "pool.max_bad=0.5"))
    assert said.out.count("id ") == 3 and "1 left out: " in said.out


def test_nulls_that_a_table_brings_in_and_columns_of_json_text_are_read_as_the_jsonl_was(tmp_path):
    rows = calls(6)
    jsonl = Pool.read(write_jsonl(tmp_path / "rows.jsonl", rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    merged, typed = (datasets.Dataset.from_list(rows, on_mixed_types=mixed) for mixed in (None, "use_json"))
    merged.save_to_disk(tmp_path / "merged")
    typed.save_to_disk(tmp_path / "typed")
    pq.write_table(typed.with_format("arrow")[:], tmp_path / "typed.parquet")
    assert "Json" in str(typed.features)
    for name in ("rows.parquet", "merged", "typed", "typed.parquet"):
        pool = Pool.read(tmp_path / name)
        assert records(pool) == rows, name
        assert pool.ids.tolist() == jsonl.ids.tolist()


def test_a_null_that_somebody_wrote_stays_in_jsonl(tmp_path):
    row = {"instruction": "a", "output": "b", "seen": {"by": None, "at": [{"on": None}]}}
    assert records(Pool.read(write_jsonl(tmp_path / "rows.jsonl", [row]))) == [row]


def test_an_exported_parquet_file_holds_the_records_and_no_null_of_its_own(model, tmp_path):
    rows = [{**row, "seen": {row["kind"]: [{"at": 1}, {"by": None}]}} for row in pool_rows(8)]
    # A key may be written with escapes: the record's own "_id" gives way to ours.
    text = "".join(json.dumps({**row, "_id": "mine"}).replace('"_id"', '"\\u005fid"') + "\n" for row in rows)
    (tmp_path / "pool.jsonl").write_text(text)
    out = tmp_path / "run"
    must(run_cli("run", "--pool", tmp_path / "pool.jsonl", "--model", model, "--rounds", 0, "--n-init", 8, "--out", out, *QUICK))
    lines = (out / "rounds/00/subset.jsonl").read_text().splitlines()
    pairs = [dict(json.loads(line, object_pairs_hook=lambda found: [("n", len(found)), *found])) for line in lines]
    assert all(line["n"] == 6 and line["_id"] != "mine" for line in pairs)
    must(run_cli("export", out, "--format", "parquet", "--out", tmp_path / "out.parquet"))
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "out.parquet"), split="train", cache_dir=str(tmp_path / "c")
    )
    assert sorted(map(str, loaded)) == sorted(str({**row, "_id": "mine"}) for row in rows)
    ids = [sorted(Pool.read(file).ids.tolist()) for file in (tmp_path / "pool.jsonl", tmp_path / "out.parquet")]
    assert ids[0] == ids[1]


CARD = """---
license: mit
configs:
- config_name: main
  default: true
  data_files:
  - {split: train, path: main/a-*}
  - {split: test, path: [main/b.jsonl, more/*.jsonl]}
- config_name: other
  data_files: other/**
---
"""


def clone(folder, names):
    """A folder of files of a row each, which says where it stands."""
    for name in names:
        if name == "README.md":
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(CARD)
        elif name.endswith(".parquet"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"instruction": [f"in {name}?"], "output": ["x"]}), folder / name)
        else:
            write_jsonl(folder / name, [{"instruction": f"in {name}?", "output": "x"}])
    return folder


SHARDS = [f"data/{name}-of-00002.parquet" for name in ("train-00000", "train-00001", "test-00000", "test-00001")]
CONFIGS = ["README.md", "main/a-1.jsonl", "main/a-2.jsonl", "main/b.jsonl", "more/c.jsonl", "other/x/y.jsonl"]
SFT = ["data/train_sft-00000-of-00001.parquet", "data/test_sft-00000-of-00001.parquet"]
BESIDE = ["state-capitals.jsonl", "train_notes.json", "testing-equipment.jsonl", "_more.jsonl", "latest.jsonl"]


@pytest.mark.parametrize(
    ("names", "behind", "split", "wanted", "others"),
    [
        (SHARDS, "", None, SHARDS[:2], ["test"]),
        (SHARDS, "", "test", SHARDS[2:], ["train"]),
        (SHARDS, "/data", None, [name.removeprefix("data/") for name in SHARDS[:2]], ["test"]),
        (SFT, "", "train_sft", SFT[:1], ["test_sft"]),
        (["train.jsonl", "Dev.jsonl", "my-test.jsonl"], "", None, ["train.jsonl"], ["Dev.jsonl", "my-test.jsonl"]),
        (["train/a.jsonl", "valid/a.jsonl"], "", "validation", ["valid/a.jsonl"], ["train/a.jsonl"]),
        (CONFIGS, "", None, CONFIGS[1:3], CONFIGS[3:]),
        (CONFIGS, ":main", "test", CONFIGS[3:5], CONFIGS[1:3]),
        (CONFIGS, ":other", None, CONFIGS[5:], CONFIGS[1:5]),
        (["README.md", "train.jsonl", "test.jsonl"], "", None, ["train.jsonl"], ["test.jsonl"]),  # no file is the card's
        (BESIDE, "", None, [BESIDE[0], BESIDE[1], *BESIDE[3:]], BESIDE[2:3]),
        (["a.jsonl", "sub/b.jsonl", "contest.jsonl"], "", None, ["a.jsonl", "sub/b.jsonl", "contest.jsonl"], []),
    ],
)
def test_a_folder_is_read_split_by_split_as_on_the_hub(model, tmp_path, names, behind, split, wanted, others):
    folder = clone(tmp_path / "clone", names)
    said = must(shown(f"{folder}{behind}", model, *([f"pool.split={split}"] if split else [])))
    assert sorted(re.findall(r"in (\S+)\?", said.out)) == sorted(name if behind != "/data" else f"data/{name}" for name in wanted)
    for name in others:
        assert name in said.err


@pytest.mark.parametrize(
    ("names", "behind", "split", "known"),
    [
        (SHARDS, "", "nosuch", ["train", "test"]),
        (SFT, "", "train", ["train_sft", "test_sft"]),
        (CONFIGS, ":other", "test", ["train"]),
        (CONFIGS, ":nosuch", "train", ["main", "other"]),
        (["a.jsonl", "b.jsonl"], "", "nosuch", ["train"]),
        (["a.jsonl"], "/a.jsonl", "nosuch", ["train"]),
        (["a.parquet"], "/a.parquet", "nosuch", ["train"]),
    ],
)
def test_a_split_that_is_not_there_is_an_error_that_lists_them(model, tmp_path, names, behind, split, known):
    folder = clone(tmp_path / "clone", names)
    refused(
        shown(f"{folder}{behind}", model, f"pool.split={split}"), "nosuch" if "nosuch" in f"{behind}{split}" else split, *known
    )


def test_a_json_file_of_one_record_with_mapped_columns_is_that_record(model, tmp_path):
    row = {"chat": [{"role": "user", "content": "Alone?"}, {"role": "assistant", "content": "Yes."}], "n": 1}
    (tmp_path / "pool.json").write_text(json.dumps(row, indent=2))
    assert "Alone?" in must(shown(tmp_path / "pool.json", model, "pool.columns={messages: chat}")).out
