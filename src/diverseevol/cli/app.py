"""The program: its verbs, and what happens when one fails.

Exit status: 0 done, 1 an error of ours in one or two lines (the traceback only with --debug), 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer.core import TyperCommand

from .. import __version__
from ..base import dist
from ..base.files import expanded
from ..errors import DiverseEvolError
from .answer import answer
from .check import check
from .compare import compare
from .demo import demo
from .diversity import diversity
from .embed import embed
from .export import export
from .heldout import heldout
from .init import init
from .judge import judge
from .options import SIZES
from .plan import plan
from .report import report
from .run import run
from .score import score
from .select import SelectCommand, select
from .settings import with_settings
from .status import status

if TYPE_CHECKING:
    from pydantic import BaseModel

EPILOG = "First steps: diverseevol demo · diverseevol run --pool pool.jsonl --model MODEL --out runs/a"

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "The small, diverse subset of your instruction data that tunes your model best, "
        "chosen round by round by the model itself."
    ),
)


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"diverseevol {__version__}")
        raise typer.Exit


@app.callback()
def root(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the verb."""


EXAMPLES: dict[Callable[..., None], str] = {
    init: "diverseevol init my.yaml --preset modern --pool pool.jsonl --model MODEL",
    plan: "diverseevol plan my.yaml --hardware a100 rounds=4",
    run: "diverseevol run --pool pool.jsonl --model MODEL --rounds 3 --out runs/a train.learning_rate=1e-4",
    demo: "diverseevol demo --out runs/demo",
    status: "diverseevol status runs/a --watch · diverseevol status runs/a 3f9c0d7a1b2e4c58",
    export: "diverseevol export runs/a --format llamafactory --out data/chosen",
    embed: "diverseevol embed --pool pool.jsonl --model MODEL --out embeddings",
    select: (
        "diverseevol select --embeddings X.npy --chosen chosen.txt --n-new 100 "
        "--out picks.jsonl metric=cosine"
    ),
    answer: (
        "diverseevol answer runs/a --benchmark vicuna=vicuna_test_set.jsonl --round all · "
        "diverseevol answer --model MODEL --benchmark my=questions.jsonl:question --out answers.jsonl · "
        "diverseevol answer runs/a --benchmark koala --base-url http://localhost:8000/v1 --served-model NAME"
    ),
    judge: (
        "diverseevol judge runs/a --benchmark vicuna --opponent base --model gpt-4.1 · "
        "diverseevol judge --answers a.jsonl --opponent b.jsonl --out verdicts.jsonl --model JUDGE "
        "--base-url http://localhost:8000/v1"
    ),
    score: (
        "diverseevol score verdicts.jsonl · diverseevol score runs/k_center runs/random · "
        "diverseevol score published/ --json"
    ),
    diversity: (
        "diverseevol diversity runs/a --labels category · "
        "diverseevol diversity --embeddings X.npy --chosen rows.txt"
    ),
    heldout: "diverseevol heldout runs/a --file balanced.jsonl --group category",
    check: "diverseevol check --pool pool.jsonl --benchmark vicuna=vicuna.jsonl",
    compare: (
        "diverseevol compare --pool pool.jsonl --model MODEL --strategies k_center,k_means --seeds 0,1,2,3,4 "
        "--out runs/compare heldout.path=heldout.jsonl"
    ),
    report: "diverseevol report runs/a --out a.html · diverseevol report runs/compare --out compare.html",
}
"""Every verb in the order of --help, with what the end of its own help shows."""

PLACES = frozenset({"embeddings", "file", "model", "opponent", "template"})
"""Options that name a file or a folder, or something else by a plain word."""


def _with_expanded_paths(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with `~` and environment variables expanded in every path that it is given."""

    def path_of(name: str, value: object) -> object:
        if isinstance(value, list):
            return [path_of(name, item) for item in value]
        is_place = name in PLACES or (
            name == "words" and ("=" not in str(value) or str(value).startswith("~"))
        )
        if isinstance(value, Path):
            return Path(expanded(str(value)))
        return expanded(value) if is_place and isinstance(value, str) else value

    @wraps(verb)
    def call(**given: object) -> None:
        verb(**{name: path_of(name, value) for name, value in given.items()})

    return call


def _of(*names: str) -> Callable[[], list[type[BaseModel]]]:
    """Looks up sections when they are asked for: --help of the program need not wait for them."""

    def sections() -> list[type[BaseModel]]:
        from ..config import schema, verbs

        return [getattr(verbs, name, None) or getattr(schema, name) for name in names]

    return sections


COMMANDS: dict[Callable[..., None], type[TyperCommand]] = {
    select: SelectCommand,
    run: with_settings(_of("RunConfig"), SIZES),
    plan: with_settings(_of("RunConfig", "PlanConfig"), (*SIZES, "hardware", "utilisation")),
    compare: with_settings(_of("RunConfig"), SIZES),
    embed: with_settings(_of("RunConfig"), ("seed",)),
    answer: with_settings(_of("AnswerConfig")),
    judge: with_settings(_of("JudgeConfig")),
    score: with_settings(_of("ScoreConfig")),
    diversity: with_settings(_of("DiversityConfig")),
    heldout: with_settings(_of("TasksConfig")),
    demo: with_settings(_of("DemoConfig")),
    init: with_settings(_of("InitConfig")),
}
"""The verbs whose options are more than what they declare."""

for verb, example in EXAMPLES.items():
    command = app.command(cls=COMMANDS.get(verb), epilog=f"Example: {example}")
    command(_with_expanded_paths(verb))


def main() -> NoReturn:
    """Run the program with the process's arguments and end the process."""
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
            f"internal error: {type(error).__name__}: {error}\nThis is a fault of diverseevol; --debug "
            "shows where.",
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
            f"the disk is full{_at(error)}. Free some space and give the same command again; "
            "nothing that was finished is lost."
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
        # A rank that failed must not wait for the others in an exit handler: its launcher ends them once it
        # is gone.
        os._exit(status)
    dist.stop()
    sys.exit(status)
