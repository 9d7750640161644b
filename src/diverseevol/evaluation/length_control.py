"""How much of a score is length: the score at equal lengths, and the correlation of scores with lengths.

Source: Dubois, Galambosi, Liang and Hashimoto, "Length-Controlled AlpacaEval", 2024,
https://arxiv.org/abs/2404.04475. There, a judge's preference for one of two answers is fitted by a logistic
regression with three terms (the models, the instruction's difficulty, and tanh of the length difference in
units of its standard deviation), and the win rate is predicted with the length term at zero.

What is fitted here, for judgements of two scores. Each question brings s points for ours and o for the
opponent, summed over its orders:

    s / (s + o) ~ logistic(θ + φ · tanh(Δ / sd(Δ))),   Δ = characters of our answer - characters of the
    opponent's

as a binomial regression with weights s + o, and 100 · exp(θ) is the length-controlled Relative Score. The
same regression on wins and losses (a tie is half of each) gives the length-controlled win rate, 100 ·
logistic(θ). There is no term for an instruction's difficulty:
AlpacaEval estimates it from hundreds of models, a file knows one. Without it the slope φ of one file is too
steep, for a model's longer answers are also those to the questions that it knows more of; so φ has a normal
prior with mean `SLOPE` and standard deviation `SLOPE_SD`.

The prior is that of one win or loss. Points spread less than coins: with κ the standard deviation of the
shares s / (s + o) over that of a coin of the same mean (1 for wins and losses without ties) the prior of
their slope is N(`SLOPE` · κ, (`SLOPE_SD` · κ)²), and as a share of n points then tells as much as 1 / κ²
coins, its ridge is the mean of n over `SLOPE_SD`²: points twice as high give the same score.

What it cannot do: an answer that is better *because* it says more loses that part, too; and where one side is
nearly always the longer one, equal length is outside of what was seen, and the score a guess from the slope
(`is_extrapolated`).
Cost: Newton's method on two numbers. Shape letters: Q questions, B draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .bootstrap import Estimator, Floats, Interval, confidence_interval, value_of

SLOPE, SLOPE_SD = 0.8, 0.2
"""Chosen on 15 models of AlpacaEval 2 by their published length-controlled win rates, held against 14 others
(benchmarks/length_control.py).
"""
N_STEPS = 50
LONGEST_STEP = 2.0
REACH = 5.0
"""Log odds beyond ± this (an RS below 0.7 or above 14,841) are no finding but a slope drawn out too far."""
SHARE_SEEN = 0.05
N_LEAST = 3
"""Two points always lie on a line: no correlation and no regression of fewer than three."""


@dataclass(frozen=True, slots=True)
class LengthReport:
    """Lengths of the answers, in characters, where they are known, and the score freed from them.

    Attributes:
        n_questions: How many questions that is.
        mean: Mean length of our answers; `mean_log`: of log(1 + length).
        opponent_mean: Of the opponent's; None without an opponent or its answers.
        correlation: Pearson's, of our mean score in a question with log(1 + length) of our answer; None where
            either is constant.
        share_longer: Share of the questions in which our answer is the longer one.
        controlled: The length-controlled Relative Score; None without lengths of both sides, where their
            difference is constant and not 0, or where it comes out beyond `REACH`. `controlled_interval`: of
            it; None also where an end lies beyond `REACH`.
        controlled_win_rate: The length-controlled win rate, in percent.
        is_extrapolated: Ours is the longer one, or the shorter one, in fewer than `SHARE_SEEN` of the
            questions.
    """

    n_questions: int
    mean: float
    opponent_mean: float | None
    mean_log: float
    correlation: float | None
    share_longer: float | None
    controlled: float | None
    controlled_interval: Interval | None
    controlled_win_rate: float | None
    is_extrapolated: bool


def correlation(first: Floats, second: Floats) -> float | None:
    """Pearson's correlation; None for fewer than three pairs or where either side is constant."""
    if len(first) < N_LEAST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def log_odds_at_equal_length(ours_Q: Floats, opponent_Q: Floats, delta_Q: Floats) -> Estimator:
    """θ of the module's regression, as an estimator; the prior is that of all questions, whatever is drawn.

    Args:
        ours_Q: points (or wins) of ours in each question; fractions are fine.
        opponent_Q: the opponent's.
        delta_Q: length differences; not all equal, unless all are 0.
    """
    x_Q = np.tanh(delta_Q / (delta_Q.std() or 1.0))
    n_Q = ours_Q + opponent_Q
    mean = float(ours_Q.sum() / n_Q.sum())
    above_Q = np.divide((ours_Q - mean * n_Q) ** 2, n_Q, out=np.zeros(len(n_Q)), where=n_Q > 0)
    kappa = math.sqrt(above_Q.mean() / n_Q.mean() / (mean * (1 - mean))) if 0 < mean < 1 else 1.0
    prior, ridge = SLOPE * kappa, float(n_Q.mean()) / SLOPE_SD**2

    def fitted(theta_B: Floats, phi_B: Floats, counts_BQ: Floats) -> tuple[Floats, Floats]:
        """What the fit leaves of each question, (B, Q), and the inverse of the curvature, (B, 2, 2)."""
        share_BQ = 1 / (1 + np.exp(-(theta_B[:, None] + phi_B[:, None] * x_Q)))
        weight_BQ = counts_BQ * n_Q * share_BQ * (1 - share_BQ)
        a_B, b_B, c_B = weight_BQ.sum(1) + 1e-12, weight_BQ @ x_Q, weight_BQ @ x_Q**2 + ridge
        inverse = np.array([[c_B, -b_B], [-b_B, a_B]]) / (a_B * c_B - b_B**2)
        return ours_Q - n_Q * share_BQ, inverse.transpose(2, 0, 1)

    def estimate(counts_BQ: Floats) -> tuple[Floats, Floats]:
        theta_B, phi_B = np.zeros(len(counts_BQ)), np.full(len(counts_BQ), prior)
        for _ in range(N_STEPS):
            rest_BQ, inverse_B22 = fitted(theta_B, phi_B, counts_BQ)
            gradient_B2 = np.stack(
                [(counts_BQ * rest_BQ).sum(1), (counts_BQ * rest_BQ) @ x_Q - ridge * (phi_B - prior)], axis=1
            )
            # Without wins θ runs to -∞: bounded steps bring it near enough to call the rate 0, and overflow
            # nothing.
            step_B2 = np.clip(np.einsum("bij,bj->bi", inverse_B22, gradient_B2), -LONGEST_STEP, LONGEST_STEP)
            theta_B, phi_B = theta_B + step_B2[:, 0], phi_B + step_B2[:, 1]
            if np.abs(step_B2).max() < 1e-10:
                break
        rest_BQ, inverse_B22 = fitted(theta_B, phi_B, counts_BQ)
        return theta_B, rest_BQ * (inverse_B22[:, 0, :1] + inverse_B22[:, 0, 1:] * x_Q)

    return estimate


