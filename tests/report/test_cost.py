import shutil

import pytest

from diverseevol.base.files import read_json, write_json
from diverseevol.report.chart import flops_shown
from diverseevol.report.cost import cost_chart, costs_of, side_by_side

MEASURED = [600 * n + 12_000 for n in (6, 10, 14)]
PLANNED = [540 * n + 12_000 for n in (6, 10, 14)]


def test_measured_beside_predicted_and_one_full_tuning(whole_run, opened):
    run = opened(whole_run).main
    costs = costs_of(run)
    assert (costs.measured, costs.predicted, costs.full) == (sum(MEASURED), sum(PLANNED), 48_000)
    assert costs.ratio == pytest.approx(sum(MEASURED) / 48_000)
    assert costs.seconds == pytest.approx(3 * 4.1)
    chart = cost_chart(run, costs)
    assert chart.series[0].y == pytest.approx([n / 48_000 for n in PLANNED])
    assert chart.series[1].y == pytest.approx([n / 48_000 for n in MEASURED])
    words = "12 s and 54 kFLOPs, which is 1.12 of one full fine-tuning; 52.2 kFLOPs were predicted (+3%)."
    assert chart.says == f"The finished rounds took {words}"
    assert costs.rows[1][1] == ["0", "tuning", "600", "3.6 kFLOPs", "2.0 s", "0.01 GB"]
    assert costs.rows[1][0] == ["0", "choosing", "–", "–", "0.1 s", "0.00 GB"]


def test_rounds_that_are_still_to_come_are_not_predicted(whole_run, opened, tmp_path):
    shutil.copytree(whole_run, tmp_path / "r")
    (tmp_path / "r/rounds/02/done").unlink()
    costs = costs_of(opened(tmp_path / "r").main)
    assert (costs.measured, costs.predicted) == (sum(MEASURED[:2]), sum(PLANNED[:2]))


def test_without_a_plan_or_with_a_trainer_that_says_nothing(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    metrics = read_json(run.metrics_file(1))
    del metrics["stages"]["train"]["flops"]
    write_json(run.metrics_file(1), metrics)
    costs = costs_of(opened(run.root).main)
    assert (costs.measured, costs.ratio, costs.predicted) == (None, None, sum(PLANNED))
    assert cost_chart(opened(run.root).main, costs).series[1].y[1] is None
    run.plan_file.unlink()
    costs = costs_of(opened(run.root).main)
    assert (costs.predicted, costs.full, costs.ratio) == (None, None, None)
    assert cost_chart(opened(run.root).main, costs) is None


@pytest.mark.parametrize(
    ("flops", "text"),
    [(12.0, "12 FLOPs"), (1.534e12, "1.53 TFLOPs"), (2e18, "2 EFLOPs"), (3e22, "30 ZFLOPs"), (5e6, "5 MFLOPs")],
)
def test_flops_for_people(flops, text):
    assert flops_shown(flops) == text


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
