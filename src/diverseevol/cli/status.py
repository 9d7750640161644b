"""`status`: where a run stands, once or until it is done, by its folder alone; without loading torch."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from time import strftime
from typing import Annotated, Any

import typer

from .inspect import RunArgument

INTERRUPTED = 130
STARTING = 20.0
"""Seconds that a watcher gives a run to begin or to go on: it loads its libraries before it takes its folder."""
State = dict[str, Any]
Show = Callable[[State | None, State], None]
"""Shows a run's state, given the one before."""


def status(
    run: RunArgument,
    is_watching: Annotated[
        bool,
        typer.Option("--watch", help="Go on until the run ends: 0 finished, 1 stopped before, 130 Ctrl-C."),
    ] = False,
    interval: Annotated[
        float, typer.Option("--interval", min=0.1, help="Seconds between two looks with --watch.")
    ] = 1.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="For scripts; with --watch a line a change.")
    ] = False,
) -> None:
    """Say which rounds are done, what is under way and what it cost so far; from any machine that has the folder.

    Of a folder with run folders below it, such as a comparison's, it says so in a line a run.
    """
    from ..errors import RunFolderError
    from ..run import runs_below
    from ..run.status import run_status
    from .status_text import overview_line, status_lines

    if below := runs_below(run):
        if is_watching:
            raise RunFolderError(
                f"--watch follows one run, and {run} holds {len(below)}. Name one, such as {below[-1]}."
            )
        states = [run_status(root) for root in below]
        for line in [json.dumps(states, ensure_ascii=False)] if as_json else map(overview_line, states):
            typer.echo(line)
        return
    if is_watching:
        raise typer.Exit(_watch(run, interval, as_json))
    state = run_status(run)
    if as_json:
        typer.echo(json.dumps(state, ensure_ascii=False))
    elif sys.stdout.isatty():
        from .status_live import print_once

        print_once(state)
    else:
        for line in status_lines(state):
            typer.echo(line)


def _watch(run: Path, interval: float, as_json: bool) -> int:
    """Show every change until the run ends; the exit status."""
    try:
        if as_json:
            return _follow(run, interval, _show_json)
        if not sys.stdout.isatty():
            return _follow(run, interval, _show_lines)
        from .status_live import live_display

        with live_display() as show:
            return _follow(run, interval, show)
    except KeyboardInterrupt:
        typer.echo("No longer watching; the run itself is not touched.", err=True)
        return INTERRUPTED


def _follow(run: Path, interval: float, show: Show) -> int:
    last: State | None = None
    for state in looks(run, interval):
        show(last, state)
        last = state
    return 0 if state["state"] == "finished" else 1


def looks(run: Path, interval: float) -> Iterator[dict[str, Any]]:
    """The run's state now and every `interval` seconds, to the one after which no process works on it.

    Raises:
        RunFolderError: `run` is no run folder, and has not become one while a run may be starting.
    """
    from ..errors import RunFolderError
    from ..run import RunFolder
    from ..run.status import run_status
    from ..run.watching import Silence

    silence, known = Silence(), dict[Any, Any]()
    began, was_running = time.monotonic(), False
    while True:
        may_start = not was_running and time.monotonic() - began < STARTING
        try:
            state = run_status(run, silence.seconds(RunFolder(run)), known)
        except RunFolderError:
            if not may_start:
                raise
            time.sleep(interval)
            continue
        except OSError:  # a file that was replaced or a network that is gone for a moment: no news
            time.sleep(interval)
            continue
        yield state
        was_running |= state["is_running"] is not False
        if state["is_running"] is False and (state["state"] == "finished" or not may_start):
            return
        time.sleep(interval)


def _show_json(last: State | None, state: State) -> None:
    if state != last:
        typer.echo(json.dumps(state, ensure_ascii=False))


def _show_lines(last: State | None, state: State) -> None:
    from .status_text import changes

    for line in changes(last, state):
        typer.echo(f"{strftime('%H:%M:%S')} {line}")
