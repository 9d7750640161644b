"""Every kind of file gives the same rows; every way a file can be broken is said clearly."""

import csv
import gzip
import io
import json
import os

import pyarrow as pa
import pytest

from diverseevol.config import PoolConfig, SourceConfig
from diverseevol.data import fingerprint
from diverseevol.data.json_files import json_rows
from diverseevol.data.sources import read_source
from diverseevol.errors import PoolError


def zstd(data):
    return pa.compress(data, "zstd", asbytes=True)


RECORDS = [
    {"instruction": 'Say "hi",\nthen bye', "input": "", "output": "hi, bye"},
    {"instruction": "Grüße; 你好 \u2028 x", "input": "a\tb", "output": "☃ 𝄞"},
    {"instruction": "third", "input": "", "output": "x" * 5000},
]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS).encode()


def rows(path, **options):
    return list(read_source(SourceConfig(path=str(path), **options)))


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def as_csv(delimiter=","):
    out = io.StringIO()
    writer = csv.DictWriter(out, ["instruction", "input", "output"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(RECORDS)
    return out.getvalue()


TEXTS = {
    "a.jsonl": LINES,
    "bom.jsonl": b"\xef\xbb\xbf" + LINES,
    "crlf.jsonl": LINES.replace(b"\n", b"\r\n"),
    "blank.jsonl": b"\n  \n" + LINES.replace(b"\n", b"\n\n"),
    "no_end.jsonl": LINES.rstrip(),
    "lines.json": LINES,
    "array.json": json.dumps(RECORDS),
    "array.jsonl": json.dumps(RECORDS),
    "bom.json": "\ufeff" + json.dumps(RECORDS, indent=1),
    "pretty.json": json.dumps(RECORDS, indent=4, ensure_ascii=False),
    "wrapped.json": json.dumps({"version": 3, "data": RECORDS}),
    "wrapped_pretty.json": json.dumps({"data": RECORDS, "n": 3}, indent=2),
    "splits.json": json.dumps({"test": [{"a": 1}], "train": RECORDS}),
    "noname": json.dumps(RECORDS),
    "a.csv": as_csv(),
    "semicolon.csv": as_csv(";"),
    "a.tsv": as_csv("\t"),
    "bom.csv": "\ufeff" + as_csv(),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
def test_every_kind_of_text_gives_the_same_records(tmp_path, name, packing):
    data = TEXTS[name] if isinstance(TEXTS[name], bytes) else TEXTS[name].encode()
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstd}[packing]
    path = write(tmp_path / (name + packing), pack(data))
    found = rows(path)
    assert [row.record for row in found] == RECORDS
    assert [row.number for row in found] == [0, 1, 2]
    assert {row.source for row in found} == {str(path)}
    assert [json.loads(row.text) for row in found] == RECORDS


def test_lines_keep_their_exact_characters_and_line_numbers(tmp_path):
    text = '\n{"b":1e2,  "a":"\\u00fc"}\n\n{"a": 1.0}\n'
    found = rows(write(tmp_path / "a.jsonl", text))
    assert [(row.text, row.line) for row in found] == [('{"b":1e2,  "a":"\\u00fc"}', 2), ('{"a": 1.0}', 4)]


def test_a_csv_counts_lines_through_cells_of_several_lines(tmp_path):
    found = rows(write(tmp_path / "a.csv", 'q,a\n"one\ntwo",1\n\nthree,2,3\nfour,4\n'))
    assert [(row.line, row.number, row.problem) for row in found] == [
        (2, 0, ""),
        (5, 1, "3 cells under a header of 2"),
        (6, 2, ""),
    ]


def test_a_folder_that_datasets_saved(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(RECORDS)
    data.select([2, 0]).save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "two")
    assert [row.record for row in rows(tmp_path / "one")] == [RECORDS[2], RECORDS[0]]
    assert len(rows(tmp_path / "two")) == 3
    assert len(rows(tmp_path / "two", split="test")) == 1
    with pytest.raises(PoolError, match=r"no split 'valid'. Set split to one of: train, test"):
        rows(tmp_path / "two", split="valid")
    (file,) = (tmp_path / "one").glob("*.arrow")
    for damage in (lambda: file.write_bytes(b"nothing"), file.unlink):
        damage()
        with pytest.raises(PoolError, match=r"one is not a whole folder of `datasets`: .* Copy or save it again."):
            rows(tmp_path / "one")


def test_a_folder_is_read_by_name_without_what_lies_beside(tmp_path):
    for name in ("b.jsonl", "a.json", "sub/c.jsonl.gz", ".hidden.jsonl", "README.md", "dataset_info.json", "notes.txt"):
        record = json.dumps({"instruction": name, "output": "x"}).encode()
        write(tmp_path / name, gzip.compress(record) if name.endswith(".gz") else record)
    notes = []

    class Watch:
        def note(self, text):
            notes.append(text)

    found = list(read_source(SourceConfig(path=str(tmp_path)), Watch()))
    assert [row.record["instruction"] for row in found] == ["a.json", "b.jsonl", "sub/c.jsonl.gz"]
    assert [row.source for row in found] == [f"{tmp_path}/{name}" for name in ("a.json", "b.jsonl", "sub/c.jsonl.gz")]
    assert len(notes) == 1
    assert "notes.txt" in notes[0]


def test_bad_lines_cost_only_themselves(tmp_path):
    good = b'{"instruction": "q", "output": "a"}\n'
    bad = {
        b'{"instruction": "q", "output": \n': "not JSON",
        b'{"a": "\xff\xfe"}\n': "broken UTF-8",
        b'{"a": 1, "a": 2}\n': "the key 'a' is given twice",
        b'{"x": {"b": 1, "b": 1}}\n': "the key 'b' is given twice",
        b'{"a": NaN}\n': "NaN is not JSON",
        b'{"a": -Infinity}\n': "-Infinity is not JSON",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n": "nested too deeply",
        b'{"a": ' + b"9" * 5000 + b"}\n": "a number of 5000 digits",
        b"plain words\n": "not JSON",
    }
    found = rows(write(tmp_path / "a.jsonl", good + b"".join(line + good for line in bad)))
    assert [row.problem == "" for row in found] == [True] + [False, True] * len(bad)
    for row, reason in zip(found[1::2], bad.values(), strict=True):
        assert reason in row.problem


def test_a_first_line_that_is_broken_does_not_change_what_the_file_is(tmp_path):
    for broken in ("plain words", '{"a": 1,', '{"a": "b', "{"):
        found = rows(write(tmp_path / "a.jsonl", broken + '\n{"a": 1}\n{"a": 2}\n'))
        assert [bool(row.problem) for row in found] == [True, False, False], broken
    (row,) = rows(write(tmp_path / "a.jsonl", '{"a": 1'))
    assert row.problem == "not JSON: Expecting ',' delimiter at column 8"
    for broken in ('{"a" 1}\nplain words', '{"a": ' + "[" * 100_000 + "\n{"):
        found = rows(write(tmp_path / "a.jsonl", broken + '\n{"a": 1}\n'))
        assert [bool(row.problem) for row in found] == [True, True, False]


def test_text_behind_an_array_is_an_error(tmp_path):
    for behind in ('\n{"a": 2}', "]", " " * 5000 + ",", "\n" * 5000 + "[]"):
        with pytest.raises(PoolError, match=r"a.json has more text behind the end of its array of 1 records. Remove it there."):
            rows(write(tmp_path / "a.json", '[{"a": 1}]' + behind))
    assert len(rows(write(tmp_path / "a.json", '[{"a": 1}]' + " \n" * 5000))) == 1


def test_records_of_several_lines_one_after_the_other_are_refused_with_advice(tmp_path):
    path = write(tmp_path / "a.json", "\n".join(json.dumps(record, indent=2) for record in RECORDS))
    with pytest.raises(
        PoolError,
        match=r"a.json is neither a record a line nor one JSON value: Extra data: line 6 column 1.*"
        r"Write each record on a line of its own \(jq -c . does\), or all of them in an array.",
    ):
        rows(path)


@pytest.mark.parametrize("packing", [".gz", ".zst"])
@pytest.mark.parametrize("kind", [".jsonl", ".json", ".csv"])
def test_a_cut_off_file_is_an_error(tmp_path, packing, kind):
    noise = [{"instruction": os.urandom(30).hex(), "output": "x"} for _ in range(3_000)]
    text = {
        ".jsonl": "\n".join(map(json.dumps, noise)),
        ".json": json.dumps(noise),
        ".csv": "instruction,output\n" + "".join(f"{record['instruction']},x\n" for record in noise),
    }[kind]
    data = (gzip.compress if packing == ".gz" else zstd)(text.encode())
    path = write(tmp_path / f"a{kind}{packing}", data[: len(data) * 2 // 3])
    with pytest.raises(PoolError, match=r"is cut off"):
        rows(path)


def test_damage_is_an_error(tmp_path):
    cases = {
        "a.jsonl.gz": (b"not packed at all", "cannot be unpacked"),
        "a.jsonl.zst": (b"not packed at all", "cannot be unpacked"),
        "a.parquet": (b"PAR1 and then nothing", "not a whole Parquet file"),
        "a.jsonl": ("{}".encode("utf-16"), "is UTF-16 text"),
        "without_a_mark.jsonl": ('{"a": 1}'.encode("utf-16-le"), "is UTF-16 text"),
        "big_endian.json": ('[{"a": 1}]'.encode("utf-16-be"), "is UTF-16 text"),
        "without_a_mark.csv": ("a,b".encode("utf-16-le"), "is UTF-16 text"),
        "packed.jsonl.gz": (gzip.compress("{}".encode("utf-16")), "is UTF-16 text"),
        "a.csv": (b'q,a\n1,2\n"open,3\n', "nothing closes what the row at line 3 opens"),
        "twice.csv": (b"q,q\n1,2\n", "names 'q' twice"),
        "a.xyz": (b"plain", "is of no kind that is read"),
    }
    for name, (data, message) in cases.items():
        with pytest.raises(PoolError, match=message):
            rows(write(tmp_path / name, data))


def test_empty_files_have_no_rows(tmp_path):
    for name in ("a.jsonl", "a.json", "a.csv", "b.json"):
        assert rows(write(tmp_path / name, b" \n" if name == "b.json" else b"")) == []
    assert rows(write(tmp_path / "c.json", b"[ ]")) == []


def test_what_is_not_there_names_what_is(tmp_path):
    write(tmp_path / "alpaca_data.json", b"[]")
    with pytest.raises(PoolError, match=r"no pool at '.*alpaca_dat.json'.*It has alpaca_data.json"):
        rows(tmp_path / "alpaca_dat.json")
    with pytest.raises(PoolError, match=r"there is not even a folder"):
        rows(tmp_path / "nowhere" / "x.json")


def test_a_hub_id_that_cannot_be_reached_says_both(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def load_dataset(*_, **__):
        raise ConnectionError("offline")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(PoolError, match=r"no file or folder of that name here, and the Hub gave ConnectionError: offline"):
        rows("nobody/nothing")


def test_a_hub_data_set_is_streamed(monkeypatch):
    datasets = pytest.importorskip("datasets")
    asked = []

    def load_dataset(*args, **options):
        asked.append((args, options))
        return datasets.Dataset.from_list(RECORDS).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert [row.record for row in rows("owner/name:part", split="test")] == RECORDS
    assert asked == [(("owner/name", "part"), {"split": "test", "streaming": True})]


def test_the_fingerprint_follows_the_content_and_the_mapping(tmp_path):
    path = write(tmp_path / "a.jsonl", LINES)
    first = fingerprint(PoolConfig(path=str(path)))
    os.utime(path, (1, 1))
    assert fingerprint(PoolConfig(path=str(path))) == first
    assert fingerprint(PoolConfig(path=str(write(tmp_path / "b.jsonl", LINES)))) == first
    assert fingerprint(PoolConfig(path=str(path), columns={"prompt": "x"})) != first
    write(path, LINES.replace(b"third", b"thirt"))
    assert fingerprint(PoolConfig(path=str(path))) != first
    with pytest.raises(PoolError):
        fingerprint(PoolConfig(path=str(tmp_path / "no.jsonl")))


def test_a_single_record_with_a_list_of_objects_is_no_wrapper(tmp_path):
    record = {"messages": [{"role": "user", "content": "q"}], "n": 1}
    for indent in (None, 1):
        (row,) = rows(write(tmp_path / "a.json", json.dumps(record, indent=indent) + "\n"))
        assert (row.record, row.text, row.line) == (record, json.dumps(record, indent=indent), 1)
    (row,) = rows(write(tmp_path / "a.json", json.dumps({"messages": [{}], "n": float("nan")})))
    assert row.problem == "NaN is not JSON"
    (row,) = rows(write(tmp_path / "a.json", b'{\n "messages": "\xff"\n}'))
    assert (row.record, row.problem) == (None, "broken UTF-8")


def test_two_lists_under_one_key_are_not_one(tmp_path):
    (tmp_path / "a.json").write_text('{"data": [{"instruction": "a"}], "data": [{"instruction": "b"}]}')
    with pytest.raises(PoolError, match="a: the key 'data' is given twice. Repair it"):
        list(json_rows(tmp_path / "a.json", "a"))
