import json

from diverseevol.report.problems import problems_of


def lines(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_nothing_was_wrong(whole_run, opened):
    quarantine, duplicates, contamination = problems_of(opened(whole_run).main)
    assert quarantine.says == "Every row could be read and used."
    assert duplicates.says == "None found."
    assert contamination.says.startswith("Not looked for: `diverseevol run … pool.decontaminate=[NAME=FILE]`")


def test_bad_rows_by_kind_with_an_example(made, opened, tmp_path):
    good = made.records(30)
    bad = [
        {"instruction": "", "input": "x", "output": "y"},
        {"instruction": "q", "input": "", "output": ""},
        {"foo": 1},
        {"foo": "<b>"},
    ]
    run = made.make_run(tmp_path / "r", [*good, *bad])
    quarantine = problems_of(opened(run.root).main)[0]
    assert quarantine.says == "4 rows were put aside and never chosen."
    assert quarantine.rows[0][:2] == ("2", "unknown format: keys foo") and quarantine.rows[0][2] == "row 32"
    assert quarantine.rows[0][3] == '{"foo": 1}'
    assert len(quarantine.rows) == 3


def test_reasons_that_differ_by_numbers_and_names_are_one_kind(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    lines(
        run.pool_dir / "quarantine.jsonl",
        [{"source": "s", "row": at, "line": 1, "reason": f"turn {at} has the role 'r{at}'", "text": "t"} for at in range(5)],
    )
    (row,) = problems_of(opened(run.root).main)[0].rows
    assert row == ("5", "turn 0 has the role 'r0'", "row 0", "t")


def test_duplicates_and_contamination(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    pairs = [{"id": f"d{at}", "kept_id": "k", "kind": kind, "similarity": 1.0, "is_dropped": is_dropped} for at, (kind, is_dropped) in enumerate([("exact", False), ("near", True), ("near", True)])]  # fmt: skip
    lines(run.pool_dir / "duplicates.jsonl", pairs)
    match = {"id": "c", "benchmark": "vicuna", "question_id": 7, "matched": "how\u202e do I", "is_dropped": True}
    lines(run.pool_dir / "contamination.jsonl", [match, {**match, "question_id": 8}])
    _, duplicates, contamination = problems_of(opened(run.root).main)
    assert duplicates.says == "1 exact found and kept (pool.dedup drops them); 2 near left out."
    assert duplicates.headings == ("id", "same as", "kind", "similarity")
    assert duplicates.rows[1] == ("d1", "k", "near", "1.0")
    assert contamination.says == "1 row was left out: they hold questions of benchmarks."
    assert contamination.rows[0] == ("c", "vicuna, question 7", "how� do I")
    lines(run.pool_dir / "contamination.jsonl", [])
    assert problems_of(opened(run.root).main)[2].says == "No row holds a question of the benchmarks that were given."
