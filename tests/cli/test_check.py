"""The report, and what a run with `pool.dedup` and `pool.decontaminate` leaves behind."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from diverseevol import evolve, load_config
from diverseevol.base.progress import LineWatch
from diverseevol.cli.app import app
from diverseevol.data import Pool
from diverseevol.data.export import export_rows
from diverseevol.errors import ConfigError, PoolError, RunFolderError
from diverseevol.run.status import explain_sample

LONG = "Implement a binary search algorithm to find a specific element in a sorted array."


def called(*words):
    ended = CliRunner().invoke(app, [str(word) for word in words])
    if ended.exception and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.stdout


def lines(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def data(tmp_path_factory, pool_file):
    """The demo's rows, with row 3 again as 200, again in capitals as 201, a row too long as 202 and 203, and a question as 204."""
    folder = tmp_path_factory.mktemp("data")
    rows = lines(pool_file)
    pair = {
        "instruction": "Name three rivers of Asia and the seas into which they flow.",
        "input": "",
        "output": "Ob, Lena, Amur: I name no seas.",
    }
    rows[3] = pair
    too_long = {"instruction": "word " * 400, "input": "", "output": "Indeed."}
    rows += [
        pair,
        {**pair, "output": pair["output"].upper()},
        too_long,
        too_long,
        {"instruction": LONG, "input": "", "output": "No."},
    ]
    file = folder / "pool.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "questions.jsonl").write_text(json.dumps({"question_id": 65, "text": LONG}) + "\n")
    return file, folder / "questions.jsonl"


@pytest.fixture
def config(made_model, data, tmp_path):
    def make(*words, **options):
        given = {
            "pool.path": str(data[0]),
            "model": str(made_model),
            "out": str(tmp_path / "run"),
            "rounds": 1,
            "n_init": 8,
            "n_new": 4,
        }
        quick = ("train.num_train_epochs=1", "train.total_batch_size=8", "prompt.max_length=256")
        return load_config(None, (*quick, f"pool.decontaminate=[b={data[1]}]", *words), options={**given, **options})

    return make


