"""What a judge's verdicts add up to: Relative Score, wins, order effect, and how sure they are.

Source: Relative Score (RS) as in DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182): two answers
are scored 1–10 side by side, every question twice with the answers' places exchanged, and RS = 100 · Σ ours /
Σ opponent's over questions and orders. Judges prefer a place: Zheng et al., "Judging LLM-as-a-Judge", 2023,
https://arxiv.org/abs/2306.05685; hence wins by scores averaged over both orders, and the order effect beside
them.

A judgement counts if all its scores can be read and none is negative or above the scale (a 0 counts as
given); everything that does not count is a `Problem`, never just left out.
RS and its kin take every judgement that counts; win, tie, lose and the share of changed judgements take the
questions that count in every order of the file.
A difference of two files is taken on the questions that both judge, drawn together, so that what makes a
question easy or hard cancels out.
Cost: the bootstrap's, once a figure. Shape letters: Q questions, O orders, S sides (ours, the opponent's).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import EvaluationError, PoolError
from .bootstrap import Estimator, Floats, Interval, confidence_interval, difference, ratio_of_sums, value_of
from .judge_pairs import Answer, read_answers
from .length_control import LengthReport, correlation, length_report
from .paired import Finding, finding_of
from .verdict_files import SCALE, Problem, Verdicts, find_verdict_files, read_verdicts

Outcome = Literal["win", "tie", "lose"]
WINS: dict[Outcome | None, float] = {"win": 1.0, "tie": 0.5, "lose": 0.0, None: float("nan")}
SAME = 1e-9
"""Averages nearer than this are equal: tenths have no exact binary form."""


@dataclass(frozen=True, slots=True)
class QuestionScore:
    """One question: scores averaged over the orders that count, their ratio in percent, and the outcome."""

    question_id: str
    score: float | None
    opponent_score: float | None
    rs: float | None
    outcome: Outcome | None
    is_changed: bool | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Outcomes by scores averaged over the orders, among the questions that count in every order.

    Attributes:
        win_rate: In percent, a tie as half a win.
        share_changed: Share of the questions whose outcome in one order is not that in the other; None with
            one order.
    """

    wins: int
    ties: int
    losses: int
    win_rate: float
    share_changed: float | None


