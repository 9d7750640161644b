"""A run's state on a terminal, drawn anew in place at every look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from ..progress import duration, progress_words
from .score_text import printable
from .status_text import State, cost_lines, pick_words, pool_words, sum_words
from .tables import new_table
from .watch import bar_width, wrapped

LINES_BESIDE_ROUNDS = 14
"""What the screen holds beside the table's rounds."""


@contextmanager
def live_display() -> Iterator[Callable[[dict[str, Any]], None]]:
    """Hand out what shows a state; the last one stays on the screen."""
    console = Console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield lambda state: live.update(live_view(state, console.width, console.height), refresh=True)


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
        _line(f"{state['state']}"),
        _line(f"{state['strategy']}, {pool_words(state)}", "dim"),
    ]
    if state["rounds"]:
        parts.append(_rounds(state["rounds"], max(3, height - LINES_BESIDE_ROUNDS)))
    else:
        parts.append(Text(""))
    parts.append(_under_way(state, width))
    parts += [_line(pick_words(pick, width), "dim") for pick in state["picks"]]
    left = (state["progress"] or {}).get("seconds_left")
    about = f"; about {duration(left)} left" if left and state["stage"] else ""
    parts.append(_line(sum_words(state) + about))
    return Group(*parts)


def _line(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style, no_wrap=True, overflow="ellipsis")


def _rounds(rounds: list[State], n_shown: int) -> Table:
    table = new_table(("round", "new", "chosen", "training loss", "held-out loss", "time"))
    if len(rounds) > n_shown:
        table.add_row(f"+{len(rounds) - n_shown}", *[""] * 5, style="dim")
    for metrics in rounds[-n_shown:]:
        train, heldout = metrics.get("stages", {}).get("train", {}), metrics.get("heldout", {})
        seconds = sum(bill["seconds"] for bill in metrics.get("stages", {}).values())
        table.add_row(
            str(metrics["round"]),
            f"{metrics['n_new']:,}",
            f"{metrics['n_chosen']:,}",
            f"{train['loss_first']:.3f} → {train['loss_last']:.3f}" if "loss_last" in train else "",
            f"{heldout['loss']:.4f}" if "loss" in heldout else "",
            duration(seconds),
        )
    return table


def _under_way(state: State, width: int) -> RenderableType:
    """The round and stage, with a bar where something is counted."""
    task, stage = state["task"], state["stage"]
    if not stage:
        return _line(f"stopped by itself: {state['stopped']}" if state["stopped"] else "done", "bold green")
    where = "last" if state["round"] is None else f"round {state['round']}"
    if not task:
        return _line(f"{where}: at stage {stage}", "bold")
    n_bar = max(8, bar_width(width) - len(where))
    grid = Table.grid(
        Column(no_wrap=True), Column(width=n_bar), Column(), padding=(0, 1)
    )  # only the last one, the words, may be cut
    words = progress_words(task["done"], task["total"], task["unit"], task["rate"], task["seconds_left"], task["about"])
    about = f", {task['about']}" if task["about"] else ""
    bar = ProgressBar(total=task["total"], completed=task["done"], width=n_bar)
    grid.add_row(_line(f"{where} {task['name']}", "bold"), bar, _line(words + about))
    return grid
