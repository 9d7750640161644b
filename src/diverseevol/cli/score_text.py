"""A report on verdicts as lines of text: one table, then differences, then everything that does not count."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..evaluation.bootstrap import Interval
from ..evaluation.scoring import FileScore, ScoreReport
from ..evaluation.verdict_files import Problem

N_SHOWN = 8
"""Problems of one kind in one file that are spelled out; --json has them all."""
NONE = "–"
COLUMNS = (
    "RS",
    "95 %",
    "questions",
    "win/tie/lose",
    "win rate",
    "first",
    "second",
    "order effect",
    "changed",
)
LENGTH_COLUMNS = ("length", "opponent's", "r(score, length)", "LC RS", "95 %", "LC win rate", "longer")
LEGEND = (
    "RS: 100 × ours / opponent's, over questions and orders; first, second: RS with ours shown first, "
    "second; "
    "changed: questions whose outcome hangs on the order."
)
LENGTH_LEGEND = (
    "length: characters; r(score, length): with log length, over questions; LC: at equal length "
    "(? where ours is nearly always the longer or the shorter one); longer: questions in which ours is."
)


def report_lines(report: ScoreReport) -> Iterator[str]:
    """The lines that `score` prints."""
    names = short_names([score.name for score in report.files])
    yield from table(("file", *COLUMNS), [(names[score.name], *_cells(score)) for score in report.files])
    yield LEGEND
    measured = [score for score in report.files if score.lengths is not None]
    if measured:
        yield ""
        yield from table(
            ("file", *LENGTH_COLUMNS), [(names[score.name], *_length_cells(score)) for score in measured]
        )
        yield LENGTH_LEGEND
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
            yield f"{names[score.name]}: {over}: {_number(score.rs_complete)}"
        yield from problem_lines(names[score.name], score.problems)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names without the folder that all of them share and without the ending."""
    paths = {name: Path(name).absolute() for name in names}
    shared = os.path.commonpath([path.parent for path in paths.values()]) if paths else ""
    short = {name: str(path.relative_to(shared)) for name, path in paths.items()}
    return {
        name: text.removesuffix(".gz").removesuffix(".zst").removesuffix(".jsonl")
        for name, text in short.items()
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows in columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


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
    tally, orders = score.tally, score.orders
    effect = _number(orders.effect if orders else None, "+.2f")
    if orders and orders.interval:
        effect += f" [{_span(orders.interval, '+.1f')}]"
    return (
        _number(score.rs),
        _span(score.interval),
        _counted(score),
        f"{tally.wins}/{tally.ties}/{tally.losses}" if tally else NONE,
        _number(tally.win_rate if tally else None, ".1f"),
        _number(orders.first if orders else None),
        _number(orders.second if orders else None),
        effect,
        _number(tally.share_changed if tally else None, ".0%"),
    )


def _length_cells(score: FileScore) -> tuple[str, ...]:
    lengths = score.lengths
    assert lengths is not None
    return (
        f"{lengths.mean:.0f}",
        _number(lengths.opponent_mean, ".0f"),
        _number(lengths.correlation),
        _number(lengths.controlled) + ("?" if lengths.is_extrapolated else ""),
        _span(lengths.controlled_interval),
        _number(lengths.controlled_win_rate, ".1f"),
        _number(lengths.share_longer, ".0%"),
    )


def _counted(score: FileScore) -> str:
    """How many questions count, and of how many if not all of them do."""
    n_used = score.n_complete
    return str(n_used) if n_used == score.n_questions else f"{n_used} of {score.n_questions}"


def _number(value: float | None, form: str = ".2f") -> str:
    return NONE if value is None else format(value, form)


def _span(interval: Interval | None, form: str = ".2f") -> str:
    return NONE if interval is None else f"{interval.low:{form}}…{interval.high:{form}}"
