"""`answer`: a model's answers to the questions of benchmarks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import ConfigError

BENCHMARK = "vicuna, koala, wizardlm, mt_bench, alpaca_eval, or NAME=FILE:FIELD; a known name may have a =FILE, too. May be repeated."
ROUND = "Whose answers: a round's number, last, best (lowest held-out loss), base (the untuned model), or all that are kept."
SAMPLING = "paper: temperature 0.7, 50 best; model: its own generation_config."
DTYPE = "auto: as saved. In float32 the answers are the same whatever the batch."

Run = Annotated[Path | None, typer.Argument(metavar="[RUN]", help="A run folder.")]
Benchmarks = Annotated[list[str], typer.Option("--benchmark", help=BENCHMARK)]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--benchmarks-dir", envvar="DIVERSEEVOL_BENCHMARKS", help="Where known benchmarks' files lie."
    ),
]
Round = Annotated[str, typer.Option("--round", help=ROUND)]
Model = Annotated[
    str | None, typer.Option("--model", help="Instead of a run: a model or adapter, folder or Hub id.")
]
Out = Annotated[
    Path | None, typer.Option("--out", help="With --model or without a run: the file of answers.")
]
Url = Annotated[
    str | None,
    typer.Option("--base-url", help="Ask a server with the OpenAI API instead of loading the model."),
]
Served = Annotated[str | None, typer.Option("--served-model", help="The model's name at that server.")]
Parallel = Annotated[
    int, typer.Option("--concurrency", min=1, help="Requests to the server under way at once.")
]
KeyVariable = Annotated[
    str, typer.Option("--key-variable", help="The environment variable that holds the server's key.")
]
SamplingName = Annotated[Literal["paper", "greedy", "model"], typer.Option("--sampling", help=SAMPLING)]
MaxNew = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Tokens of an answer at most.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Fixes each question's random numbers.")]
Dtype = Annotated[Literal["auto", "float32", "bfloat16", "float16"], typer.Option("--dtype", help=DTYPE)]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Questions at once; by itself as many as fit.")
]
Template = Annotated[
    Literal["alpaca", "chat", "auto"],
    typer.Option("--template", help="Without a run; auto: chat where the model has a template."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Answer again what was answered with other settings.")
]
Trust = Annotated[
    bool, typer.Option("--trust-remote-code", help="Without a run: let the model's own Python code run.")
]


def answer(
    benchmark: Benchmarks,
    run: Run = None,
    round_name: Round = "last",
    model: Model = None,
    out: Out = None,
    sampling: SamplingName = "paper",
    max_new_tokens: MaxNew = 1024,
    seed: Seed = 0,
    dtype: Dtype = "auto",
    batch_size: BatchSize = None,
    template: Template = "auto",
    benchmarks_dir: Folder = None,
    base_url: Url = None,
    served_model: Served = None,
    concurrency: Parallel = 8,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    overwrite: Overwrite = False,
    trust_remote_code: Trust = False,
) -> None:
    """Let a model answer questions, by the prompt that it was trained with; the same command again resumes."""
    if bool(base_url) != bool(served_model):
        raise ConfigError(
            "--base-url and --served-model belong together: the server's address and the model's name there."
        )
    from ..evaluation.answer import Server
    from ..evaluation.answer import answer as answer_questions
    from .run import quiet_libraries
    from .watch import open_watch

    key = os.environ.get(key_variable)
    answer_questions(
        benchmark,
        run,
        rounds=round_name,
        model=model,
        out=out,
        sampling=sampling,
        max_new_tokens=max_new_tokens,
        seed=seed,
        dtype=dtype,
        batch_size=batch_size,
        template=template,
        benchmarks_dir=benchmarks_dir,
        server=Server(base_url, served_model, key, concurrency) if base_url and served_model else None,
        overwrite=overwrite,
        trust_remote_code=trust_remote_code,
        watch=open_watch(),
        before_loading=quiet_libraries,
    )
