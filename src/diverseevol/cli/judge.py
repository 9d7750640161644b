"""`judge`: a model's verdicts on answers, without loading torch."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..evaluation.judge.cost import Prices
    from ..evaluation.judge.request import Judge

WORDS = "A run folder with answers, and the judge's settings as its API calls them, such as max_tokens=512."

Words = Annotated[list[str] | None, typer.Argument(metavar="[RUN] [KEY=VALUE]…", help=WORDS)]
Model = Annotated[str, typer.Option("--model", help="The judge's name at its server.")]
Benchmark = Annotated[
    str | None,
    typer.Option("--benchmark", help="Whose answers in the run; what follows = is `answer`'s alone."),
]
Opponent = Annotated[
    str | None, typer.Option("--opponent", help="A file of answers, a round (5, base), or OTHER_RUN:ROUND.")
]
Round = Annotated[
    str, typer.Option("--round", help="Which of the run's answers: a round's number, base, last or all.")
]
Answers = Annotated[Path | None, typer.Option("--answers", help="A file of answers, instead of a run's.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="With --answers: the file of verdicts; replies are kept beside it."),
]
Single = Annotated[
    bool, typer.Option("--single", help="Each answer by itself, 1 to 10, without an opponent.")
]
TemplateOption = Annotated[
    str | None, typer.Option("--template", help="The instruction: pairwise, single, or a file of yours.")
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
Rate = Annotated[float | None, typer.Option("--rate", min=0.001, help="Requests a minute at most.")]
Retries = Annotated[
    int,
    typer.Option("--retries", min=0, help="Further tries after 429, 5xx, a time-out or a cut connection."),
]
Attempts = Annotated[int, typer.Option("--attempts", min=1, help="Replies to ask for until one is readable.")]
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
    words: Words = None,
    benchmark: Benchmark = None,
    opponent: Opponent = None,
    round_name: Round = "last",
    answers: Answers = None,
    out: Out = None,
    single: Single = False,
    template: TemplateOption = None,
    base_url: Url = None,
    key_variable: KeyVariable = "OPENAI_API_KEY",
    opponent_name: Name = None,
    concurrency: Concurrency = 8,
    rate: Rate = None,
    retries: Retries = 6,
    attempts: Attempts = 3,
    timeout: Timeout = 120.0,
    budget: Limit = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    yes: Yes = False,
) -> None:
    """Ask a model for verdicts on answers, against an opponent's in both orders; the same command again resumes."""
    from ..evaluation.api_client import ApiClient
    from ..evaluation.judge.asking import Limits
    from ..evaluation.judge.request import Judge
    from ..evaluation.judge.store import open_store
    from ..evaluation.judge.template import load_template
    from .judge_files import contests
    from .judge_session import JudgeSession
    from .watch import open_watch

    run, settings = _taken_apart(words or [])
    instruction = load_template(template or ("single" if single else "pairwise"))
    if instruction.n_answers != (1 if single else 2):
        raise ConfigError(
            f"the template {instruction.name} shows {instruction.n_answers} answer(s). Give one that fits, or (no) --single."
        )
    _check_finite(rate=rate, timeout=timeout, budget=budget, price_in=price_in, price_out=price_out)
    judge_ = Judge(model, instruction, settings)
    prices = _prices(price_in, price_out, budget, judge_)
    found, replies_file = contests(
        run,
        benchmark,
        round_name,
        opponent=opponent,
        opponent_name=opponent_name,
        answers=answers,
        out=out,
        is_single=single,
    )
    with open_store(replies_file) as store:
        limits = Limits(concurrency, rate, retries, attempts)
        session = JudgeSession(judge_, found, store, limits, prices, budget, open_watch())
        session.announce()
        if session.open:
            client = ApiClient(base_url, os.environ.get(key_variable), timeout)
            _agree(yes)
            session.ask(client)
        session.close()


def _taken_apart(words: Sequence[str]) -> tuple[Path | None, dict[str, Any]]:
    """The run folder, if there is one among the words, and the judge's settings."""
    from ..config.load import parse_yaml
    from ..evaluation.judge.request import DEFAULT_SAMPLING

    runs = [word for word in words if "=" not in word or Path(word).is_dir()]
    if len(runs) > 1:
        raise typer.BadParameter(f"one run folder at most, found {runs[0]!r} and {runs[1]!r}")
    given = dict(word.split("=", 1) for word in words if word not in runs)
    values = {key.strip(): parse_yaml(text, f"the value of {key}") for key, text in given.items()}
    settings = {**DEFAULT_SAMPLING, **values}
    return (Path(runs[0]) if runs else None), {
        key: value for key, value in settings.items() if value is not None
    }


def _check_finite(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise ConfigError(f"--{name.replace('_', '-')} is {value}: give a number.")


def _prices(
    price_in: float | None, price_out: float | None, budget: float | None, judge: Judge
) -> Prices | None:
    from ..evaluation.judge.cost import Prices

    if price_in is not None and price_out is not None:
        if budget is not None and judge.longest_reply is None:
            raise ConfigError("--budget needs a longest reply: give max_tokens=N or max_completion_tokens=N.")
        return Prices(price_in, price_out)
    if price_in is not None or price_out is not None or budget is not None:
        raise ConfigError("money needs both prices: give --price-in and --price-out, per million tokens.")
    return None


def _agree(is_agreed: bool) -> None:
    if is_agreed:
        return
    if not sys.stdin.isatty():
        raise ConfigError("nothing was sent: where no terminal can be asked, judging needs --yes.")
    typer.confirm("Ask the judge?", abort=True, err=True)
