import csv

import pytest
from PIL import Image

from diverseevol.errors import ConfigError
from diverseevol.report import write_report


def rows_of(file):
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def test_every_chart_as_csv_and_png_beside_the_page(whole_run, tmp_path):
    figures = write_report([whole_run], tmp_path / "a.html")
    assert figures == tmp_path / "a-figures"
    keys = ["heldout-loss", "balanced-loss", "verdicts-0", "covering-radius", "vendi-1", "coverage", "lengths", "cost", "map"]
    assert {file.name for file in figures.iterdir()} == {f"{key}{end}" for key in keys for end in (".csv", ".png")} | {
        "picks.csv"
    }
    assert rows_of(figures / "heldout-loss.csv") == [
        ["samples chosen", "k_center"],
        ["6.0", "3.0"],
        ["10.0", "2.5"],
        ["14.0", "2.25"],
    ]
    assert rows_of(figures / "covering-radius.csv")[0][2:] == ["random sets, mean and 5–95 %"] + [
        f"random sets, mean and 5–95 %, {end}" for end in ("low", "high")
    ]
    points = rows_of(figures / "map.csv")
    assert points[0] == ["id", "row", "x", "y", "round of a"] and len(points) == 61
    assert [row[4] for row in points[1:13]] == ["0"] * 6 + [""] * 4 + ["1"] * 2
    assert len(rows_of(figures / "picks.csv")) == 15
    for key in keys:
        with Image.open(figures / f"{key}.png") as image:
            assert image.width == 1024 and len(image.convert("RGB").getcolors(1 << 24)) > 20  # something is drawn
    again = write_report([whole_run], tmp_path / "b.html")
    assert all((again / file.name).read_bytes() == file.read_bytes() for file in figures.iterdir())


def test_texts_are_no_formulas_in_a_spreadsheet(hostile_run, tmp_path):
    figures = write_report([hostile_run], tmp_path / "h.html")
    cells = [cell for file in figures.glob("*.csv") for row in rows_of(file) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "@")]
    assert any(cell.startswith("'=HYPERLINK") for cell in cells)


def test_several_runs_have_a_map_each(made, whole_run, tmp_path):
    other = made.make_run(tmp_path / "b", strategy="random", losses=(3.0, 2.9, 2.8))
    figures = write_report([whole_run, other.root], tmp_path / "both.html")
    assert (figures / "map.png").is_file() and (figures / "map-1.png").is_file()
    assert rows_of(figures / "map.csv")[0][4:] == ["round of a", "round of b"]
    assert rows_of(figures / "heldout-loss.csv")[3] == ["14.0", "2.25", "2.8"]


def test_the_page_needs_a_pages_name(whole_run, tmp_path):
    with pytest.raises(ConfigError, match="--out is '.*report.json', which is no page's name. Give a name that ends in .html."):
        write_report([whole_run], tmp_path / "report.json")
    assert list(tmp_path.iterdir()) == []


def test_a_single_point_has_its_interval_in_the_png_too(tmp_path):
    from diverseevol.report.chart import Chart, Series
    from diverseevol.report.png import _figure, _lines

    for x, n_lines in (([1.0], 1), ([1.0, 2.0], 0)):
        _, axes = _figure(6.4, 4.0)
        low, high = [0.5] * len(x), [1.5] * len(x)
        _lines(Chart("k", "t", "x", "y", (Series("a", x, [1.0] * len(x), "main", low, high),)), axes)
        lines = [each for each in axes.collections if type(each).__name__ == "LineCollection"]
        assert len(lines) == n_lines
        assert len(axes.collections) == 1  # a band otherwise
        assert not lines or lines[0].get_segments()[0].tolist() == [[1.0, 0.5], [1.0, 1.5]]


def test_the_page_says_how_it_was_made(whole_run, tmp_path):
    for labels, words in ((None, "a.html</pre>"), ("topic", "a.html --labels topic</pre>")):
        write_report([whole_run], tmp_path / "a.html", labels=labels)
        assert f"--out {tmp_path}/{words}" in (tmp_path / "a.html").read_text("utf-8")
