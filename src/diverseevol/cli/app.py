"""The program: its verbs, and what happens when one fails.

Exit status: 0 done, 1 an error of ours in one or two lines (the traceback only with --debug), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Annotated, NoReturn

import typer

from .. import __version__, dist
from ..errors import DiverseEvolError
from . import (
    answer,
    compare,
    demo,
    diversity,
    embed,
    heldout,
    init,
    inspect,
    judge,
    overlap,
    plan,
    report,
    run,
    score,
    select,
    status,
)

EPILOG = "First steps: diverseevol demo · diverseevol run --pool pool.jsonl --model MODEL --out runs/a"

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The small, diverse subset of your instruction data that tunes your model best, chosen round by round by the model itself.",
)


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"diverseevol {__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Options before the verb."""


for module in (
    init,
    plan,
    run,
    demo,
    status,
    inspect,
    embed,
    select,
    answer,
    judge,
    score,
    diversity,
    heldout,
    overlap,
    compare,
    report,
):
    module.register(app)


def main() -> NoReturn:
    """Run the program with the process's arguments and end the process."""
    # Waiting threads spin for some 20 µs, then sleep: to spin for long, libgomp's default, makes training many times slower where
    # the machine is busy elsewhere; to sleep at once costs a fifth where it is not (benchmarks/loop.py).
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    is_debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(arguments, standalone_mode=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except DiverseEvolError as error:
        status = _fail(str(error), is_debug, error)
    except OSError as error:
        status = _fail(_explain_os(error), is_debug, error)
    except Exception as error:  # noqa: BLE001 - the outermost border: whatever is left is a fault of ours
        status = _fail(
            f"internal error: {type(error).__name__}: {error}\nThis is a fault of diverseevol; --debug shows where.",
            is_debug,
            error,
        )
    if status == INTERRUPTED and arguments[:1] != [
        "status"
    ]:  # also when the command-line library has turned Ctrl-C into its own exit
        _say("Interrupted. The same command goes on from here; nothing that was finished is lost.")
    _leave(status)


def _fail(message: str, is_debug: bool, error: Exception) -> int:
    if is_debug:
        traceback.print_exception(error)
    if not dist.came_from_main(error):
        _say(f"Error: {message}")
    return 1


def _explain_os(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return (
            f"the disk is full{_at(error)}. Free some space and give the same command again; nothing that was finished is lost."
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"not allowed to write{_at(error)}: {error.strerror}. Give --out a folder you may write to."
    return f"{error.strerror or error}{_at(error)}."


def _at(error: OSError) -> str:
    return f" at {error.filename}" if error.filename else ""


def _say(text: str) -> None:
    prefix = f"[rank {dist.rank()}] " if dist.world_size() > 1 else ""
    print(prefix + text, file=sys.stderr, flush=True)


def _terminated(number: int, frame: FrameType | None) -> None:
    """SIGTERM, as Slurm and Kubernetes send it, ends a run like Ctrl-C."""
    raise KeyboardInterrupt


def _leave(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    if dist.world_size() > 1 and status:
        # A rank that failed must not wait for the others in an exit handler: its launcher ends them once it is gone.
        os._exit(status)
    dist.stop()
    sys.exit(status)
