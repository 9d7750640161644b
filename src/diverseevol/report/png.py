"""Every chart as a PNG for papers, by matplotlib: the same data as in the page, on white.

Shape letters: P shown samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .chart import N_DOTS, Chart, Role, Series

ACCENT, INK, SOFT, POOL = "#0b5fa5", "#1b2128", "#6b7580", "#8a94a0"
OTHERS = ("#b14d00", "#00795c", "#9b3f78")
DPI = 160


def save_chart(chart: Chart, file: Path) -> None:
    """Draw a chart into a PNG."""
    height = 4.0 if chart.kind != "dot" else 1.4 + 0.24 * min(N_DOTS, len(chart.series[0].x))
    figure, axes = _figure(6.4, height)
    {"line": _lines, "bar": _bars, "dot": _dots}[chart.kind](chart, axes)
    axes.set_title(_text(chart.title), loc="left", fontsize=11, color=INK)
    axes.legend(frameon=False, fontsize=8)
    _save(figure, file)


def save_map(values: Mapping[str, Any], run: int, upto: int, file: Path) -> None:
    """Draw the map with a run's picks of the rounds up to and with the one at place `upto`."""
    x_P, y_P = (np.array([np.nan if value is None else value for value in values[name]]) for name in ("x", "y"))
    rounds = values["runs"][run]["rounds"]
    before = [at for round_ in rounds[:upto] for at in round_["at"]]
    now = rounds[upto]["at"]
    figure, axes = _figure(6.4, 5.0)
    axes.scatter(x_P, y_P, s=2, color=POOL, alpha=0.4, linewidths=0, label="pool")
    axes.scatter(x_P[before], y_P[before], s=16, facecolors="white", edgecolors=ACCENT, linewidths=0.9, label="earlier rounds")
    axes.scatter(
        x_P[now], y_P[now], s=18, color=ACCENT, edgecolors="white", linewidths=0.4, label=f"round {rounds[upto]['round']}"
    )
    axes.set_xlabel(values["axes"][0], fontsize=9)
    axes.set_ylabel(values["axes"][1], fontsize=9)
    axes.set_title(_text(f"{values['runs'][run]['name']}, round {rounds[upto]['round']}"), loc="left", fontsize=11, color=INK)
    axes.legend(frameon=False, fontsize=8, markerscale=1.2)
    _save(figure, file)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=SOFT)
    return figure, axes


def _save(figure: Figure, file: Path) -> None:
    # No software's name or date: the same run gives the same file.
    figure.savefig(file, format="png", metadata={"Software": None})


def _styles(series: tuple[Series, ...]) -> Iterator[tuple[Series, dict[str, Any]]]:
    fixed: dict[Role, dict[str, Any]] = {
        "main": {"color": ACCENT, "linestyle": "-", "marker": "o"},
        "random": {"color": SOFT, "linestyle": "--", "marker": "D"},
        "full": {"color": INK, "linestyle": ":", "marker": "s"},
    }
    n = 0
    for each in series:
        if each.role == "other":
            yield each, {"color": OTHERS[n % len(OTHERS)], "linestyle": "-", "marker": "^xP"[n % 3]}
            n += 1
        else:
            yield each, fixed[each.role]


def _lines(chart: Chart, axes: Axes) -> None:
    for each, style in _styles(chart.series):
        x, y = _numbers(each.x), _numbers(each.y)
        axes.plot(x, y, label=_text(each.name), markersize=4 if len(x) <= 15 else 0, linewidth=1.6, **style)
        if each.low is not None and each.high is not None and len(x) == 1:  # no band has room there
            axes.vlines(x, _numbers(each.low), _numbers(each.high), color=style["color"], linewidth=1.2)
        elif each.low is not None and each.high is not None:
            axes.fill_between(x, _numbers(each.low), _numbers(each.high), color=style["color"], alpha=0.15, linewidth=0)
    if chart.is_log:
        axes.set_xscale("log")
    _axis_names(chart, axes, chart.x_title, chart.y_title)


def _bars(chart: Chart, axes: Axes) -> None:
    width = 0.7 / len(chart.series)
    for number, (each, style) in enumerate(_styles(chart.series)):
        at = np.arange(len(each.x)) + (number - (len(chart.series) - 1) / 2) * width
        axes.bar(at, np.nan_to_num(_numbers(each.y)), width, color=style["color"], label=_text(each.name))
    axes.set_xticks(range(len(chart.series[0].x)), [_text(str(name)) for name in chart.series[0].x])
    _axis_names(chart, axes, chart.x_title, chart.y_title)


def _dots(chart: Chart, axes: Axes) -> None:
    names = [str(name) for name in chart.series[0].x][:N_DOTS]
    for each, style in _styles(chart.series):
        axes.plot(_numbers(each.y)[: len(names)], range(len(names)), label=_text(each.name), **{**style, "linestyle": ""})
    axes.set_yticks(range(len(names)), [_text(name[:40]) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel(chart.y_title, fontsize=9)
    axes.grid(axis="x", linewidth=0.4)


def _axis_names(chart: Chart, axes: Axes, x_title: str, y_title: str) -> None:
    axes.set_xlabel(x_title, fontsize=9)
    axes.set_ylabel(y_title, fontsize=9)
    axes.grid(axis="y", linewidth=0.4)
    if chart.is_share:
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _numbers(values: Any) -> np.ndarray:  # noqa: ANN401 - numbers, and None where there is none
    return np.array([np.nan if value is None else float(value) for value in values])


def _text(text: str) -> str:
    """Text without what matplotlib would take for mathematics, nor what its font cannot draw."""
    return "".join(
        char if char.isascii() or (char.isalpha() and ord(char) < 0x250) or char in "–…×" else "?" for char in text
    ).replace("$", r"\$")
