import pytest

from diverseevol.report.chart import Chart, Series, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), ("round 0", "round 0"), (1234567.0, "1,234,567"), (0.123456, "0.1235"), (23456.7, "23,457"), (1.5e-7, "1.5e-07"), (2.5e12, "2,500,000,000,000"), (2.5e9 + 0.5, "2.5e+09"), (-0.25, "-0.25")],
)  # fmt: skip
def test_numbers_for_people(value, text):
    assert shown(value) == text
    assert shown(0.1234, is_share=True) == "12.3%"


def test_table_joins_series_at_their_places():
    chart = Chart(
        "c",
        "Title",
        "samples",
        "loss",
        (Series("a", [10, 2], [1.0, 2.0], low=[0.5, 1.5], high=[1.5, 2.5]), Series("b", [2, 30], [7.0, None])),
    )
    assert chart.headings() == ["samples", "a", "a, low", "a, high", "b"]
    assert chart.rows() == [[2, 2.0, 1.5, 2.5, 7.0], [10, 1.0, 0.5, 1.5, None], [30, None, None, None, None]]
    assert chart.shown_rows()[1] == ["10", "1", "0.5", "1.5", "–"]


def test_categories_keep_their_order_and_shares_are_percent():
    chart = Chart("c", "T", "label", "share", (Series("pool", ["z", "a"], [0.75, 0.25]),), kind="dot", is_share=True)
    assert chart.rows() == [["z", 0.75], ["a", 0.25]]
    assert chart.shown_rows() == [["z", "75.0%"], ["a", "25.0%"]]


def test_values_for_the_script():
    chart = Chart(
        "c", "T", "x", "y", (Series("a", [1], [1 / 3], "main", [0.1], [0.123456789]), Series("b", [1], [None], "random"))
    )
    values = chart.as_values()
    assert values["series"] == [
        {"name": "a", "x": [1], "y": [0.333333], "role": "main", "low": [0.1], "high": [0.123457]},
        {"name": "b", "x": [1], "y": [None], "role": "random"},
    ]
    assert {name: values[name] for name in ("title", "x_title", "y_title", "kind", "is_log", "is_share")} == {
        "title": "T", "x_title": "x", "y_title": "y", "kind": "line", "is_log": False, "is_share": False,
    }  # fmt: skip


def test_a_label_each_does_not_fill_the_page():
    names = [f"label {at}" for at in range(2_000)]
    chart = Chart(
        "c",
        "T",
        "label",
        "share",
        (Series("pool", names, [0.0005] * 2_000), Series("picks", names, [0.0] * 2_000)),
        kind="dot",
        is_share=True,
    )
    assert len(chart.rows()) == 2_000
    assert len(chart.shown_rows()) == 501
    assert chart.shown_rows()[-1] == ["… 1,500 more in the CSV file", "", ""]
    assert [len(each["x"]) for each in chart.as_values()["series"]] == [24, 24]
