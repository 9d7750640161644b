"""A figure as plotly.js's own dicts, made here and drawn by the page, with what a reader should take from it.

A trace with a name is a column of the figure's table and of its CSV, which the page makes from the traces;
the edges of a band are columns, too. A colour is a name in page.css, so that light and dark are the page's
matter. Texts stand in traces as they are: the page escapes all but colours and hover templates, which are
ours alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from math import isnan
from typing import Any, Literal

Role = Literal["main", "other", "random", "full"]
"""What a line stands for; it decides the looks, so that random is the same in every figure."""
Trace = dict[str, Any]
LOOKS = {
    "main": ("--accent", "solid", "circle"),
    "random": ("--random", "dash", "diamond"),
    "full": ("--full", "dot", "square"),
}
SYMBOLS = ("triangle-up", "x", "cross")
OTHERS = [(f"--other-{at + 1}", dash, SYMBOLS[at]) for dash in ("solid", "dashdot") for at in range(3)]
MOST_MARKERS = 15


@dataclass(frozen=True)
class Figure:
    """Traces and a layout for `Plotly.newPlot`, with words."""

    key: str  # its name in the page and of its files: small letters, digits and hyphens
    title: str
    traces: list[Trace]
    layout: dict[str, Any]
    says: str  # what a reader should take from it, a sentence or two
    note: str  # how it was made, and what must be known to read it rightly
    tile: tuple[str, str, str] | None = None  # its number in the summary: value, label, detail


@dataclass(frozen=True)
class Line:
    """Values over numbers, None where there is none, and a band around them: its lower and upper edge."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    role: Role = "main"
    band: tuple[Sequence[float], Sequence[float]] | None = None


def looks_of(roles: Sequence[Role]) -> list[tuple[str, str, str]]:
    """Colour, dashes and mark of each line; others have the next ones in turn."""
    others = cycle(OTHERS)
    return [next(others) if role == "other" else LOOKS[role] for role in roles]


def line_traces(lines: Sequence[Line], number: str = ".4~g") -> list[Trace]:
    """Each line with its band before it; a band of one point has two dashes for its edges."""
    traces: list[Trace] = []
    for each, (color, dash, symbol) in zip(lines, looks_of([line.role for line in lines]), strict=True):
        common = {"x": each.x, "marker": {"color": color, "symbol": symbol, "size": 8}}
        if each.band is not None:
            low, high = each.band
            mode = "lines" if len(each.x) > 1 else "markers"
            edge = common | {"mode": mode, "line": {"width": 0}, "showlegend": False}
            edge |= {"marker": {"color": color, "symbol": "line-ew-open", "size": 16}, "hoverinfo": "skip"}
            traces.append(edge | {"name": f"{each.name}, low", "y": low})
            edge |= {"fill": "tonexty", "fillcolor": color}
            traces.append(edge | {"name": f"{each.name}, high", "y": high})
        width = 2.6 if each.role == "main" else 1.8
        mode = "lines+markers" if len(each.x) <= MOST_MARKERS else "lines"
        look = {"name": each.name, "mode": mode, "line": {"color": color, "dash": dash, "width": width}}
        traces.append(common | look | {"y": each.y, "hovertemplate": hover("y", number)})
    return traces


def line_layout(x_title: str, y_title: str, lines: Sequence[Line]) -> dict[str, Any]:
    """Axes of lines; the places themselves are named where there are few."""
    places = sorted({x for line in lines for x in line.x})
    ticks = {"tickvals": places} if len(places) <= 6 else {}
    return {
        "hovermode": "x unified",
        "xaxis": {"title": {"text": x_title}, "tickformat": ",d", **ticks},
        "yaxis": {"title": {"text": y_title}, "tickformat": "~g"},
    }


def hover(axis: str, number: str, before: str = "") -> str:
    """What stands at the pointer: the value, and the trace's name, which plotly puts in."""
    return f"{before}%{{{axis}:{number}}}<extra>%{{fullData.name}}</extra>"


def shown(value: float | None) -> str:
    """A number for people: whole ones with separators, others with four significant digits."""
    if value is None or isnan(value):
        return "–"
    if 1e4 <= abs(value) < 1e9 or (float(value).is_integer() and abs(value) < 1e15):
        return f"{value:,.0f}"
    return f"{value:,.4g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"
