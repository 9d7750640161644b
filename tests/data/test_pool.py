"""From a source to the pool's folder and back: what is kept, what is put aside, and that it can be done again."""

import json
import random
import re

import numpy as np
import pytest

from diverseevol.base.progress import SILENT
from diverseevol.config import PoolConfig, SourceConfig
from diverseevol.data import Pool, Records, build, finish_pool, read_pool
from diverseevol.data import pool as pool_module
from diverseevol.errors import ConfigError, PoolError


def record(number, **more):
    return {"instruction": f"question {number}", "input": "", "output": f"answer {number}", **more}


def write_lines(path, records):
    path.write_text(
        "".join((one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)) + "\n" for one in records), "utf-8"
    )
    return path


def quarantine(folder):
    return [json.loads(line) for line in (folder / "quarantine.jsonl").read_text("utf-8").splitlines()]


def read(tmp_path, config, seed=0):
    return read_pool(config, tmp_path / "pool", seed, SILENT)


CONFIG = PoolConfig(path="x", max_bad=0.0)


def finish(tmp_path, n_tokens, n_trained):
    finish_pool(tmp_path / "pool", PoolConfig(path="x", max_bad=0.5), n_tokens, n_trained)
    return Pool.open(tmp_path / "pool")


def test_rows_read_back_as_they_were_written(tmp_path):
    texts = ['{"output":"ü",  "instruction" : "\\u00fc", "x": 1e5}', json.dumps(record(1)), json.dumps(record(1))]
    pool = Pool.read(write_lines(tmp_path / "a.jsonl", texts))
    assert len(pool) == 3
    assert [pool.record_text(row) for row in range(3)] == texts
    assert [pool.record(row) for row in range(3)] == [json.loads(text) for text in texts]
    assert pool.ids[2] == f"{pool.ids[1]}-1"
    assert [pool.id(row) for row in range(3)] == pool.ids.tolist()
    assert pool.sample(0).turns[0].text == "ü"
    assert pool.format(0) == "alpaca"
    assert pool.place(2) == {"source": str(tmp_path / "a.jsonl"), "source_row": 2}
    assert pool.rows_of([pool.id(2), pool.id(0)]).tolist() == [2, 0]
    with pytest.raises(PoolError, match=r"id ffff and 1 more of 3 not found in the pool of 3 rows"):
        pool.rows_of([pool.id(1), "ffff", "eeee"])
    with pytest.raises(IndexError, match=r"row -1 is not in the pool: it has rows 0 to 2"):
        pool.record(-1)


def test_lines_with_ids_are_one_line_and_change_nothing_else(tmp_path):
    records = [record(0, n=[1, 2]), record(1, _id="mine"), {"instruction": "q", "output": 'say "_id"'}]
    (tmp_path / "a.json").write_text(json.dumps(records, indent=4))
    pool = Pool.read(tmp_path / "a.json")
    for row, one in enumerate(records):
        line = pool.line_with_id(row)
        assert line.count("\n") == 1
        assert line.endswith("}\n")
        assert len(re.findall(r'"_id":', line)) == 1
        assert json.loads(line) == {**one, "_id": pool.id(row)}
    assert pool.line(0) == '{ "instruction": "question 0", "input": "", "output": "answer 0", "n": [ 1, 2 ] }'


