"""Several verdict files side by side: every one's figures, differences on the same questions, and what length has to do with it.

A difference is taken on the questions that both files judge, drawn together, so that what makes a question easy or hard cancels out.
Cost: the bootstrap's, once a figure. Shape letters: Q questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import EvaluationError
from .answer_lengths import answers_file_of, with_lengths
from .bootstrap import Interval, confidence_interval, difference, value_of
from .judgements import Problem, Verdicts
from .length_control import correlation
from .verdict import FileScore, headline, score_file
from .verdict_files import SCALE, find_verdict_files, read_verdicts

Finding = Literal["better", "worse", "no difference shown", "too few questions"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One file's RS (or mean score) minus another's, on the questions that count in both.

    Attributes:
        name: The first file; `against`: the second.
        n_questions: Questions that count in both.
        value: First minus second; `interval`: of that.
        finding: The first is `better` or `worse` where the interval leaves 0 out, else `no difference shown`.
        doubt: Why the two may not be comparable, empty where nothing speaks against it.
    """

    name: str
    against: str
    n_questions: int
    value: float
    interval: Interval | None
    finding: Finding
    doubt: str


@dataclass(frozen=True, slots=True)
class VerdictReport:
    """Every file's figures in the order given, the differences, and across the files the correlation of value and mean log length.

    `length_correlation` is None for fewer than three files with known lengths.
    """

    files: tuple[FileScore, ...]
    differences: tuple[Difference, ...]
    length_correlation: float | None


def score_verdicts(
    *paths: str | Path,
    answers: Sequence[str | Path] = (),
    opponent_answers: Sequence[str | Path] = (),
    against: str | Path | None = None,
    n_questions: int | None = None,
    scale: tuple[float, float] = SCALE,
    seed: int = 0,
) -> VerdictReport:
    """Score files of verdicts, this project's or of the layout that DiverseEvol published.

    Args:
        paths: files, or folders of them (rd_2 comes before rd_10). Of two files, or of two folders' files of the same names, the
            differences are taken, too.
        answers: our answers, for lengths that the verdicts do not hold: one file or folder (MODEL.jsonl) for all, or one a verdict file.
        opponent_answers: the opponent's, likewise.
        against: a file from which every other one's difference is taken.
        n_questions: how many questions the benchmark has; a file with another number says so.
        scale: lowest and highest score that the judge may give.
        seed: of the bootstrap's draws.

    Raises:
        PoolError: a path is not there, or holds no verdicts.
        PoolError, EvaluationError: a file cannot be read.
        EvaluationError: a file holds no verdicts, or two cannot be compared.
    """
    groups = [find_verdict_files([Path(path)]) for path in paths]
    files = list(dict.fromkeys(file for group in groups for file in group))
    verdicts = {file: read_verdicts(file, scale) for file in files}
    base = None if against is None else Path(against)
    if base is not None and base not in verdicts:
        verdicts[base] = read_verdicts(base, scale)
    sides = [_answers_of(paths, len(verdicts)) for paths in (answers, opponent_answers)]
    for file_pos, (file, read) in enumerate(verdicts.items()):
        given = [(side[file_pos], name) for side, name in zip(sides, (read.ours, read.opponent), strict=True)]
        verdicts[file] = with_lengths(
            read, [answers_file_of(name, path) if path and name is not None else None for path, name in given]
        )
    everyone = list(verdicts.values())
    scores = [score_file(_complete(one, everyone, n_questions), seed) for one in everyone]
    pairs = (
        _pairs(groups, [Path(path) for path in paths])
        if base is None
        else [(file, base) for file in files if file != base]
    )
    known = [
        (score.value, score.lengths.mean_log)
        for score in scores
        if score.value is not None and score.lengths is not None
    ]
    values = np.array(known).reshape(-1, 2)
    return VerdictReport(
        files=tuple(scores),
        differences=tuple(compare(verdicts[first], verdicts[second], seed) for first, second in pairs),
        length_correlation=correlation(values[:, 0], values[:, 1]),
    )