def length_report(
    scores_QS: Floats, lengths_QS: Floats, wins_Q: Floats, n_orders_Q: Floats, seed: int
) -> LengthReport | None:
    """Report on the questions whose lengths are known; None where there are none.

    Args:
        scores_QS: sums over the orders of ours and the opponent's.
        lengths_QS: characters, NaN where not known.
        wins_Q: 1 for a win, 0.5 for a tie, 0 for a loss, NaN where neither can be said.
        n_orders_Q: how many judgements a sum is of.
        seed: of the draws.
    """
    used_Q = np.isfinite(lengths_QS).all(axis=1)
    is_pair = bool(used_Q.any())
    if not is_pair:
        used_Q = np.isfinite(lengths_QS[:, 0])
        if not used_Q.any():
            return None
    scores_QS, lengths_QS, wins_Q = scores_QS[used_Q], lengths_QS[used_Q], wins_Q[used_Q]
    log_Q, delta_Q = np.log1p(lengths_QS[:, 0]), lengths_QS[:, 0] - lengths_QS[:, 1]
    controlled, interval, win_rate = None, None, None
    is_said_Q = np.isfinite(wins_Q)
    if is_pair and _can_be_controlled(delta_Q[is_said_Q]):
        wins = log_odds_at_equal_length(wins_Q[is_said_Q], 1 - wins_Q[is_said_Q], delta_Q[is_said_Q])
        win_rate = 100 / (1 + math.exp(-value_of(wins, int(is_said_Q.sum()))))
    if is_pair and _can_be_controlled(delta_Q) and (scores_QS.sum(axis=0) > 0).all():
        log_odds = log_odds_at_equal_length(scores_QS[:, 0], scores_QS[:, 1], delta_Q)
        theta, found = value_of(log_odds, len(delta_Q)), confidence_interval(log_odds, len(delta_Q), seed)
        controlled = 100 * math.exp(theta) if abs(theta) <= REACH else None
        if found is not None and max(-found.low, found.high) <= REACH:
            interval = Interval(100 * math.exp(found.low), 100 * math.exp(found.high))
    return LengthReport(
        n_questions=int(used_Q.sum()),
        mean=float(lengths_QS[:, 0].mean()),
        opponent_mean=float(lengths_QS[:, 1].mean()) if is_pair else None,
        mean_log=float(log_Q.mean()),
        correlation=correlation(scores_QS[:, 0] / n_orders_Q[used_Q], log_Q),
        share_longer=float((delta_Q > 0).mean()) if is_pair else None,
        controlled=controlled,
        controlled_interval=interval,
        controlled_win_rate=win_rate,
        is_extrapolated=is_pair and bool(min(np.mean(delta_Q >= 0), np.mean(delta_Q <= 0)) < SHARE_SEEN),
    )


def _can_be_controlled(delta_Q: Floats) -> bool:
    return len(delta_Q) >= N_LEAST and bool(np.ptp(delta_Q) > 0 or not delta_Q.any())
