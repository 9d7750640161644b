"""`answer`: a model's answers to benchmarks; `score`: a judge's verdicts on them, and their sum."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base.text import printable
from ..errors import ConfigError
from . import options as o
from .render import figure, show_json, show_lines, show_table

if TYPE_CHECKING:
    from ..config.verbs import JudgeConfig
    from ..evaluation.bootstrap import Interval
    from ..evaluation.scoring import FileScore, ScoreReport
    from ..evaluation.verdict_files import Problem

BENCHMARK = (
    "vicuna, koala, wizardlm, mt_bench, alpaca_eval, or NAME=FILE:FIELD; a known name may have a =FILE, "
    "too. May be repeated."
)
ROUND = (
    "Whose answers: a round's number, last, best (lowest held-out loss), base (the untuned model), or all "
    "that are kept."
)
FILES = (
    "Verdict files, folders of them, or run folders: our layout or the published one. With --model, "
    "a run folder with answers, and the judge's settings as its API calls them, such as max_tokens=512."
)
JUDGE = "A judge to ask first, by its name at its server; needs --opponent."
JUDGED = "With --model: whose answers in the run; what follows = is `answer`'s alone."
OPPONENT = "With --model: a file of answers, a round (5, base), or OTHER_RUN:ROUND."
WHICH = "With --model: which of the run's answers: a round's number, base, last or all."
ANSWERS = (
    "Our answers, a file or a folder with MODEL.jsonl: for lengths that verdicts do not hold (may be "
    "repeated, one a verdict file), or, with --model, to be judged instead of a run's."
)
VERDICTS = "With --model and --answers: the file of verdicts; replies are kept beside it."
AGAINST = (
    "Take every other file's difference from this one. (Of two files or two folders it is taken by itself.)"
)
SCALE = "The scale that the judge was given; scores from 0 up to it count as given."
N_SHOWN = 8
"""Problems of one kind in one file that are spelled out; --json has them all."""
NONE = "–"
LEGEND = (
    "RS: 100 × ours / opponent's, over questions and orders; first, second: RS with ours shown first, "
    "second; changed: questions whose outcome hangs on the order."
)
LENGTH_LEGEND = (
    "length: characters; r(score, length): with log length, over questions; LC: at equal length "
    "(? where ours is nearly always the longer or the shorter one); longer: questions in which ours is."
)


def answer(
    benchmark: Annotated[list[str], typer.Option("--benchmark", help=BENCHMARK)],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN] [KEY=VALUE]…", help="A run folder.")
    ] = None,
    round_name: Annotated[str, typer.Option("--round", help=ROUND)] = "last",
    model: Annotated[
        str | None, typer.Option("--model", help="Instead of a run: a model or adapter, folder or Hub id.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --model or without a run: the file of answers.")
    ] = None,
) -> None:
    """Let a model answer questions, by the prompt that it was trained with.

    The same command again resumes.
    """
    from ..config.verbs import AnswerConfig
    from ..evaluation.answer import answer as answer_questions
    from .watch import open_watch, quiet_libraries

    given, others = o.read_settings(AnswerConfig, words)
    answer_questions(
        benchmark,
        o.only_run(others),
        round_name=round_name,
        model=model,
        out=out,
        settings=given,
        watch=open_watch(),
        before_loading=quiet_libraries,
    )


def score(
    words: Annotated[list[str] | None, typer.Argument(metavar="FILE… [KEY=VALUE]…", help=FILES)] = None,
    model: Annotated[str | None, typer.Option("--model", help=JUDGE)] = None,
    opponent: Annotated[str | None, typer.Option("--opponent", help=OPPONENT)] = None,
    benchmark: Annotated[str | None, typer.Option("--benchmark", help=JUDGED)] = None,
    round_name: Annotated[str, typer.Option("--round", help=WHICH)] = "last",
    answers: Annotated[list[Path] | None, typer.Option("--answers", help=ANSWERS)] = None,
    out: Annotated[Path | None, typer.Option("--out", help=VERDICTS)] = None,
    opponent_answers: Annotated[
        list[Path] | None, typer.Option("--opponent-answers", help="The opponent's, likewise.")
    ] = None,
    against: Annotated[Path | None, typer.Option("--against", help=AGAINST)] = None,
    scale: Annotated[tuple[float, float], typer.Option("--scale", help=SCALE)] = (1.0, 10.0),
    as_json: o.AsJson = False,
) -> None:
    """Ask a judge for verdicts, in both orders, and add verdicts up: Relative Score, wins, differences.

    Without --model no judge is asked. The same command again asks for what is left.
    """
    from ..config.verbs import JudgeConfig
    from ..evaluation.scoring import score as score_verdicts

    given, others = o.read_settings(JudgeConfig, words)
    if model is not None and opponent is not None:
        files = _ask(given, others, model, opponent, benchmark, round_name, answers, out)
        answers = None
    elif model is not None or opponent or benchmark or out:
        raise typer.BadParameter("to ask a judge, name it and whom to compare with: --model and --opponent")
    elif not others:
        raise typer.BadParameter("give files of verdicts or run folders; or a judge: --model and --opponent")
    else:
        from ..base.files import expanded

        files = [Path(expanded(name)) for name in others]
    report = score_verdicts(
        *files,
        answers=answers or (),
        opponent_answers=opponent_answers or (),
        against=against,
        n_questions=given.n_questions,
        scale=scale,
    )
    if as_json:
        show_json(asdict(report))
    else:
        show_scores(report)


def _ask(
    given: JudgeConfig,
    words: Sequence[str],
    model: str,
    opponent: str,
    benchmark: str | None,
    round_name: str,
    answers: list[Path] | None,
    out: Path | None,
) -> list[Path]:
    """Have the judge's verdicts written; the files."""
    from ..evaluation.judge import judge
    from .watch import open_watch

    def agree() -> None:
        if given.yes:
            return
        if not sys.stdin.isatty():
            raise ConfigError("nothing was sent: where no terminal can be asked, judging needs --yes.")
        typer.confirm("Ask the judge?", abort=True, err=True)

    if answers and len(answers) > 1:
        raise typer.BadParameter("a judge is asked about one file of --answers at a time")
    settings = [word for word in words if "=" in word and not Path(word).is_dir()]
    return judge(
        model,
        opponent,
        o.only_run(words, are_words_left=True),
        benchmark,
        round_name=round_name,
        answers=answers[0] if answers else None,
        out=out,
        sampling=o.key_values(settings),
        settings=given,
        agree=agree,
        watch=open_watch(),
    )