@dataclass(frozen=True, slots=True)
class OrderReport:
    """RS with ours shown first, and second; the effect is above 0 where the judge prefers what is first."""

    first: float
    second: float
    effect: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class FileScore:
    """What one file says.

    Attributes:
        n_questions: Questions in the file; `n_judged`: with a judgement that counts; `n_complete`: that count
            in every order.
        n_judgements: Judgements that count.
        rs: 100 · Σ ours / Σ opponent's; None without a point of the opponent's.
        mean_score: Mean of our scores over the judgements that count; `opponent_mean_score` likewise.
        interval: Of `rs`.
        rs_complete: RS over the complete questions only: differs from `rs` by what incomplete ones do to it.
        rs_of_questions: Mean over questions of each one's own RS, so that questions with high scores weigh no
            more than others.
        tally: None where no question is complete.
        orders: None without both orders.
        lengths: None where no answer's length is known.
    """

    name: str
    ours: str
    opponent: str
    n_questions: int
    n_judged: int
    n_complete: int
    n_judgements: int
    rs: float | None
    mean_score: float | None
    opponent_mean_score: float | None
    interval: Interval | None
    rs_complete: float | None
    rs_of_questions: float | None
    tally: Tally | None
    orders: OrderReport | None
    lengths: LengthReport | None
    questions: tuple[QuestionScore, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One file's RS minus another's, on the questions that count in both.

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
class ScoreReport:
    """Every file's figures, the differences, and across files the correlation of RS and mean log length.

    `length_correlation` is None for fewer than three files with known lengths.
    """

    files: tuple[FileScore, ...]
    differences: tuple[Difference, ...]
    length_correlation: float | None


def score(
    *paths: str | Path,
    answers: Sequence[str | Path] = (),
    opponent_answers: Sequence[str | Path] = (),
    against: str | Path | None = None,
    n_questions: int | None = None,
    scale: tuple[float, float] = SCALE,
    seed: int = 0,
) -> ScoreReport:
    """Score files of verdicts, this project's or of the layout that DiverseEvol published.

    Args:
        paths: files, or folders of them (rd_2 comes before rd_10). Of two files, or of two folders' files of
            the same names, the differences are taken, too.
        answers: our answers, for lengths that the verdicts do not hold: one file or folder (MODEL.jsonl) for
            all, or one a verdict file.
        opponent_answers: the opponent's, likewise.
        against: a file from which every other one's difference is taken.
        n_questions: how many questions the benchmark has; a file with another number says so.
        scale: lowest and highest score that the judge may give.
        seed: of the bootstrap's draws.

    Raises:
        PoolError: a path is not there, or holds no verdicts, or a folder no answers of a model.
        PoolError, EvaluationError: a file cannot be read.
        EvaluationError: a file holds no verdicts, or two cannot be compared.
    """
    groups = [find_verdict_files(Path(path)) for path in paths]
    files = list(dict.fromkeys(file for group in groups for file in group))
    base = None if against is None else Path(against)
    everything = files if base is None or base in files else [*files, base]
    sides = [_one_a_file(given, len(everything)) for given in (answers, opponent_answers)]
    verdicts: dict[Path, Verdicts] = {}
    for file, *given in zip(everything, *sides, strict=True):
        read = with_lengths(read_verdicts(file, scale), given)
        n_here = len(read.question_ids)
        if n_questions not in (None, n_here):
            missing = Problem("missing_question", None, None, f"{n_here} questions, expected {n_questions}")
            read = replace(read, problems=(*read.problems, missing))
        verdicts[file] = read
    scores = [score_file(one, seed) for one in verdicts.values()]
    pairs = (
        _pairs(groups, [Path(path) for path in paths])
        if base is None
        else [(file, base) for file in files if file != base]
    )
    known = [
        (score.rs, score.lengths.mean_log)
        for score in scores
        if score.rs is not None and score.lengths is not None
    ]
    values = np.array(known).reshape(-1, 2)
    return ScoreReport(
        files=tuple(scores),
        differences=tuple(compare(verdicts[first], verdicts[second], seed) for first, second in pairs),
        length_correlation=correlation(values[:, 0], values[:, 1]),
    )


def score_file(verdicts: Verdicts, seed: int = 0) -> FileScore:
    """Score the judgements of one file.

    Args:
        verdicts: see `read_verdicts`.
        seed: of the bootstrap's draws; the figures themselves do not depend on it.
    """
    counts_QO, sums_QS = verdicts.counts_QO, verdicts.sums_QS
    judged_rows, complete_rows = np.flatnonzero(counts_QO.any(axis=1)), np.flatnonzero(counts_QO.all(axis=1))
    n_judgements = int(counts_QO.sum())
    mean_S = (sums_QS.sum(axis=0) / n_judgements).tolist() if n_judgements else (None, None)
    questions = tuple(_question_score(verdicts, row) for row in range(len(verdicts.question_ids)))
    ratios = [question.rs for question in questions if question.rs is not None]
    return FileScore(
        name=verdicts.name,
        ours=verdicts.ours,
        opponent=verdicts.opponent,
        n_questions=len(questions),
        n_judged=len(judged_rows),
        n_complete=len(complete_rows),
        n_judgements=n_judgements,
        rs=_rs(sums_QS),
        mean_score=mean_S[0],
        opponent_mean_score=mean_S[1],
        interval=confidence_interval(_relative_score(verdicts, judged_rows), len(judged_rows), seed),
        rs_complete=_rs(sums_QS[complete_rows]),
        rs_of_questions=float(np.mean(ratios)) if ratios else None,
        tally=_tally(questions),
        orders=_orders(verdicts, judged_rows, seed),
        lengths=length_report(
            sums_QS[judged_rows],
            verdicts.lengths_QS[judged_rows],
            np.array([WINS[questions[row].outcome] for row in judged_rows]),
            counts_QO[judged_rows].sum(axis=1).astype(np.float64),
            seed,
        ),
        questions=questions,
        problems=verdicts.problems,
    )


def _relative_score(verdicts: Verdicts, rows: NDArray[np.int64]) -> Estimator:
    """RS (in percent) of some of the questions, as an estimator over them."""
    sums_QS = verdicts.sums_QS[rows]
    return ratio_of_sums(100 * sums_QS[:, 0], sums_QS[:, 1])


def _rs(sums_QS: Floats) -> float | None:
    ours, opponent = sums_QS.sum(axis=0)
    return float(100 * ours / opponent) if opponent > 0 else None


def _question_score(verdicts: Verdicts, row: int) -> QuestionScore:
    scores_OS = verdicts.scores_QOS[row][verdicts.counts_QO[row]]
    if not len(scores_OS):
        return QuestionScore(verdicts.question_ids[row], None, None, None, None, None)
    ours, opponent = scores_OS.mean(axis=0).tolist()
    is_complete = len(scores_OS) == len(verdicts.orders)
    return QuestionScore(
        question_id=verdicts.question_ids[row],
        score=ours,
        opponent_score=opponent,
        rs=100 * ours / opponent if opponent else None,
        outcome=_outcome((ours, opponent)) if is_complete else None,
        is_changed=len({_outcome(scores) for scores in scores_OS}) == 2
        if is_complete and len(scores_OS) == 2
        else None,
    )


def _outcome(scores_S: Sequence[float] | Floats) -> Outcome:
    if abs(scores_S[0] - scores_S[1]) < SAME:
        return "tie"
    return "win" if scores_S[0] > scores_S[1] else "lose"


def _tally(questions: Sequence[QuestionScore]) -> Tally | None:
    counts = Counter(question.outcome for question in questions if question.outcome is not None)
    if not counts:
        return None
    changed = [question.is_changed for question in questions if question.is_changed is not None]
    return Tally(
        wins=counts["win"],
        ties=counts["tie"],
        losses=counts["lose"],
        win_rate=100 * (counts["win"] + counts["tie"] / 2) / counts.total(),
        share_changed=sum(changed) / len(changed) if changed else None,
    )


def _orders(verdicts: Verdicts, rows: NDArray[np.int64], seed: int) -> OrderReport | None:
    """RS of each order; a judgement that does not count adds nothing to its own."""
    if len(verdicts.orders) < 2:
        return None
    sums_OQS = np.where(verdicts.counts_QO[:, :, None], verdicts.scores_QOS, 0.0)[rows].transpose(1, 0, 2)
    first, second = (_rs(sums_QS) for sums_QS in sums_OQS)
    if first is None or second is None:
        return None
    of_first, of_second = (ratio_of_sums(100 * sums_QS[:, 0], sums_QS[:, 1]) for sums_QS in sums_OQS)
    return OrderReport(
        first, second, first - second, confidence_interval(difference(of_first, of_second), len(rows), seed)
    )


def compare(first: Verdicts, second: Verdicts, seed: int = 0) -> Difference:
    """First minus second, on the questions that count in both.

    Raises:
        EvaluationError: other questions under the same ids, or no question that counts in both.
    """
    names = f"{first.name} and {second.name}"
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
                f"cannot compare {names}: question {first.question_ids[row]} is {texts}. Compare files of "
                f"one benchmark."
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
    gap = difference(_relative_score(first, pairs_Q2[:, 0]), _relative_score(second, pairs_Q2[:, 1]))
    interval = confidence_interval(gap, len(pairs_Q2), seed)
    value = value_of(gap, len(pairs_Q2))
    if not math.isfinite(value):
        raise EvaluationError(
            f"cannot compare {names}: without a point of the opponent's there is no Relative Score to "
            f"compare."
        )
    finding = finding_of(interval.low, interval.high) if interval else "too few questions"
    doubt = (
        ""
        if first.opponent == second.opponent
        else f"other opponents: {first.opponent or '?'}, {second.opponent or '?'}"
    )
    return Difference(first.name, second.name, len(pairs_Q2), value, interval, finding, doubt)


def _one_a_file(paths: Sequence[str | Path], n_files: int) -> list[Path | None]:
    """Which answers belong to each file of verdicts."""
    if len(paths) > 1 and len(paths) != n_files:
        raise EvaluationError(
            f"{len(paths)} files of answers for {n_files} of verdicts. Give one a file, or a folder of "
            f"MODEL.jsonl."
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


def with_lengths(verdicts: Verdicts, sides: Sequence[Path | None]) -> Verdicts:
    """Fill in lengths that are not known, from a file of answers (or a folder of them) a side; None: no file.

    Answers are matched by question id, those without one by the question's text.

    Raises:
        PoolError: a folder has no file of the model's answers.
        EvaluationError: a file cannot be read, or answers none of the judged questions.
    """
    lengths_QS = verdicts.lengths_QS.copy()
    for side, (path, model) in enumerate(zip(sides, (verdicts.ours, verdicts.opponent), strict=True)):
        if path is None:
            continue
        file = _answers_of(model, path) if path.is_dir() else path
        answers = {_key(answer): answer for answer in read_answers(file)}
        keys = zip(verdicts.question_ids, verdicts.questions, strict=True)
        found = [answers.get(("id", name)) or answers.get(("text", text)) for name, text in keys]
        if not any(found):
            raise EvaluationError(
                f"{file} answers none of the questions in {verdicts.name}. Give the answers that were judged."
            )
        for row, answer in enumerate(found):
            if answer is not None and np.isnan(lengths_QS[row, side]):
                lengths_QS[row, side] = len(answer.text)
    return replace(verdicts, lengths_QS=lengths_QS)


def _key(answer: Answer) -> tuple[str, str]:
    return ("text", answer.question or "") if answer.question_id is None else ("id", str(answer.question_id))


def _answers_of(model: str, folder: Path) -> Path:
    """A model's answers in a folder: MODEL.jsonl, or the model's last name .jsonl."""
    name = PurePosixPath(model)
    # The model's name comes out of a file: it must not lead out of the folder.
    for candidate in (
        [name, PurePosixPath(name.name)]
        if model and not name.is_absolute() and ".." not in name.parts
        else []
    ):
        if (folder / f"{candidate}.jsonl").is_file():
            return folder / f"{candidate}.jsonl"
    raise PoolError(f"{folder} has no answers of {model!r}: no such .jsonl file in it. Give the file itself.")
