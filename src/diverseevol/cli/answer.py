"""`answer`: a model's answers to the questions of benchmarks."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

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
Turns = Annotated[
    int, typer.Option("--turns", min=1, max=2, help="2: also the second turn of questions that have one.")
]
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
    turns: Turns = 1,
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
    from ..data.benchmarks import parse_benchmark
    from ..evaluation.questions import read_questions
    from .answer_models import Sampled, check_usage, load_local, model_alone, models_of_run, open_served

    asked = [parse_benchmark(word) for word in benchmark]
    names = [one.name for one in asked]
    check_usage(names, run, round_name, model, out, base_url, served_model)
    from ..base import dist
    from .watch import open_watch

    watch = open_watch()
    questions = [read_questions(one, benchmarks_dir) for one in asked]
    for note in (note for one in questions for note in one.notes):
        watch.note(note)
    dist.start()
    from ..evaluation.answer.job import answer_benchmarks
    from ..models.load import fingerprint
    from ..run import RunFolder

    sampled = Sampled(sampling, max_new_tokens, turns, seed)
    is_served = bool(served_model)
    targets = (
        models_of_run(run, round_name, is_served, watch)
        if run
        else [model_alone(model, template, trust_remote_code)]
    )
    for target in targets:
        files = {name: out or RunFolder(run or Path()).answers_file(name, target.name) for name in names}
        settings = asdict(sampled) | {"prompt": target.prompt.model_dump(include={"template"})}
        if base_url and served_model:
            settings["served_model"] = served_model
            key = os.environ.get(key_variable)
            load = partial(open_served, target, sampled, base_url, served_model, key, concurrency, watch)
        else:
            settings |= {"model": fingerprint(str(target.model)), "dtype": dtype}
            load = partial(load_local, target, sampled, dtype, batch_size)
        answer_benchmarks(target.title, files, settings, load, questions, overwrite, watch)
