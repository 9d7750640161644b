"""The report's files: the page, and beside it a folder with every chart as CSV and PNG and all picks as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..base.files import replacing, write_text
from ..base.progress import SILENT, Watch
from ..errors import ConfigError
from .content import Content, gather
from .html import render
from .picks import HEADINGS, csv_rows
from .png import save_chart, save_map
from .projection import Method
from .runs import open_subject


def write_report(
    paths: Sequence[Path], out: Path, method: Method = "pca", labels: str | None = None, watch: Watch = SILENT
) -> Path:
    """Write the page and the figures of runs.

    Args:
        paths: Run folders, or the folder of one comparison.
        out: The page; the figures go to a folder beside it, called like it with `-figures` behind.
        method: How the map is drawn.
        labels: The column whose values' coverage is shown.
        watch: Sees the progress.

    Returns:
        The folder of the figures.

    Raises:
        RunFolderError: a folder is neither a run nor a comparison, or has no finished round.
        ConfigError: `out` is no HTML file, no record has the column, or UMAP is not installed.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out is {str(out)!r}, which is no page's name. Give a name that ends in .html.")
    content = gather(open_subject(paths), method, labels, watch)
    figures = out.with_name(f"{out.stem}-figures")
    with replacing(figures) as partial:
        partial.mkdir()
        _save_figures(content, partial, watch)
    options = [*(["--map", method] if method != "pca" else []), *(["--labels", labels] if labels else [])]
    page = render(content, str(out), options)
    write_text(out, page)
    return figures


def _save_figures(content: Content, folder: Path, watch: Watch) -> None:
    values = content.map_values()
    with watch.task("figures", float(len(content.charts) + 2), "files") as task:
        for chart in content.charts:
            _save_csv(folder / f"{chart.key}.csv", chart.headings(), chart.rows())
            save_chart(chart, folder / f"{chart.key}.png")
            task.advance()
        if values is not None:
            _save_csv(
                folder / "map.csv",
                ["id", "row", "x", "y", *(f"round of {run['name']}" for run in values["runs"])],
                _map_rows(content, values),
            )
            for number, run in enumerate(values["runs"]):
                save_map(values, number, len(run["rounds"]) - 1, folder / ("map.png" if number == 0 else f"map-{number}.png"))
        task.advance()
        _save_csv(folder / "picks.csv", HEADINGS, csv_rows(content.picks, content.subject.main.pool.n_tokens.tolist()))
        task.advance()


def _map_rows(content: Content, values: dict[str, Any]) -> Iterable[list[Any]]:
    """A row a sample on the map, with the round that picked it in each run."""
    picked = [{at: round_["round"] for round_ in run["rounds"] for at in round_["at"]} for run in values["runs"]]
    pool = content.subject.main.pool
    for at, row in enumerate(content.samples.rows_P.tolist()):
        yield [pool.id(row), row, values["x"][at], values["y"][at], *(rounds.get(at) for rounds in picked)]


def _save_csv(file: Path, headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        for row in (headings, *rows):
            writer.writerow(
                [f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell for cell in row]
            )
