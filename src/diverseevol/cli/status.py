"""`status`: where a run stands, once or until it ends, and why a sample was chosen. No torch is loaded."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import strftime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base.text import duration, printable, progress_words
from . import options as o
from .render import show_json

if TYPE_CHECKING:
    from rich.console import Group

    from ..run.metrics import Metrics
    from ..run.status import RunStatus

INTERVAL = 1.0
"""Seconds between two looks."""
STARTING = 20.0
"""Seconds that a watcher gives a run to begin or go on: it loads libraries before it takes its folder."""
SAMPLE = "A sample's id or pool row: why it was chosen, or not."
WATCH = "Go on until the run ends: 0 finished, 1 stopped before, 130 Ctrl-C."


def status(
    run: o.RunArgument,
    sample: Annotated[str | None, typer.Argument(metavar="[ID]", help=SAMPLE)] = None,
    is_watching: Annotated[bool, typer.Option("--watch", help=WATCH)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For scripts; with --watch a line a change.")
    ] = False,
) -> None:
    """Say where a run stands: rounds, what is under way, cost; or why a sample was chosen or not.

    Of a folder with run folders below it, such as a comparison's, it says so in a line a run.
    """
    from ..errors import RunFolderError
    from ..run import runs_below
    from ..run.status import explain_sample, run_status

    lines: Iterable[str]
    value: Any
    if sample is not None:
        value = explain_sample(run, sample)
        lines = sample_lines(value)
    elif below := runs_below(run):
        if is_watching:
            found = f"--watch follows one run, and {run} holds {len(below)}"
            raise RunFolderError(f"{found}. Name one, such as {below[-1]}.")
        states = [run_status(root) for root in below]
        value, lines = [state.as_dict() for state in states], map(overview_line, states)
    elif is_watching:
        raise typer.Exit(_watch(run, as_json))
    else:
        state = run_status(run)
        value, lines = state.as_dict(), status_lines(state)
    if as_json:
        show_json(value)
    else:
        for line in lines:
            typer.echo(line)


def _watch(run: Path, as_json: bool) -> int:
    """Show every change until the run ends; the exit status."""
    last: RunStatus | None = None
    try:
        if as_json or not sys.stdout.isatty():
            for state in looks(run):
                if as_json:
                    show_json(state.as_dict())
                else:
                    for line in changes(last, state):
                        typer.echo(line)
                last = state
        else:
            from rich.live import Live

            with Live(auto_refresh=False, vertical_overflow="crop") as live:
                for last in looks(run):
                    live.update(live_view(last, live.console.width, live.console.height), refresh=True)
    except KeyboardInterrupt:
        typer.echo("No longer watching; the run itself is not touched.", err=True)
        return 130
    return 0 if last and last.state == "finished" else 1


def looks(run: Path) -> Iterator[RunStatus]:
    """The run's state now and again whenever it has changed, to the one after which no process works on it.

    Raises:
        RunFolderError: `run` is no run folder, and has not become one while a run may be starting.
    """
    from ..errors import RunFolderError
    from ..run.status import run_status

    began, was_running, last = time.monotonic(), False, None
    while True:
        may_start = not was_running and time.monotonic() - began < STARTING
        try:
            state = run_status(run)
        except RunFolderError:
            if not may_start:
                raise
        except OSError:  # a file that was replaced or a network that is gone for a moment: no news
            pass
        else:
            if state != last:
                yield state
            last = state
            was_running |= state.is_running is not False
            if state.is_running is False and (state.state == "finished" or not may_start):
                return
        time.sleep(INTERVAL)


def live_view(state: RunStatus, width: int, height: int) -> Group:
    """The picture on a terminal, in lines that are cut rather than wrapped; of many rounds the last."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    lines = list(status_lines(state, width))
    n_over = max(0, len(lines) - height + 3) if state.rounds else 0
    shown = lines[:1] + lines[1 + n_over :]
    parts: list[Any] = [Text(line, no_wrap=True, overflow="ellipsis") for line in shown]
    if task := state.task:
        parts.append(ProgressBar(total=task.total, completed=task.done, width=min(width, 60)))
    return Group(*parts)


def status_lines(state: RunStatus, width: int = 100) -> Iterator[str]:
    """Everything, for one look; picks in at most `width` letters."""
    yield head_line(state)
    yield from map(round_line, state.rounds)
    if state.stopped:
        yield f"stopped by itself: {state.stopped}"
    if state.stage:
        yield at_words(state)
    for pick in state.picks:
        yield pick_words(pick, width)
    yield from cost_lines(state.progress)
    yield sum_words(state)


def overview_line(state: RunStatus) -> str:
    """A run among others in a line."""
    under_way = f"; {at_words(state)}" if state.stage else ""
    return f"{state.run}: {printable(state.state)}; {state.strategy}{under_way}; {sum_words(state)}"


