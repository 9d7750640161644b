"""Numbers, durations and lists as people say them, for messages, logs and pages."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def some_of(things: Sequence[object] | NDArray[Any], n_shown: int = 5) -> str:
    """The first of what a message is about, as text, with an ellipsis where there are more."""
    return ", ".join(map(str, things[:n_shown])) + (", …" if len(things) > n_shown else "")


def progress_words(
    done: float, total: float | None, unit: str, rate: float, left: float | None, about: str = ""
) -> str:
    """`3 of 6 steps (50%), 4.2 s/step, 13 s left, loss 2.1`; what is not known is not said."""
    done_words, all_words = (f"{n:,.0f}" if n < 1e6 else f"{n / 1e6:,.1f}M" for n in (done, total or 0))
    share = f" of {all_words} {unit} ({done / total:.0%})" if total else f" {unit}"
    left_words = "" if left is None else f"{duration(left)} left"
    return ", ".join(filter(None, (done_words + share, rate_words(rate, unit), left_words, about)))


def rate_words(rate: float, unit: str) -> str:
    """A rate as people say it: `1,234/s`, `4.5/s`, or `12 s/step` for slow units; empty if not known."""
    if rate <= 0:
        return ""
    if rate < 1:
        return f"{duration(1 / rate)}/{unit.removesuffix('s')}"
    return f"{rate:.1f}/s" if rate < 10 else f"{rate:,.0f}/s"


def duration(seconds: float) -> str:
    """Write a number of seconds as people say it: `<0.1 s`, `4.2 s`, `3 min 20 s`, `2 h 05 min`."""
    if 0 < seconds < 0.05:
        return "<0.1 s"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def si(value: float) -> str:
    """A figure with three digits and a unit's prefix."""
    for prefix in ("", "k", "M", "G", "T", "P", "E", "Z"):
        if abs(value) < 999.5:
            return f"{value:.3g} {prefix}"
        value /= 1000
    return f"{value:.3g} Y"


def nearest(name: str, known: Collection[str]) -> str:
    """`Did you mean 'x'? ` for the known name closest to `name`, or an empty string."""
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}? " if close else ""


def printable(text: str) -> str:
    """Text (names and ids come out of files) without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
