"""`judge`: a model's verdicts on answers, without loading torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .settings import only_run, read_settings

WORDS = "A run folder with answers, and the judge's settings as its API calls them, such as max_tokens=512."

Words = Annotated[list[str] | None, typer.Argument(metavar="[RUN] [KEY=VALUE]…", help=WORDS)]
Model = Annotated[str, typer.Option("--model", help="The judge's name at its server.")]
Benchmark = Annotated[
    str | None,
    typer.Option("--benchmark", help="Whose answers in the run; what follows = is `answer`'s alone."),
]
Opponent = Annotated[
    str, typer.Option("--opponent", help="A file of answers, a round (5, base), or OTHER_RUN:ROUND.")
]
Round = Annotated[
    str, typer.Option("--round", help="Which of the run's answers: a round's number, base, last or all.")
]
Answers = Annotated[Path | None, typer.Option("--answers", help="A file of answers, instead of a run's.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="With --answers: the file of verdicts; replies are kept beside it."),
]


def judge(
    model: Model,
    opponent: Opponent,
    words: Words = None,
    benchmark: Benchmark = None,
    round_name: Round = "last",
    answers: Answers = None,
    out: Out = None,
) -> None:
    """Ask a model for verdicts on answers against an opponent's, in both orders.

    The same command again resumes.
    """
    from ..config.verbs import JudgeConfig
    from ..evaluation.judge import judge as judge_answers
    from .watch import open_watch

    given, others = read_settings(JudgeConfig, words)
    run, sampling = only_run(others, are_words_left=True), _sampling(others)
    judge_answers(
        model,
        opponent,
        run,
        benchmark,
        round_name=round_name,
        answers=answers,
        out=out,
        sampling=sampling,
        settings=given,
        agree=lambda: _agree(given.yes),
        watch=open_watch(),
    )


def _sampling(words: Sequence[str]) -> dict[str, Any]:
    """The judge's settings as its API calls them: every `key=value`."""
    from ..config import parse_yaml

    given = dict(word.split("=", 1) for word in words if "=" in word and not Path(word).is_dir())
    return {key.strip(): parse_yaml(text, f"the value of {key}") for key, text in given.items()}


def _agree(is_agreed: bool) -> None:
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nothing was sent: where no terminal can be asked, judging needs --yes.")
    typer.confirm("Ask the judge?", abort=True, err=True)