@pytest.fixture(scope="module")
def report(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    return called("check", "--pool", data[0], "--benchmark", f"b={data[1]}", "--out", out), out


def test_the_report_finds_and_removes_nothing(report, data):
    text, out = report
    assert "\nexact duplicates: " in text
    assert "\nnear-duplicates (similarity ≥ 0.7): " in text
    assert "\nbenchmark b: 1 of 1 questions found in 1 rows, none removed\n" in text
    counts = json.loads(called("check", "--pool", data[0], "--benchmark", f"b={data[1]}", "--json"))
    duplicates, matches = lines(out / "duplicates.jsonl"), lines(out / "contamination.jsonl")
    kinds = [line["kind"] for line in duplicates]
    assert (counts["n_rows"], counts["n_exact"], counts["n_near"]) == (205, kinds.count("exact"), kinds.count("near"))
    assert counts["benchmarks"] == {"b": {"n_questions": 1, "n_questions_found": 1, "n_rows": 1}}
    assert f"exact duplicates: {counts['n_exact']} found, none removed" in text
    assert not any(line["is_dropped"] for line in [*duplicates, *matches])
    pairs = {(line["kept_source_row"], line["source_row"]): line["kind"] for line in duplicates}
    assert (pairs[3, 200], pairs[3, 201], pairs[202, 203]) == ("exact", "near", "exact")
    assert f"  100% words {matches[0]['id']}: question 65 of b" in text


def test_the_report_needs_a_pool_and_its_keys_are_the_configurations(data):
    with pytest.raises(ConfigError, match=r"no pool: set pool.path \(or --pool\)"):
        called("check")
    counts = json.loads(called("check", "--pool", data[0], "--json", "pool.dedup_similarity=1", "pool.max_rows=50"))
    assert counts["n_rows"] == 50
    assert counts["benchmarks"] == {}


def test_bad_rows_are_counted_with_their_reasons(tmp_path):
    rows = [{"instruction": "Sort.", "output": "Done."}, {"instruction": ""}, {"instruction": ""}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = json.loads(called("check", "--pool", tmp_path / "p.jsonl", "--json"))
    assert (counts["n_rows"], list(counts["bad"].values())) == (1, [2])
    assert "\n  2: " in called("check", "--pool", tmp_path / "p.jsonl")


def test_a_run_without_them_explains_exports_and_resumes(config, tmp_path):
    notes = []
    rounds = list(evolve(config("pool.dedup=near"), LineWatch(notes.append)))
    folder = tmp_path / "run" / "pool"
    dropped = {line["source_row"]: line for line in lines(folder / "duplicates.jsonl")}
    pool = Pool.open(folder)
    assert {200, 201} <= dropped.keys()
    # The row that is too long is left out as such: it is nobody's duplicate.
    assert not {202, 203} & dropped.keys()
    assert {pool.place(row)["source_row"] for row in range(len(pool))} == set(range(205)) - dropped.keys() - {202, 203, 204}
    n_near = sum(line["kind"] == "near" for line in dropped.values())
    (summary,) = [note for note in notes if note.startswith("pool: ")]
    assert summary == (
        f"pool: {len(pool)} rows; 2 (1.0%) left out, whose prompts fill prompt.max_length=256 (raise it if the model reads more); "
        f"1 left out, which hold questions of benchmarks; {len(dropped) - n_near} exact duplicates and {n_near} near ones left out; "
        f"see {folder / 'quarantine.jsonl'}, contamination.jsonl, duplicates.jsonl"
    )
    chosen = [line for index in (0, 1) for line in lines(tmp_path / "run" / f"rounds/0{index}/chosen.jsonl")]
    assert all(
        pool.id(line["row"]) == line["id"] and pool.place(line["row"])["source_row"] == line["source_row"] for line in chosen
    )
    embeddings = np.load(tmp_path / "run" / "rounds/00/signals/embeddings.npy")
    assert len(embeddings) == len(pool)
    export_rows(pool, [line["row"] for line in chosen], "records", tmp_path / "out.jsonl")
    kept = [line["source_row"] for line in chosen]
    rows = lines(tmp_path / "run" / "rounds/01/subset.jsonl")
    assert [row["_id"] for row in rows] == [pool.id(row) for row in range(len(pool)) if pool.place(row)["source_row"] in kept]
    again = list(evolve(config("pool.dedup=near")))
    assert [one.chosen_ids for one in again] == [one.chosen_ids for one in rounds]
    check_explained(tmp_path / "run", dropped)
    check_refused(config)


def check_explained(run, dropped):
    records = Pool.open(run / "pool").records
    found = explain_sample(run, dropped[200]["id"])
    assert found["why"] == f"left out by pool.dedup: an exact duplicate of {records.id(3)}"
    assert (found["row"], found["source_row"], found["record"]) == (None, 200, records.record(200))
    assert "a near-duplicate (similarity 1.000) of" in explain_sample(run, records.id(201))["why"]
    assert explain_sample(run, records.id(203))["why"] == "left out before the run: no token left to train on at max_length"
    text = called("status", run, records.id(204))
    assert f"{records.id(204)} (not in the pool; {records.table['source'][204]}, record 204)" in text
    assert "left out by pool.decontaminate: the user's turn holds 100% of question 65 of b: 'implement a binary" in text
    assert explain_sample(run, "4")["row"] == 4
    with pytest.raises(PoolError, match="no sample 'ffffffffffffffff' in"):
        explain_sample(run, "f" * 16)


def check_refused(config):
    with pytest.raises(RunFolderError, match=r"another pool.dedup \('near' then, 'exact' now\)"):
        list(evolve(config("pool.dedup=exact")))
    with pytest.raises(RunFolderError, match="another pool.dedup_similarity"):
        list(evolve(config("pool.dedup=near", "pool.dedup_similarity=0.8")))
    with pytest.raises(RunFolderError, match="another pool.decontaminate"):
        list(evolve(config("pool.dedup=near", "pool.decontaminate=[]")))


def test_another_benchmark_file_under_the_same_name_is_refused(config, data, tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text(data[1].read_text())
    words = (f"pool.decontaminate=b={file}", "rounds=0")
    list(evolve(config(*words)))
    file.write_text(json.dumps({"text": "Another question altogether"}) + "\n")
    with pytest.raises(RunFolderError, match="the benchmark b is not the one that"):
        list(evolve(config(*words)))


def test_a_missing_benchmark_is_found_before_anything_is_read(config, tmp_path):
    with pytest.raises(PoolError, match=r"no benchmark file 'none.jsonl'"):
        list(evolve(config("pool.decontaminate=[b=none.jsonl]")))
    assert not (tmp_path / "run" / "pool").exists()
