"""A run's state on a terminal, drawn anew in place at every look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..base.text import duration
from ..run.ledger import totals
from .score_text import printable
from .status_text import State, cost_lines, now_lines, pool_words, sum_words
from .tables import new_table
from .watch import wrapped

LINES_BESIDE_ROUNDS = 16
"""What the screen holds beside the table's rounds."""
MOST_BAR = 60
"""Letters of a bar at most."""


@contextmanager
def live_display() -> Iterator[Callable[[State | None, State], None]]:
    """Hand out what shows a state; the last one stays on the screen."""
    console = Console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield lambda last, state: live.update(live_view(state, console.width, console.height), refresh=True)


def print_once(state: State) -> None:
    """The same picture once, and what was predicted beside what was measured."""
    console = Console()
    console.print(live_view(state, console.width, 10_000))  # every round, however high the terminal is
    for line in cost_lines(state["progress"]):
        for part in wrapped(line, console.width):
            console.print(part, markup=False, highlight=False, soft_wrap=True)


def live_view(state: State, width: int, height: int) -> Group:
    """The whole picture, in lines that are cut rather than wrapped."""
    parts: list[RenderableType] = [
        _line(state["run"], "bold"),
        _line(state["state"]),
        _line(f"{state['strategy']}, {pool_words(state)}", "dim"),
        _rounds(state["rounds"], max(3, height - LINES_BESIDE_ROUNDS)) if state["rounds"] else Text(""),
    ]
    if task := state["task"]:
        bar = ProgressBar(total=task["total"], completed=task["done"], width=min(width, MOST_BAR))
        parts.append(Padding(bar, 0))  # which ends its line
    parts += map(_line, now_lines(state, width))
    return Group(*parts, _line(sum_words(state)))


def _line(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


def _rounds(rounds: list[State], n_shown: int) -> Table:
    table = new_table(("round", "new", "chosen", "training loss", "held-out loss", "time"))
    if len(rounds) > n_shown:
        table.add_row(f"+{len(rounds) - n_shown}", *[""] * 5, style="dim")
    for metrics in rounds[-n_shown:]:
        train, heldout = metrics.get("stages", {}).get("train", {}), metrics.get("heldout", {})
        seconds, _ = totals(metrics.get("stages", {}).values())
        table.add_row(
            str(metrics["round"]),
            f"{metrics['n_new']:,}",
            f"{metrics['n_chosen']:,}",
            f"{train['loss_first']:.3f} → {train['loss_last']:.3f}" if "loss_last" in train else "",
            f"{heldout['loss']:.4f}" if "loss" in heldout else "",
            duration(seconds),
        )
    return table
