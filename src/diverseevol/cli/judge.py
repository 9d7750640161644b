"""`judge`: a model's verdicts on answers, without loading torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError

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
TemplateOption = Annotated[
    str, typer.Option("--template", help="The instruction: pairwise, or a file of yours.")
]
Url = Annotated[
    str | None,
    typer.Option("--base-url", envvar="OPENAI_BASE_URL", help="Any server with the OpenAI chat API."),
]
KeyVariable = Annotated[
    str, typer.Option("--key-variable", help="The environment variable that holds the key.")
]
Name = Annotated[str | None, typer.Option("--opponent-name", help="How the verdicts call the opponent.")]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, help="Requests under way at once.")]
Retries = Annotated[
    int,
    typer.Option("--retries", min=0, help="Further tries after 429, 5xx, a time-out or a cut connection."),
]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for a reply.")]
Limit = Annotated[
    float | None, typer.Option("--budget", min=0, help="Money that all this may cost; needs both prices.")
]
PriceIn = Annotated[float | None, typer.Option("--price-in", min=0, help="Money per million tokens sent.")]
PriceOut = Annotated[
    float | None, typer.Option("--price-out", min=0, help="Money per million tokens received.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Spend without asking.")]


def judge(
    model: Model,
    opponent: Opponent,
    words: Words = None,
    benchmark: Benchmark = None,
    round_name: Round = "last",
    answers: Answers = None,
    out: Out = None,
    template: TemplateOption = "pairwise",
    base_url: Url = None,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    opponent_name: Name = None,
    concurrency: Concurrency = 8,
    retries: Retries = 6,
    timeout: Timeout = 120.0,
    budget: Limit = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    yes: Yes = False,
) -> None:
    """Ask a model for verdicts on answers against an opponent's, in both orders; the same command again resumes."""
    from ..evaluation.judge import judge as judge_answers
    from ..evaluation.judge_ask import Limits
    from .watch import open_watch

    run, sampling = _taken_apart(words or [])
    judge_answers(
        model,
        opponent,
        run,
        benchmark,
        round_name=round_name,
        answers=answers,
        out=out,
        template=template,
        sampling=sampling,
        base_url=base_url,
        key=os.environ.get(key_variable),
        opponent_name=opponent_name,
        limits=Limits(concurrency, retries, timeout),
        budget=budget,
        price_in=price_in,
        price_out=price_out,
        agree=lambda: _agree(yes),
        watch=open_watch(),
    )


def _taken_apart(words: Sequence[str]) -> tuple[Path | None, dict[str, Any]]:
    """The run folder, if there is one among the words, and the judge's settings."""
    from ..config.load import parse_yaml

    runs = [word for word in words if "=" not in word or Path(word).is_dir()]
    if len(runs) > 1:
        raise typer.BadParameter(f"one run folder at most, found {runs[0]!r} and {runs[1]!r}")
    given = dict(word.split("=", 1) for word in words if word not in runs)
    sampling = {key.strip(): parse_yaml(text, f"the value of {key}") for key, text in given.items()}
    return (Path(runs[0]) if runs else None), sampling


def _agree(is_agreed: bool) -> None:
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nothing was sent: where no terminal can be asked, judging needs --yes.")
    typer.confirm("Ask the judge?", abort=True, err=True)