def test_max_rows_keeps_the_same_rows_of_a_reordered_file_in_file_order(tmp_path):
    records = [record(number // 2) for number in range(400)]
    shuffled = random.Random(1).sample(records, 400)

    def kept(records, seed):
        file = write_lines(tmp_path / "a.jsonl", records)
        return Pool.read(PoolConfig(path=str(file), max_rows=50), seed)

    pool = kept(records, 0)
    assert len(pool) == 50
    rows = [pool.place(row)["source_row"] for row in range(50)]
    assert rows == sorted(rows)
    assert set(kept(shuffled, 0).ids.tolist()) == set(pool.ids.tolist())
    assert set(kept(records, 1).ids.tolist()) != set(pool.ids.tolist())


def test_sources_by_weight(tmp_path):
    one = write_lines(tmp_path / "a.jsonl", [record(number) for number in range(90)])
    two = write_lines(tmp_path / "b.jsonl", [{"frage": f"q{number}", "antwort": "a"} for number in range(100)])
    sources = (
        SourceConfig(path=str(one), weight=3),
        SourceConfig(path=str(two), weight=1, columns={"prompt": "frage", "response": "antwort"}),
    )
    pool = Pool.read(PoolConfig(sources=sources))
    names = [pool.place(row)["source"] for row in range(len(pool))]
    assert [names.count(str(one)), names.count(str(two))] == [90, 30]
    assert pool.sample(119).turns[1].text == "a"


def test_bad_rows_go_to_the_quarantine_with_place_and_reason(tmp_path):
    file = write_lines(
        tmp_path / "a.jsonl",
        ["", record(0), "oops " + "x" * 500, record(1, output=""), '{"instruction": "\\ud800", "output": "x"}'],
    )
    records = read(tmp_path, PoolConfig(path=str(file), max_bad=0.9))
    assert (len(records), records.n_read, records.n_bad) == (1, 4, 3)
    assert quarantine(tmp_path / "pool") == [
        {"source": str(file), "row": row, "line": row + 2, "reason": reason, "text": text}
        for row, (reason, text) in enumerate(
            [
                ("not JSON: Expecting value at column 1", ("oops " + "x" * 500)[:200]),
                ("no response", json.dumps(record(1, output=""))),
                ("half of a surrogate pair, which is no character", '{"instruction": "\\ud800", "output": "x"}'),
            ],
            1,
        )
    ]


def test_too_many_bad_rows_stop_the_run(tmp_path):
    file = write_lines(tmp_path / "a.jsonl", [record(number, output="" if number % 4 == 0 else "a") for number in range(40)])
    read(tmp_path, PoolConfig(path=str(file), max_bad=0.25))
    expected = (
        r"10 of 40 rows are bad \(25.0%\); pool.max_bad allows 24.0%. The first five:\n"
        r"  .*a.jsonl line 1 \(row 0\): no response\n(  .*\n){3}  .*a.jsonl line 17 \(row 16\): no response\n"
        r"Repair or remove them, or raise pool.max_bad; all of them are in .*quarantine.jsonl."
    )
    with pytest.raises(PoolError, match=expected):
        read(tmp_path, PoolConfig(path=str(file), max_bad=0.24))
    assert len(quarantine(tmp_path / "pool")) == 10
    with pytest.raises(PoolError, match=r"10 of 40 rows [\s\S]*\nRepair or remove them, or raise pool.max_bad\.$"):
        Pool.read(PoolConfig(path=str(file), max_bad=0.24))


def test_a_pool_without_good_rows(tmp_path):
    with pytest.raises(PoolError, match=r"not one of 2 rows is good. They are:\n  .*not JSON"):
        read(tmp_path, PoolConfig(path=str(write_lines(tmp_path / "a.jsonl", ["x", "y"])), max_bad=1.0))
    with pytest.raises(PoolError, match=r"the pool is empty: no row in .*b.jsonl"):
        read(tmp_path, PoolConfig(path=str(write_lines(tmp_path / "b.jsonl", []))))
    assert sorted(path.name for path in (tmp_path / "pool").iterdir()) == ["quarantine.jsonl"]


def test_a_format_that_nobody_knows(tmp_path, monkeypatch):
    file = write_lines(tmp_path / "a.jsonl", [{"foo": 1, "bar": 2}] * 20)
    with pytest.raises(
        PoolError,
        match=r"none of the rows of .* is of a known format. Their keys: foo, bar. Known: alpaca .*pool.columns=",
    ):
        Pool.read(file)
    monkeypatch.setattr(build, "N_TRIED", 7)
    with pytest.raises(PoolError, match=r"none of the first 7 rows"):
        Pool.read(file)
    with pytest.raises(PoolError, match=r"preference data: pool.columns=.prompt: prompt, response: chosen. trains"):
        Pool.read(write_lines(tmp_path / "b.jsonl", [{"prompt": "q", "chosen": "a", "rejected": "b"}]))
    some = write_lines(tmp_path / "c.jsonl", [{"foo": 1}] * 5 + [record(number) for number in range(95)])
    assert len(Pool.read(some)) == 95


def test_a_mapped_column_that_no_row_has(tmp_path, monkeypatch):
    file = write_lines(tmp_path / "a.jsonl", [{"question": "q", "answer": "a"}] * 20)

    def read(**source):
        return Pool.read(PoolConfig(**{"path": str(file), **source}))

    with pytest.raises(
        PoolError, match=r"pool.columns maps response to 'anser', which none of the rows .* Did you mean 'answer'"
    ):
        read(columns={"prompt": "question", "response": "anser"})
    with pytest.raises(PoolError, match=r"pool.columns maps system to 'rules', which none of the rows"):
        read(columns={"prompt": "question", "response": "answer", "system": "rules"})
    with pytest.raises(PoolError, match=r"pool.format alpaca needs a column 'instruction', which none of the rows"):
        read(format="alpaca")
    monkeypatch.setattr(build, "N_TRIED", 7)
    with pytest.raises(PoolError, match=r"which none of the first 7 rows"):
        read(columns={"prompt": "question", "response": "anser"})
    late = write_lines(
        tmp_path / "b.jsonl", [{"question": "q", "answer": "a", **({"rules": "r"} if n == 9 else {})} for n in range(10)]
    )
    assert len(read(path=str(late), columns={"prompt": "question", "response": "answer", "system": "rules"})) == 10
    with pytest.raises(ConfigError, match=r"maps both prompt and response"):
        read(columns={"prompt": "x", "response": "x"})


@pytest.mark.parametrize("at_once", [1, 3, 32])
def test_some_records_in_order(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(pool_module, "READ_AT_ONCE", at_once)
    records = read(tmp_path, PoolConfig(path=str(write_lines(tmp_path / "a.jsonl", [record(number) for number in range(50)]))))
    for is_in in (np.ones(50, dtype=bool), np.zeros(50, dtype=bool), np.random.default_rng(0).random(50) < 0.3):
        assert list(records.some(is_in)) == [(at, records.samples(at, at + 1)[0]) for at in np.flatnonzero(is_in).tolist()]


def test_small_batches_change_nothing(tmp_path, monkeypatch):
    file = write_lines(tmp_path / "a.jsonl", [record(number % 7) for number in range(50)])
    whole = Pool.read(PoolConfig(path=str(file), max_rows=20), pool_dir=tmp_path / "one")
    monkeypatch.setattr(build, "BATCH_ROWS", 3)
    parts = Pool.read(PoolConfig(path=str(file), max_rows=20), pool_dir=tmp_path / "two")
    assert parts.ids.tolist() == whole.ids.tolist()
    assert parts.rows_of(whole.ids).tolist() == list(range(20))
    assert [parts.record_text(row) for row in range(20)] == [whole.record_text(row) for row in range(20)]
    monkeypatch.setattr(build, "BATCH_ROWS", 1000)
    monkeypatch.setattr(build, "BATCH_CHARACTERS", 100)
    assert Pool.read(PoolConfig(path=str(file), max_rows=20)).ids.tolist() == whole.ids.tolist()


def test_records_without_a_trained_token_are_put_aside(tmp_path):
    file = write_lines(tmp_path / "a.jsonl", [record(number) for number in range(19)] + ["bad"])
    records = read(tmp_path, PoolConfig(path=str(file)))
    n_tokens, n_trained = np.arange(100, 119, dtype=np.int32), np.arange(50, 69, dtype=np.int32)
    n_trained[3] = 0
    pool = finish(tmp_path, n_tokens, n_trained)
    assert pool.positions.tolist() == [*range(3), *range(4, 19)]
    assert pool.n_tokens.tolist() == [*range(100, 103), *range(104, 119)]
    assert pool.n_trained.tolist() == [*range(50, 53), *range(54, 69)]
    assert (pool.n_tokens.dtype, pool.n_trained.dtype, pool.positions.dtype) == (np.int32, np.int32, np.int64)
    assert pool.record(3) == record(4)
    assert pool.id(3) == records.table["id"][4].as_py()
    assert pool.place(3)["source_row"] == 4
    expected = {
        "source": str(file),
        "row": 3,
        "line": None,
        "reason": "no token left to train on at max_length",
        "text": json.dumps(record(3)),
    }
    assert quarantine(tmp_path / "pool")[1:] == [expected]
    finish_pool(tmp_path / "pool", CONFIG, n_tokens, n_trained)
    assert len(quarantine(tmp_path / "pool")) == 2
    assert Pool.open(tmp_path / "pool").ids.tolist() == pool.ids.tolist()


def test_too_long_rows_stop_a_run_only_where_they_are_most(tmp_path):
    read(tmp_path, PoolConfig(path=str(write_lines(tmp_path / "a.jsonl", [record(number) for number in range(20)])), max_bad=0.0))
    n_tokens, n_trained = np.full(20, 9, dtype=np.int32), np.array([0] * 10 + [1] * 10, dtype=np.int32)
    assert len(finish(tmp_path, n_tokens, n_trained)) == 10
    n_trained[10] = 0
    (tmp_path / "pool" / "index.arrow").unlink()
    with pytest.raises(
        PoolError, match=r"11 of 20 rows have no token left to train on.*Raise prompt.max_length; the first is .*row 0"
    ):
        finish_pool(tmp_path / "pool", CONFIG, n_tokens, n_trained)
    assert not (tmp_path / "pool" / "index.arrow").exists()
    with pytest.raises(PoolError, match=r"has 20 records, but 3 were tokenised"):
        finish_pool(tmp_path / "pool", CONFIG, n_trained[:3], n_trained[:3])


def test_records_that_the_template_refuses_are_bad_ones(tmp_path):
    read(tmp_path, PoolConfig(path=str(write_lines(tmp_path / "a.jsonl", [record(number) for number in range(20)]))))
    n_tokens = np.array([0, 0] + [9] * 18, dtype=np.int32)
    finish_pool(tmp_path / "pool", PoolConfig(path="x", max_bad=0.1), n_tokens, n_tokens, {0: "refused here"})
    assert [line["reason"] for line in quarantine(tmp_path / "pool")] == ["refused here", "it has no token"]
    with pytest.raises(PoolError, match=r"2 of 20 rows are bad \(10.0%\).*\n.*row 0.*refused here\n.*row 1.*it has no token"):
        finish_pool(tmp_path / "pool", PoolConfig(path="x", max_bad=0.09), n_tokens, n_tokens, {0: "refused here"})


def test_a_second_call_finds_the_records_unless_something_changed(tmp_path, monkeypatch):
    file = write_lines(tmp_path / "a.jsonl", [record(number) for number in range(9)])
    config = PoolConfig(path=str(file), max_rows=5)
    first = read(tmp_path, config).table["id"].to_pylist()
    with monkeypatch.context() as patch:
        patch.setattr(build, "_FirstPass", None)
        assert read(tmp_path, config).table["id"].to_pylist() == first
    finish_pool(tmp_path / "pool", config, np.ones(5, np.int32), np.ones(5, np.int32))
    assert read(tmp_path, config, seed=1).table["id"].to_pylist() != first
    assert not (tmp_path / "pool" / "index.arrow").exists()
    write_lines(file, [record(number) for number in range(3)])
    assert len(read(tmp_path, config)) == 3


def test_a_kill_while_reading_leaves_no_records(tmp_path, monkeypatch):
    file = write_lines(tmp_path / "a.jsonl", [record(number) for number in range(9)])

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(build, "id_texts", killed)
        with pytest.raises(KeyboardInterrupt):
            read(tmp_path, PoolConfig(path=str(file)))
    assert [path.name for path in (tmp_path / "pool").iterdir()] == ["quarantine.jsonl"]
    assert len(read(tmp_path, PoolConfig(path=str(file)))) == 9


def test_a_folder_without_a_pool_or_with_a_damaged_one(tmp_path):
    with pytest.raises(PoolError, match=r"there is no records.arrow"):
        Pool.open(tmp_path)
    (tmp_path / "records.arrow").write_bytes(b"ARROW1 and then nothing")
    with pytest.raises(PoolError, match=r"records.arrow is damaged"):
        Records.open(tmp_path)
