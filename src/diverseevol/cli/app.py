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
from typing import Annotated, NoReturn

import typer
from typer.core import TyperCommand

from .. import __version__
from ..base import dist
from ..base.files import expanded
from ..errors import DiverseEvolError
from .compare import compare
from .evaluate import answer, score
from .measure import diversity, heldout
from .options import SIZES, SettingsCommand
from .prepare import check, init, plan
from .results import export, report
from .run import demo, run
from .select import SelectCommand, select
from .status import status

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
    check: "diverseevol check --pool pool.jsonl --benchmark vicuna=vicuna.jsonl",
    plan: "diverseevol plan my.yaml --hardware a100 rounds=4",
    run: "diverseevol run --pool pool.jsonl --model MODEL --rounds 3 --out runs/a train.learning_rate=1e-4",
    demo: "diverseevol demo --out runs/demo",
    status: "diverseevol status runs/a --watch · diverseevol status runs/a 3f9c0d7a1b2e4c58",
    export: "diverseevol export runs/a --format llamafactory --out data/chosen",
    select: (
        "diverseevol select --embeddings X.npy --chosen chosen.txt --n-new 100 --out picks.jsonl "
        "metric=cosine · "
        "diverseevol select --pool pool.jsonl --model MODEL --embeddings vectors --n-new 9 --out p.jsonl · "
        "diverseevol select --pool pool.jsonl --model MODEL --out vectors"
    ),
    heldout: "diverseevol heldout runs/a --file balanced.jsonl --group category",
    diversity: (
        "diverseevol diversity runs/a --labels category · "
        "diverseevol diversity --embeddings X.npy --chosen rows.txt"
    ),
    answer: (
        "diverseevol answer runs/a --benchmark vicuna=vicuna_test_set.jsonl --round all · "
        "diverseevol answer --model MODEL --benchmark my=questions.jsonl:question --out answers.jsonl · "
        "diverseevol answer runs/a --benchmark koala --base-url http://localhost:8000/v1 --served-model NAME"
    ),
    score: (
        "diverseevol score runs/a --benchmark vicuna --opponent base --model gpt-4.1 · "
        "diverseevol score --answers a.jsonl --opponent b.jsonl --out verdicts.jsonl --model JUDGE "
        "--base-url http://localhost:8000/v1 · diverseevol score runs/k_center runs/random · "
        "diverseevol score verdicts.jsonl --json"
    ),
    compare: (
        "diverseevol compare --pool pool.jsonl --model MODEL --strategies k_center,k_means --seeds 0,1,2,3,4 "
        "--out runs/compare heldout.path=heldout.jsonl"
    ),
    report: "diverseevol report runs/a --out a.html · diverseevol report runs/compare --out compare.html",
}
"""Every verb in the order of --help, with what the end of its own help shows."""

COMMANDS: dict[Callable[..., None], type[TyperCommand]] = {
    init: SettingsCommand.of("InitConfig"),
    plan: SettingsCommand.of("RunConfig", "PlanConfig", names=(*SIZES, "hardware", "utilisation")),
    run: SettingsCommand.of("RunConfig", names=SIZES),
    demo: SettingsCommand.of("DemoConfig"),
    select: SelectCommand.of("RunConfig", names=("trust_remote_code",)),
    heldout: SettingsCommand.of("TasksConfig"),
    diversity: SettingsCommand.of("DiversityConfig"),
    answer: SettingsCommand.of("AnswerConfig"),
    score: SettingsCommand.of("JudgeConfig"),
    compare: SettingsCommand.of("RunConfig", names=SIZES),
}
"""The verbs whose options are more than what they declare."""
ALIASES: dict[str, Callable[..., None]] = {"embed": select, "judge": score}
"""Names that verbs had before they were one with another; they still work."""
PLACES = frozenset({"embeddings", "file", "model", "opponent", "template"})
"""Options that name a file or a folder, or something else by a plain word."""


def _with_expanded_paths(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with `~` and environment variables expanded in every path that it is given."""

    def path_of(name: str, value: object) -> object:
        if isinstance(value, list):
            return [path_of(name, item) for item in value]
        text = str(value)
        if isinstance(value, Path):
            return Path(expanded(text))
        is_place = name in PLACES or (name == "words" and ("=" not in text or text.startswith("~")))
        return expanded(text) if is_place and isinstance(value, str) else value

    @wraps(verb)
    def call(**given: object) -> None:
        verb(**{name: path_of(name, value) for name, value in given.items()})

    return call


for name, verb in [*((verb.__name__, verb) for verb in EXAMPLES), *ALIASES.items()]:
    about = f"Example: {EXAMPLES[verb]}"
    command = app.command(name, cls=COMMANDS.get(verb), epilog=about, hidden=name in ALIASES)
    command(_with_expanded_paths(verb))


def main() -> NoReturn:
    """Run the program with the process's arguments and end the process."""
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    error: Exception | None = None
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(arguments, standalone_mode=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        status = INTERRUPTED
    except Exception as caught:  # noqa: BLE001 - the outermost border
        status, error = 1, caught
    if error is not None:
        if "--debug" in sys.argv:
            traceback.print_exception(error)
        if not dist.came_from_main(error):
            _say(f"Error: {_explained(error)}")
    # Also when the command-line library has turned Ctrl-C into its own exit.
    if status == INTERRUPTED and arguments[:1] != ["status"]:
        _say("Interrupted. The same command goes on from here; nothing that was finished is lost.")
    sys.stdout.flush()
    sys.stderr.flush()
    if dist.world_size() > 1 and status:
        # A rank that failed must not wait for the others in an exit handler: its launcher ends them once it
        # is gone.
        os._exit(status)
    dist.stop()
    sys.exit(status)


def _explained(error: Exception) -> str:
    if isinstance(error, DiverseEvolError):
        return str(error)
    if not isinstance(error, OSError):  # whatever is left is a fault of ours
        found = f"internal error: {type(error).__name__}: {error}"
        return f"{found}\nThis is a fault of diverseevol; --debug shows where."
    at = f" at {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        to_do = "Free some space and give the same command again; nothing that was finished is lost."
        return f"the disk is full{at}. {to_do}"
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return f"not allowed to write{at}: {error.strerror}. Give --out a folder you may write to."
    return f"{error.strerror or error}{at}."


def _say(text: str) -> None:
    prefix = f"[rank {dist.rank()}] " if dist.world_size() > 1 else ""
    print(prefix + text, file=sys.stderr, flush=True)


def _terminated(number: int, frame: FrameType | None) -> None:
    """SIGTERM, as Slurm and Kubernetes send it, ends a run like Ctrl-C."""
    raise KeyboardInterrupt