def show_scores(report: ScoreReport) -> None:
    """A table of scores and one of lengths, then differences, then everything that does not count."""
    names = short_names([score.name for score in report.files])
    shown = {score.name: printable(names[score.name]) for score in report.files}
    orders = ("first", "second", "order effect", "changed")
    headings: tuple[str, ...] = ("file", "RS", "95 %", "questions", "win/tie/lose", "win rate", *orders)
    rows = [(shown[score.name], *_cells(score)) for score in report.files]
    show_table(headings, rows, texts=("file",), is_wrapped=True)
    show_lines([LEGEND])
    rows = [(shown[score.name], *_length_cells(score)) for score in report.files if score.lengths]
    if rows:
        controlled = ("LC RS", "LC 95 %", "LC win rate")
        headings = ("file", "length", "opponent's", "r(score, length)", *controlled, "longer")
        show_table(headings, rows, texts=("file",), is_wrapped=True)
        show_lines([LENGTH_LEGEND])
    show_lines(map(printable, _words(report, names)))


def _words(report: ScoreReport, names: dict[str, str]) -> Iterator[str]:
    if report.length_correlation is not None:
        yield f"correlation of the files' scores with their mean log length: {report.length_correlation:.2f}"
    for gap in report.differences:
        first, second = names.get(gap.name, gap.name), names.get(gap.against, gap.against)
        between = f" [{_span(gap.interval, '+.2f')}]" if gap.interval else ""
        doubt = f" ({gap.doubt})" if gap.doubt else ""
        found = f"{gap.value:+.2f}{between} on {gap.n_questions} questions: {gap.finding}{doubt}"
        yield f"{first} - {second}: {found}"
    if len(report.files) > 1 and not report.differences:
        yield (
            "No difference was taken: --against FILE takes every file's from one; "
            "two files, or two folders, need nothing further."
        )
    for score in report.files:
        if score.n_complete < score.n_judged:
            over = f"RS over the {score.n_complete} questions that count in every order"
            yield f"{names[score.name]}: {over}: {figure(score.rs_complete, '.2f', NONE)}"
        yield from problem_lines(names[score.name], score.problems)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names without the folder that all of them share and without the ending."""
    paths = {name: Path(name).absolute() for name in names}
    shared = os.path.commonpath([path.parent for path in paths.values()]) if paths else ""
    short = {name: str(path.relative_to(shared)) for name, path in paths.items()}
    endings = (".gz", ".zst", ".jsonl")
    for ending in endings:
        short = {name: text.removesuffix(ending) for name, text in short.items()}
    return short


def problem_lines(name: str, problems: Sequence[Problem]) -> Iterator[str]:
    """A heading a kind of problem, and the first of each kind in full."""
    for kind in dict.fromkeys(problem.kind for problem in problems):
        found = [problem for problem in problems if problem.kind == kind]
        yield f"{name}: {len(found)} × {kind.replace('_', ' ')}"
        for problem in found[:N_SHOWN]:
            where = "" if problem.question_id is None else f"question {problem.question_id}"
            order = "" if problem.order is None else f", ours {('first', 'second')[problem.order]}"
            yield f"    {where}{order}{': ' if where else ''}{problem.detail}"
        if len(found) > N_SHOWN:
            yield f"    and {len(found) - N_SHOWN} more; --json lists them all"


def _cells(score: FileScore) -> tuple[str, ...]:
    tally, orders, n_used = score.tally, score.orders, score.n_complete
    effect = figure(orders.effect if orders else None, "+.2f", NONE)
    if orders and orders.interval:
        effect += f" [{_span(orders.interval, '+.1f')}]"
    return (
        figure(score.rs, ".2f", NONE),
        _span(score.interval),
        str(n_used) if n_used == score.n_questions else f"{n_used} of {score.n_questions}",
        f"{tally.wins}/{tally.ties}/{tally.losses}" if tally else NONE,
        figure(tally.win_rate if tally else None, ".1f", NONE),
        figure(orders.first if orders else None, ".2f", NONE),
        figure(orders.second if orders else None, ".2f", NONE),
        effect,
        figure(tally.share_changed if tally else None, ".0%", NONE),
    )


def _length_cells(score: FileScore) -> tuple[str, ...]:
    lengths: Any = score.lengths
    return (
        f"{lengths.mean:.0f}",
        figure(lengths.opponent_mean, ".0f", NONE),
        figure(lengths.correlation, ".2f", NONE),
        figure(lengths.controlled, ".2f", NONE) + ("?" if lengths.is_extrapolated else ""),
        _span(lengths.controlled_interval),
        figure(lengths.controlled_win_rate, ".1f", NONE),
        figure(lengths.share_longer, ".0%", NONE),
    )


def _span(interval: Interval | None, form: str = ".2f") -> str:
    return NONE if interval is None else f"{interval.low:{form}}…{interval.high:{form}}"
