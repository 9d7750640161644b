"""`answer`: a model's answers to the questions of benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .settings import only_run, read_settings

BENCHMARK = (
    "vicuna, koala, wizardlm, mt_bench, alpaca_eval, or NAME=FILE:FIELD; a known name may have a =FILE, "
    "too. May be repeated."
)
ROUND = (
    "Whose answers: a round's number, last, best (lowest held-out loss), base (the untuned model), or all "
    "that are kept."
)

Words = Annotated[list[str] | None, typer.Argument(metavar="[RUN] [KEY=VALUE]…", help="A run folder.")]
Benchmarks = Annotated[list[str], typer.Option("--benchmark", help=BENCHMARK)]
Round = Annotated[str, typer.Option("--round", help=ROUND)]
Model = Annotated[
    str | None, typer.Option("--model", help="Instead of a run: a model or adapter, folder or Hub id.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="With --model or without a run: the file of answers.")
]


def answer(
    benchmark: Benchmarks,
    words: Words = None,
    round_name: Round = "last",
    model: Model = None,
    out: Out = None,
) -> None:
    """Let a model answer questions, by the prompt that it was trained with.

    The same command again resumes.
    """
    from ..config.verbs import AnswerConfig
    from ..evaluation.answer import answer as answer_questions
    from .run import quiet_libraries
    from .watch import open_watch

    given, others = read_settings(AnswerConfig, words)
    answer_questions(
        benchmark,
        only_run(others),
        round_name=round_name,
        model=model,
        out=out,
        settings=given,
        watch=open_watch(),
        before_loading=quiet_libraries,
    )
