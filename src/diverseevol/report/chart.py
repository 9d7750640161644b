"""A chart as plain values: one description for the drawing in the page, the table behind it, the CSV and the PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..base.text import si

Role = Literal["main", "other", "random", "full"]
"""What a series stands for; it decides colour and dashes, so that random looks the same in every chart."""
Kind = Literal["line", "bar", "dot"]
Place = float | str
MOST_ROWS = 500
"""Of a table in the page."""
N_DOTS = 24
"""Categories that are drawn as dots."""


@dataclass(frozen=True)
class Series:
    """Values over places of the x-axis; None where there is none.

    Attributes:
        name: What the legend says.
        x: Where the values stand: numbers, or names of categories.
        y: The values.
        role: What it stands for.
        low, high: A band around the values.
    """

    name: str
    x: Sequence[Place]
    y: Sequence[float | None]
    role: Role = "main"
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None


@dataclass(frozen=True)
class Chart:
    """Series over one axis.

    Attributes:
        key: Its name in the page and of its files: small letters, digits and hyphens.
        title: What is seen.
        x_title, y_title: What the axes measure, with units.
        series: What is drawn.
        kind: Lines over numbers, bars or dots over categories.
        says: What a reader should take from it, a sentence or two.
        note: How it was made, and what must be known to read it rightly.
        is_log: Whether the x-axis is logarithmic.
        is_share: Whether values are shares of one, shown in percent.
    """

    key: str
    title: str
    x_title: str
    y_title: str
    series: tuple[Series, ...]
    kind: Kind = "line"
    says: str = ""
    note: str = ""
    is_log: bool = False
    is_share: bool = False

    def headings(self) -> list[str]:
        """The columns of its table."""
        names = [self.x_title]
        for each in self.series:
            names.append(each.name)
            if each.low is not None:
                names += [f"{each.name}, low", f"{each.name}, high"]
        return names

    def rows(self) -> list[list[Place | None]]:
        """A row a place of the x-axis, in order; numbers in full."""
        places = dict.fromkeys(place for each in self.series for place in each.x)
        order = sorted(places, key=float) if self.kind == "line" else list(places)
        where = [{place: at for at, place in enumerate(each.x)} for each in self.series]
        found = []
        for place in order:
            row: list[Place | None] = [place]
            for each, known in zip(self.series, where, strict=True):
                at = known.get(place)
                columns = (each.y,) if each.low is None or each.high is None else (each.y, each.low, each.high)
                row += [None if at is None else values[at] for values in columns]
            found.append(row)
        return found

    def shown_rows(self) -> list[list[str]]:
        """The same for people, the first so many; the CSV has all."""
        rows = self.rows()
        found = [[shown(value, self.is_share and at > 0) for at, value in enumerate(row)] for row in rows[:MOST_ROWS]]
        more = len(rows) - len(found)
        return [*found, [f"… {more:,} more in the CSV file", *[""] * len(self.series)]] if more else found

    def as_values(self) -> dict[str, Any]:
        """For the page's script."""
        n = N_DOTS if self.kind == "dot" else None
        series = [
            {"name": each.name, "x": list(each.x[:n]), "y": _short(each.y[:n]), "role": each.role}
            | ({} if each.low is None or each.high is None else {"low": _short(each.low), "high": _short(each.high)})
            for each in self.series
        ]
        return {
            "title": self.title,
            "x_title": self.x_title,
            "y_title": self.y_title,
            "kind": self.kind,
            "is_log": self.is_log,
            "is_share": self.is_share,
            "series": series,
        }


def shown(value: Place | None, is_share: bool = False) -> str:
    """A number for people: whole ones with separators, others with four significant digits."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if is_share:
        return f"{value:.1%}"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.4g}" if 1e-3 <= abs(value) < 1e4 else f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.3g}"


def flops_shown(flops: float) -> str:
    """A number of operations for people: `1.53 TFLOPs`."""
    return f"{si(flops)}FLOPs"


def _short(values: Sequence[float | None]) -> list[float | None]:
    """Six significant digits are more than a screen shows."""
    return [None if value is None else float(f"{value:.6g}") for value in values]