def compare(first: Verdicts, second: Verdicts, seed: int = 0) -> Difference:
    """First minus second, on the questions that count in both.

    Raises:
        EvaluationError: pairs against single answers, other questions under the same ids, or no question that counts in both.
    """
    names = f"{first.name} and {second.name}"
    if (first.opponent is None) != (second.opponent is None):
        raise EvaluationError(
            f"cannot compare {names}: one holds pairs, the other single answers. Compare files of one kind."
        )
    rows = {question_id: row for row, question_id in enumerate(second.question_ids)}
    common = [
        (row, rows[question_id]) for row, question_id in enumerate(first.question_ids) if question_id in rows
    ]
    for row, other in common:
        if (
            first.questions[row]
            and second.questions[other]
            and first.questions[row] != second.questions[other]
        ):
            texts = f"{first.questions[row][:40]!r} and {second.questions[other][:40]!r}"
            raise EvaluationError(
                f"cannot compare {names}: question {first.question_ids[row]} is {texts}. Compare files of one benchmark."
            )
    pairs_Q2 = np.array(common, dtype=np.int64).reshape(-1, 2)
    counts_in_both = first.counts_QO[pairs_Q2[:, 0]].any(axis=1) & second.counts_QO[pairs_Q2[:, 1]].any(
        axis=1
    )
    pairs_Q2 = pairs_Q2[counts_in_both]
    if not len(pairs_Q2):
        raise EvaluationError(
            f"cannot compare {names}: no question counts in both. Compare files of one benchmark."
        )
    gap = difference(headline(first, pairs_Q2[:, 0]), headline(second, pairs_Q2[:, 1]))
    interval = confidence_interval(gap, len(pairs_Q2), seed)
    value = value_of(gap, len(pairs_Q2))
    if not math.isfinite(value):
        raise EvaluationError(
            f"cannot compare {names}: without a point of the opponent's there is no Relative Score to compare."
        )
    doubt = (
        ""
        if first.opponent == second.opponent
        else f"other opponents: {first.opponent or '?'}, {second.opponent or '?'}"
    )
    return Difference(first.name, second.name, len(pairs_Q2), value, interval, _finding(interval), doubt)


def _finding(interval: Interval | None) -> Finding:
    if interval is None:
        return "too few questions"
    if interval.low > 0:
        return "better"
    return "worse" if interval.high < 0 else "no difference shown"


def _answers_of(paths: Sequence[str | Path], n_files: int) -> list[Path | None]:
    if len(paths) > 1 and len(paths) != n_files:
        raise EvaluationError(
            f"{len(paths)} files of answers for {n_files} of verdicts. Give one a file, or a folder of MODEL.jsonl."
        )
    given: list[Path | None] = [Path(path) for path in paths] or [None]
    return given * n_files if len(given) == 1 else given


def _pairs(groups: Sequence[Sequence[Path]], paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Which files to compare: two given ones, or those of the same names in two given folders."""
    if len(groups) != 2 or groups[0] == groups[1]:
        return []
    if not (paths[0].is_dir() or paths[1].is_dir()):
        return [(groups[0][0], groups[1][0])]
    others = {str(file.relative_to(paths[1])): file for file in groups[1]} if paths[1].is_dir() else {}
    names = [(file, str(file.relative_to(paths[0]))) for file in groups[0]] if paths[0].is_dir() else []
    return [(file, others[name]) for file, name in names if name in others]


def _complete(verdicts: Verdicts, everyone: Sequence[Verdicts], n_questions: int | None) -> Verdicts:
    """The verdicts with a note of each question that other files of the benchmark, or the number expected, have beyond them."""
    here = set(zip(verdicts.question_ids, verdicts.questions, strict=True))
    elsewhere: dict[str, str] = {}
    for other in everyone:
        there = set(zip(other.question_ids, other.questions, strict=True))
        if here & there:  # else it is another benchmark
            elsewhere |= {
                question_id: other.name for question_id in other.question_ids if question_id not in elsewhere
            }
    notes = [
        Problem("missing_question", question_id, None, f"judged in {name}, not here")
        for question_id, name in elsewhere.items()
        if question_id not in set(verdicts.question_ids)
    ]
    n_here = len(verdicts.question_ids)
    if n_questions is not None and n_here != n_questions:
        notes.append(
            Problem(
                "missing_question", None, None, f"{n_here} questions, expected {n_questions}{_gaps(verdicts)}"
            )
        )
    return replace(verdicts, problems=(*verdicts.problems, *notes))


def _gaps(verdicts: Verdicts) -> str:
    """Which numbers between the smallest and the largest id are not there, if the ids are numbers."""
    if not all(question_id.isdecimal() for question_id in verdicts.question_ids):
        return ""
    numbers = {int(question_id) for question_id in verdicts.question_ids}
    lacking = sorted(set(range(min(numbers), min(max(numbers), min(numbers) + 100_000))) - numbers)
    return (
        f"; the ids leave out {', '.join(map(str, lacking[:20]))}{', …' if len(lacking) > 20 else ''}"
        if lacking
        else ""
    )
