"""What a judge's verdicts on one model's answers add up to: Relative Score, wins, order effect, and how sure they are.

Source: Relative Score (RS) as in DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182): two answers are scored 1–10 side by side,
every question twice with the answers' places exchanged, and RS = 100 · Σ ours / Σ opponent's over questions and orders. Judges prefer a
place: Zheng et al., "Judging LLM-as-a-Judge", 2023, https://arxiv.org/abs/2306.05685; hence wins by scores averaged over both
orders, and the order effect beside them.

A judgement counts if all its scores can be read and none is negative or above the scale (a 0 counts as given); everything that does
not count is a `Problem`, never just left out.
RS and its kin take every judgement that counts; win, tie, lose and the share of changed judgements take the questions that count in
every order of the file. Single-answer files (a score alone, no opponent) have a mean in place of RS and nothing that needs two sides.
Cost: negligible beside the bootstrap's. Shape letters: Q questions, O orders, S sides (ours, the opponent's).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .bootstrap import Estimator, Floats, Interval, confidence_interval, difference, ratio_of_sums
from .judgements import Problem, Verdicts
from .length_control import LengthReport, length_report

Outcome = Literal["win", "tie", "lose"]
WINS: dict[Outcome | None, float] = {"win": 1.0, "tie": 0.5, "lose": 0.0, None: float("nan")}
SAME = 1e-9
"""Averages nearer than this are equal: tenths have no exact binary form."""


@dataclass(frozen=True, slots=True)
class QuestionScore:
    """One question: scores averaged over the orders that count, their ratio in percent, the outcome, and whether it hangs on the order."""

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
        share_changed: Share of the questions whose outcome in one order is not that in the other; None with one order.
    """

    wins: int
    ties: int
    losses: int
    win_rate: float
    share_changed: float | None


@dataclass(frozen=True, slots=True)
class OrderReport:
    """RS of the judgements with ours shown first, and second; their difference, above 0 where the judge prefers what it sees first."""

    first: float
    second: float
    effect: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class FileScore:
    """What one file says.

    Attributes:
        n_questions: Questions in the file; `n_judged`: with a judgement that counts; `n_complete`: that count in every order.
        n_judgements: Judgements that count.
        rs: 100 · Σ ours / Σ opponent's; None without an opponent or without a judgement that counts.
        mean_score: Mean of our scores over the judgements that count; `opponent_mean_score` likewise.
        interval: Of `rs`, or of `mean_score` in a single-answer file.
        rs_complete: RS over the complete questions only: differs from `rs` by what incomplete ones do to it.
        rs_of_questions: Mean over questions of each one's own RS, so that questions with high scores weigh no more than others.
        tally: None without an opponent, or where no question is complete.
        orders: None without both orders.
        lengths: None where no answer's length is known.
    """

    name: str
    ours: str
    opponent: str | None
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

    @property
    def value(self) -> float | None:
        """The headline: RS or, without an opponent, the mean score."""
        return self.mean_score if self.opponent is None else self.rs


def score_file(verdicts: Verdicts, seed: int = 0) -> FileScore:
    """Score the judgements of one file.

    Args:
        verdicts: see `read_verdicts`.
        seed: of the bootstrap's draws; the figures themselves do not depend on it.
    """
    counts_QO, sums_QS = verdicts.counts_QO, verdicts.sums_QS
    judged_rows, complete_rows = np.flatnonzero(counts_QO.any(axis=1)), np.flatnonzero(counts_QO.all(axis=1))
    is_pair, n_judgements = verdicts.opponent is not None, int(counts_QO.sum())
    questions = question_scores(verdicts)
    ratios = [question.rs for question in questions if question.rs is not None]
    return FileScore(
        name=verdicts.name,
        ours=verdicts.ours,
        opponent=verdicts.opponent,
        n_questions=len(questions),
        n_judged=len(judged_rows),
        n_complete=len(complete_rows),
        n_judgements=n_judgements,
        rs=_rs(sums_QS) if is_pair else None,
        mean_score=float(sums_QS[:, 0].sum() / n_judgements) if n_judgements else None,
        opponent_mean_score=float(sums_QS[:, 1].sum() / n_judgements) if n_judgements and is_pair else None,
        interval=confidence_interval(headline(verdicts, judged_rows), len(judged_rows), seed),
        rs_complete=_rs(sums_QS[complete_rows]) if is_pair else None,
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


def question_scores(verdicts: Verdicts) -> tuple[QuestionScore, ...]:
    """Every question by itself, in the file's order."""
    return tuple(_question_score(verdicts, row) for row in range(len(verdicts.question_ids)))


def headline(verdicts: Verdicts, rows: NDArray[np.int64]) -> Estimator:
    """RS (in percent) or, without an opponent, the mean score of some of the questions, as an estimator over them."""
    sums_QS = verdicts.sums_QS[rows]
    if verdicts.opponent is None:
        return ratio_of_sums(sums_QS[:, 0], verdicts.counts_QO[rows].sum(axis=1).astype(np.float64))
    return ratio_of_sums(100 * sums_QS[:, 0], sums_QS[:, 1])


def _rs(sums_QS: Floats) -> float | None:
    ours, opponent = sums_QS.sum(axis=0)
    return float(100 * ours / opponent) if opponent > 0 else None


def _question_score(verdicts: Verdicts, row: int) -> QuestionScore:
    scores_OS = verdicts.scores_QOS[row][verdicts.counts_QO[row]]
    means_S = scores_OS.mean(axis=0).tolist() if len(scores_OS) else []
    is_complete = len(means_S) == 2 and len(scores_OS) == len(verdicts.orders)
    return QuestionScore(
        question_id=verdicts.question_ids[row],
        score=means_S[0] if means_S else None,
        opponent_score=means_S[1] if len(means_S) == 2 else None,
        rs=100 * means_S[0] / means_S[1] if len(means_S) == 2 and means_S[1] else None,
        outcome=_outcome(means_S) if is_complete else None,
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
    if verdicts.opponent is None or len(verdicts.orders) < 2:
        return None
    sums_OQS = np.where(verdicts.counts_QO[:, :, None], verdicts.scores_QOS, 0.0)[rows].transpose(1, 0, 2)
    first, second = (_rs(sums_QS) for sums_QS in sums_OQS)
    if first is None or second is None:
        return None
    of_first, of_second = (ratio_of_sums(100 * sums_QS[:, 0], sums_QS[:, 1]) for sums_QS in sums_OQS)
    return OrderReport(
        first, second, first - second, confidence_interval(difference(of_first, of_second), len(rows), seed)
    )
