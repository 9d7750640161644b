"""`answer`: a model's answers to the questions of benchmarks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
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
    from ..evaluation.answer import Server
    from ..evaluation.answer import answer as answer_questions
    from .run import quiet_libraries
    from .watch import open_watch

    given, others = read_settings(AnswerConfig, words)
    run = only_run(others)
    server = None
    if given.base_url and given.served_model:
        key = os.environ.get(given.key_variable)
        server = Server(given.base_url, given.served_model, key, given.concurrency)
    elif given.base_url or given.served_model:
        raise ConfigError(
            "--base-url and --served-model belong together: the server's address and the model's name there."
        )
    answer_questions(
        benchmark,
        run,
        rounds=round_name,
        model=model,
        out=out,
        sampling=given.sampling,
        max_new_tokens=given.max_new_tokens,
        seed=given.seed,
        dtype=given.dtype,
        batch_size=given.batch_size,
        template=given.template,
        benchmarks_dir=Path(given.benchmarks_dir) if given.benchmarks_dir else None,
        server=server,
        overwrite=given.overwrite,
        trust_remote_code=given.trust_remote_code,
        watch=open_watch(),
        before_loading=quiet_libraries,
    )
