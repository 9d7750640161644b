"""How often an interval of 95 % contains the truth: simulated experiments whose truth is known, three kinds of interval side by side.

    python benchmarks/intervals.py [--experiments 500] [--questions 80] [--draws 2000] [--seed 0]

Made judges give whole scores of 1 to 10 twice a question, with hard and easy questions and a liking for what is shown first. The truth of a
figure is its value on 400,000 questions. Worlds: usual, weak (ours mostly 1 to 3: skewed), equal, failing (every fifth answer of ours
is a 1). Figures: RS of one file, the difference of two files on the same questions, RS at equal lengths. bootstrap-t is what
`diverseevol score` gives; percentile and BCa are taken from the same draws. In the third part a judge that likes length is unmasked.
"""

import argparse

import numpy as np
from scipy.stats import norm

from diverseevol.evaluation import bootstrap
from diverseevol.evaluation.bootstrap import confidence_interval, difference, draws, ratio_of_sums
from diverseevol.evaluation.length_control import log_odds_at_equal_length

WORLDS = {"usual": ((6.3, 8.8), 1.6), "weak": ((2.0, 9.0), 2.2), "equal": ((8.3, 8.5), 1.2), "failing": ((8.5, 9.0), 0.8)}
TILT = 0.5
N_TRUTH = 400_000
TAILS = np.array([0.025, 0.975])


def made_scores(world: str, n: int, rng: np.random.Generator, gain: float = 0.0, push=None) -> np.ndarray:
    """Scores of two models (the second `gain` better) and their opponent, summed over both orders: (n, 3)."""
    (ours, theirs), width = WORLDS[world]
    middle = np.array([ours, ours + gain, theirs])[:, None]
    hard, own = rng.normal(size=(n, 1, 1)), rng.normal(size=(n, 3, 1))
    quality = middle + width * (0.4 * hard + 0.7 * own)
    if world == "failing":
        quality[rng.random(n) < 0.2, :2] = 1.0
    if push is not None:
        quality = quality + push[:, None, None] * np.array([0.5, 0.5, -0.5])[:, None]
    order = TILT * np.array([[1, -1], [1, -1], [-1, 1]])
    return np.clip(np.round(quality + order + 0.5 * rng.normal(size=(n, 3, 2))), 1, 10).sum(axis=2)


def relative(scores, model: int = 0):
    return ratio_of_sums(100 * scores[:, model], scores[:, 2])


def gap(scores):
    return difference(relative(scores, 1), relative(scores, 0))


def value(estimator, n: int) -> float:
    return float(estimator(np.ones((1, n)))[0][0])


def other_intervals(estimator, n: int) -> dict[str, tuple[float, float]]:
    drawn = draws(estimator, n, 0)[0]
    estimate = value(estimator, n)
    alone = np.array([value_B[0] for value_B, _ in (estimator(1.0 - np.eye(n)[[row]]) for row in range(n))])
    lean = alone.mean() - alone
    acceleration = (lean**3).sum() / (6 * ((lean**2).sum()) ** 1.5)
    bias = norm.ppf(np.mean(drawn < estimate) + np.mean(drawn == estimate) / 2)
    shifted = bias + norm.ppf(TAILS)
    return {
        "percentile": tuple(np.quantile(drawn, TAILS)),
        "BCa": tuple(np.quantile(drawn, norm.cdf(bias + shifted / (1 - acceleration * shifted)))),
    }


def report(name: str, figure, experiments, truth: float) -> None:
    held: dict[str, list[tuple[bool, float]]] = {}
    for scores in experiments:
        estimator, n = figure(scores), len(scores)
        found = confidence_interval(estimator, n)
        for kind, (low, high) in {"bootstrap-t": (found.low, found.high), **other_intervals(estimator, n)}.items():
            held.setdefault(kind, []).append((low <= truth <= high, high - low))
    for kind, results in held.items():
        share, width = np.mean(results, axis=0)
        print(
            f"{name:<22} {kind:<11} {len(results)} experiments: {share:6.1%} contain {truth:6.2f}, mean width {width:5.2f}",
            flush=True,
        )


def lengths(n: int, rng: np.random.Generator) -> np.ndarray:
    theirs = np.exp(rng.normal(7, 0.5, n))
    return theirs * np.exp(rng.normal(-0.4, 0.6, n)) - theirs


def liking_length(n_experiments: int, n: int, rng: np.random.Generator) -> None:
    """Mean RS, raw and at equal lengths, of a judge with and without a liking for length, and how often the interval holds the truth."""
    for gain in (0.0, 1.0):
        big = made_scores("equal", N_TRUTH, rng, gain)
        truth = 100 * big[:, 1].sum() / big[:, 2].sum()
        for liking in (0.0, 1.5):
            raw, controlled, held = [], [], []
            for _ in range(n_experiments):
                delta = lengths(n, rng)
                scores = made_scores("equal", n, rng, gain, liking * np.tanh(delta / delta.std()))
                estimator = log_odds_at_equal_length(scores[:, 1], scores[:, 2], delta)
                found = confidence_interval(estimator, n)
                raw.append(100 * scores[:, 1].sum() / scores[:, 2].sum())
                controlled.append(100 * np.exp(value(estimator, n)))
                held.append(100 * np.exp(found.low) <= truth <= 100 * np.exp(found.high))
            print(
                f"better by {gain:.0f}, liking {liking:.1f} points a standard length: truth {truth:6.2f}, raw {np.mean(raw):6.2f}, "
                f"at equal length {np.mean(controlled):6.2f}; {np.mean(held):.1%} of {n_experiments} intervals contain the truth",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=500)
    parser.add_argument("--questions", type=int, default=80)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    bootstrap.N_DRAWS = options.draws
    rng = np.random.default_rng(options.seed)
    for world in WORLDS:
        for name, figure, gain in (("RS", relative, 0.0), ("difference", gap, 0.5)):
            big = made_scores(world, N_TRUTH, rng, gain)
            experiments = (made_scores(world, options.questions, rng, gain) for _ in range(options.experiments))
            report(f"{world}, {name}", figure, experiments, value(figure(big), N_TRUTH))
    liking_length(options.experiments, options.questions, rng)


if __name__ == "__main__":
    main()
