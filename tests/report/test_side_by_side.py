from diverseevol.files import read_json, write_json
from diverseevol.report.cost import costs_of
from diverseevol.report.side_by_side import side_by_side


def test_a_row_a_run(made, opened, tmp_path):
    one = made.make_run(tmp_path / "a")
    two = made.make_run(tmp_path / "b", strategy="random", losses=None)
    two.plan_file.unlink()
    assert side_by_side(opened(one.root)) == []
    assert side_by_side(opened(one.root, two.root)) == [
        ["a", "14", "2.25", "54 kFLOPs", "1.12", "12 s"],
        ["b", "14", "–", "54 kFLOPs", "–", "12 s"],
    ]


def test_the_final_tuning_is_part_of_the_bill(made, opened, tmp_path):
    run = made.make_run(tmp_path / "a")
    before = costs_of(opened(run.root).main)
    write_json(run.plan_file, {**read_json(run.plan_file), "final_flops": 8_000.0})
    assert costs_of(opened(run.root).main).predicted == before.predicted  # not made yet
    write_json(
        run.final_metrics_file, {"model": "m", "seconds": 5.0, "peak_memory_bytes": 2_000_000_000, "tokens": 70, "flops": 9_000.0}
    )
    after = costs_of(opened(run.root).main)
    assert (after.measured, after.predicted) == (before.measured + 9_000, before.predicted + 8_000)
    assert after.rows[1][-1] == ["final", "tuning", "70", "9 kFLOPs", "5.0 s", "2.00 GB"]
