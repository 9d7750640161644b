"""What a judge's verdicts add up to: Relative Score, wins, order effect, and how sure they are.

Source: Relative Score (RS) as in DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182): two answers
are scored 1–10 side by side, every question twice with the answers' places exchanged, and RS = 100 · Σ ours /
Σ opponent's over questions and orders. Judges prefer a place: Zheng et al., "Judging LLM-as-a-Judge", 2023,
https://arxiv.org/abs/2306.05685; hence wins by scores averaged over both orders, and the order effect beside
them.

A judgement counts if all its scores can be read and none is negative or above the scale (a 0 counts as
given); everything that does not count is a `Problem`, never just left out. RS and its kin take every
judgement that counts; win, tie, lose and the share of changed judgements take the questions that count in
every order of the file. A difference of two files is taken on the questions that both judge, drawn together,
so that what makes a question easy or hard cancels out.
Cost: the bootstrap's, once a figure. Shape letters: Q questions, O orders, S sides (ours, the opponent's).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import EvaluationError, PoolError
from .bootstrap import Estimator, Floats, Interval, confidence_interval, difference, ratio_of_sums, value_of
from .judge_pairs import read_answers
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
        rs: 100 · Σ ours / Σ opponent's; None without a point of the opponent's; `interval`: of it.
        mean_score: Mean of our scores over the judgements that count; `opponent_mean_score` likewise.
        rs_complete: RS over the complete questions only: differs from `rs` by what incomplete ones do to it.
        rs_of_questions: Mean over questions of each one's own RS, so that questions with high scores weigh no
            more than others.
        tally: None where no question is complete; `orders`: without both orders; `lengths`: where no answer's
            length is known.
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
    """One file's RS minus another's (`against`), on the questions that count in both.

    Attributes:
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
    if against is not None:
        base = Path(against)
        pairs = [(file, base) for file in files if file != base]
    elif len(groups) != 2 or groups[0] == groups[1]:
        pairs = []
    elif not (Path(paths[0]).is_dir() or Path(paths[1]).is_dir()):
        pairs = [(groups[0][0], groups[1][0])]
    else:  # a file beside a folder has no counterpart in it
        roots = [Path(path) if Path(path).is_dir() else None for path in paths]
        first, second = (
            {str(file.relative_to(root)): file for file in group} if root else {}
            for root, group in zip(roots, groups, strict=True)
        )
        pairs = [(file, second[name]) for name, file in first.items() if name in second]
    everything = list(dict.fromkeys([*files, *(file for pair in pairs for file in pair)]))
    for given in (answers, opponent_answers):
        if len(given) > 1 and len(given) != len(everything):
            raise EvaluationError(
                f"{len(given)} files of answers for {len(everything)} of verdicts. Give one a file, or a "
                "folder of MODEL.jsonl."
            )
    verdicts: dict[Path, Verdicts] = {}
    for at, file in enumerate(everything):
        sides = [given[at % len(given)] if given else None for given in (answers, opponent_answers)]
        read = with_lengths(
            read_verdicts(file, scale), [None if side is None else Path(side) for side in sides]
        )
        n_here = len(read.question_ids)
        if n_questions not in (None, n_here):
            missing = Problem("missing_question", None, None, f"{n_here} questions, expected {n_questions}")
            read = replace(read, problems=(*read.problems, missing))
        verdicts[file] = read
    scores = [score_file(one, seed) for one in verdicts.values()]
    known = [(each.rs, each.lengths.mean_log) for each in scores if each.rs is not None and each.lengths]
    values = np.array(known).reshape(-1, 2)
    return ScoreReport(
        files=tuple(scores),
        differences=tuple(compare(verdicts[one], verdicts[other], seed) for one, other in pairs),
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
        interval=confidence_interval(_ratio(sums_QS[judged_rows]), len(judged_rows), seed),
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


def _ratio(sums_QS: Floats) -> Estimator:
    """RS as an estimator over the questions."""
    return ratio_of_sums(100 * sums_QS[:, 0], sums_QS[:, 1])


def _rs(sums_QS: Floats) -> float | None:
    ours, opponent = sums_QS.sum(axis=0)
    return float(100 * ours / opponent) if opponent > 0 else None


def _question_score(verdicts: Verdicts, row: int) -> QuestionScore:
    scores_OS = verdicts.scores_QOS[row][verdicts.counts_QO[row]]
    if not len(scores_OS):
        return QuestionScore(verdicts.question_ids[row], None, None, None, None, None)
    ours, opponent = scores_OS.mean(axis=0).tolist()
    rs, is_complete = 100 * ours / opponent if opponent else None, len(scores_OS) == len(verdicts.orders)
    outcome = _outcome(ours, opponent) if is_complete else None
    is_changed = len({_outcome(*scores) for scores in scores_OS.tolist()}) == 2
    is_known = is_complete and len(scores_OS) == 2
    return QuestionScore(
        verdicts.question_ids[row], ours, opponent, rs, outcome, is_changed if is_known else None
    )


def _outcome(ours: float, opponent: float) -> Outcome:
    if abs(ours - opponent) < SAME:
        return "tie"
    return "win" if ours > opponent else "lose"


def _tally(questions: Sequence[QuestionScore]) -> Tally | None:
    outcomes = [question.outcome for question in questions if question.outcome is not None]
    if not outcomes:
        return None
    wins, ties, losses = outcomes.count("win"), outcomes.count("tie"), outcomes.count("lose")
    changed = [question.is_changed for question in questions if question.is_changed is not None]
    win_rate = 100 * (wins + ties / 2) / len(outcomes)
    return Tally(wins, ties, losses, win_rate, sum(changed) / len(changed) if changed else None)


def _orders(verdicts: Verdicts, rows: NDArray[np.int64], seed: int) -> OrderReport | None:
    """RS of each order; a judgement that does not count adds nothing to its own."""
    if len(verdicts.orders) < 2:
        return None
    sums_OQS = np.where(verdicts.counts_QO[:, :, None], verdicts.scores_QOS, 0.0)[rows].transpose(1, 0, 2)
    first, second = (_rs(sums_QS) for sums_QS in sums_OQS)
    if first is None or second is None:
        return None
    gap = difference(_ratio(sums_OQS[0]), _ratio(sums_OQS[1]))
    return OrderReport(first, second, first - second, confidence_interval(gap, len(rows), seed))


def compare(first: Verdicts, second: Verdicts, seed: int = 0) -> Difference:
    """First minus second, on the questions that count in both.

    Raises:
        EvaluationError: other questions under the same ids, or nothing that can be compared.
    """
    names = f"{first.name} and {second.name}"
    rows = {question_id: row for row, question_id in enumerate(second.question_ids)}
    common = []
    for row, question_id in enumerate(first.question_ids):
        if question_id not in rows:
            continue
        texts = first.questions[row], second.questions[rows[question_id]]
        if all(texts) and texts[0] != texts[1]:
            raise EvaluationError(
                f"cannot compare {names}: question {question_id} is {texts[0][:40]!r} and {texts[1][:40]!r}. "
                "Compare files of one benchmark."
            )
        if first.counts_QO[row].any() and second.counts_QO[rows[question_id]].any():
            common.append((row, rows[question_id]))
    if not common:
        raise EvaluationError(
            f"cannot compare {names}: no question counts in both. Compare files of one benchmark."
        )
    ours_Q, others_Q = np.array(common).T
    gap = difference(_ratio(first.sums_QS[ours_Q]), _ratio(second.sums_QS[others_Q]))
    value, interval = value_of(gap, len(common)), confidence_interval(gap, len(common), seed)
    if not math.isfinite(value):
        raise EvaluationError(f"cannot compare {names}: without a point of the opponent's there is no RS.")
    finding = finding_of(interval.low, interval.high) if interval else "too few questions"
    opponents = [one.opponent or "?" for one in (first, second)]
    doubt = "" if first.opponent == second.opponent else f"other opponents: {', '.join(opponents)}"
    return Difference(first.name, second.name, len(common), value, interval, finding, doubt)


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
        by_id, by_text = {}, {}
        for answer in read_answers(file):
            if answer.question_id is None:
                by_text[answer.question or ""] = len(answer.text)
            else:
                by_id[str(answer.question_id)] = len(answer.text)
        keys = zip(verdicts.question_ids, verdicts.questions, strict=True)
        found = [by_id.get(question_id, by_text.get(text)) for question_id, text in keys]
        if all(length is None for length in found):
            raise EvaluationError(
                f"{file} answers none of the questions in {verdicts.name}. Give the answers that were judged."
            )
        lengths_Q = np.array(found, dtype=np.float64)  # None: NaN
        lengths_QS[:, side] = np.where(np.isnan(lengths_QS[:, side]), lengths_Q, lengths_QS[:, side])
    return replace(verdicts, lengths_QS=lengths_QS)


def _answers_of(model: str, folder: Path) -> Path:
    """A model's answers in a folder: MODEL.jsonl, or the model's last name .jsonl."""
    name = PurePosixPath(model)
    # The model's name comes out of a file: it must not lead out of the folder.
    is_safe = bool(model) and not name.is_absolute() and ".." not in name.parts
    for candidate in (name, name.name) if is_safe else ():
        if (folder / f"{candidate}.jsonl").is_file():
            return folder / f"{candidate}.jsonl"
    raise PoolError(f"{folder} has no answers of {model!r}: no such .jsonl file in it. Give the file itself.")