def changes(last: RunStatus | None, state: RunStatus) -> Iterator[str]:
    """What is new, with the time: another state, finished rounds, picks, stages."""

    def place(one: RunStatus) -> tuple[Any, ...]:
        return one.round, one.stage, one.task and one.task.name

    lines: list[str] = []
    if last is None or last.state != state.state:
        lines.append(head_line(state))
    lines += map(round_line, state.rounds[len(last.rounds) if last else 0 :])
    if state.picks != (last.picks if last else []):
        lines += map(pick_words, state.picks)
    if state.stage and (last is None or place(last) != place(state)):
        lines.append(at_words(state))
    if state.is_running is False:
        lines.append(sum_words(state))
    return (f"{strftime('%H:%M:%S')} {line}" for line in lines)


def head_line(state: RunStatus) -> str:
    """Who works on it, how it chooses, from what, and what was left out of that."""
    counts = state.counts
    n_kept = counts.n_duplicates - counts.n_duplicates_dropped
    parts = [
        f"{counts.n_quarantined:,} in quarantine",
        f"{counts.n_duplicates_dropped:,} duplicates left out" if counts.n_duplicates_dropped else "",
        f"{n_kept:,} duplicates among them" if n_kept > 0 else "",
        f"{counts.n_contaminated:,} left out as benchmark questions" if counts.n_contaminated else "",
    ]
    pool = f"pool {counts.n_pool:,} rows ({', '.join(filter(None, parts))})"
    pool = "pool not read yet" if state.stage == "pool" else pool
    return f"{printable(state.run)}: {printable(state.state)}; {state.strategy}, {pool}"


def round_line(metrics: Metrics) -> str:
    """A finished round in a line: sizes, loss, where the seconds went."""
    text = f"round {metrics.round}: {metrics.n_new:>5} new, {metrics.n_chosen:>6} chosen"
    train = metrics.stages.get("train")
    if train and train.loss_first is not None and train.loss_last is not None:
        text += f", training loss {train.loss_first:.3f} → {train.loss_last:.3f}"
    if metrics.heldout.loss is not None:
        text += f", held-out loss {metrics.heldout.loss:.4f}"
    spent = {name: bill.seconds for name, bill in metrics.stages.items() if bill.seconds >= 0.05}
    seconds = ", ".join(f"{name} {duration(seconds)}" for name, seconds in spent.items())
    return f"{text} ({seconds})" if seconds else text


def at_words(state: RunStatus) -> str:
    """`round 1: train: 3 of 6 steps (50%), 4.2 s/step, 13 s left, loss 2.1`."""
    where = "after the last round" if state.round is None else f"round {state.round}"
    task = state.task
    if task is None:
        return f"{where}: at stage {state.stage}"
    words = progress_words(task.done, task.total, task.unit, task.rate, task.seconds_left, task.about)
    return printable(f"{where}: {task.name}: {words}")


def pick_words(pick: dict[str, Any], width: int = 100) -> str:
    """A pick as people would say it, in at most `width` letters."""
    is_by_distance = pick.get("distance") is not None and pick.get("nearest_id")
    before = "drawn: “" if pick["round"] == 0 else "picked: “"
    behind = f"” {pick['distance']:.3g} from its nearest chosen" if is_by_distance else "”"
    text, room = printable(" ".join(pick["text"].split())), width - len(before) - len(behind)
    return before + (text if len(text) <= room else text[: room - 1].rstrip() + "…") + behind


def cost_lines(progress: dict[str, Any] | None) -> Iterator[str]:
    """Predicted beside measured, a line a stage."""
    if progress is None:
        return
    for stage in ("train", "embed"):
        tokens, flops = progress[stage]["tokens"], progress[stage]["flops"]
        if flops["measured"]:
            more = flops["measured"] / flops["predicted"] - 1
            counted = f"{tokens['predicted']:,.0f} tokens predicted, {tokens['measured']:,.0f} measured"
            measured = f"{flops['predicted']:.3g} predicted, {flops['measured']:.3g} measured ({more:+.0%})"
            yield f"{stage}: {counted}; FLOPs {measured}"
    memory = progress["memory"]
    if memory["predicted"] and memory["measured"]:
        predicted, measured_bytes = memory["predicted"] / 1e9, memory["measured"] / 1e9
        yield f"peak memory: {predicted:.2f} GB predicted, {measured_bytes:.2f} GB measured"


def sum_words(state: RunStatus) -> str:
    """Rounds, time and disk in all, and the time that is left at the rate of the finished rounds."""
    left = (state.progress or {}).get("seconds_left")
    about = f" about {duration(left)} left," if left else ""
    done = f"{len(state.rounds)} of {state.n_rounds} rounds done"
    return f"{done}, {duration(state.seconds)} so far,{about} {state.bytes / 1e6:,.0f} MB on disk"


def sample_lines(found: dict[str, Any]) -> Iterator[str]:
    """Why a sample was chosen or not, with its record and the nearest chosen one's."""

    def short(record: dict[str, Any], width: int = 400) -> str:
        text = json.dumps(record, ensure_ascii=False)
        return f"  {text if len(text) <= width else text[:width] + '…'}"

    at = f"pool row {found['row']}" if found["row"] is not None else "not in the pool"
    yield f"{found['id']} ({at}; {found['source']}, record {found['source_row']})"
    yield found["why"]
    yield short(found["record"])
    if found.get("nearest"):
        yield f"nearest chosen: {found['nearest']['id']}"
        yield short(found["nearest"]["record"])
