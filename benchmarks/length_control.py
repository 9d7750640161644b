"""How near the length-controlled win rate is to AlpacaEval 2's published one, from wins and losses alone.

    python benchmarks/length_control.py ../shared/data/oracles [--draws 100] [--seed 0] [--grid]

The folder holds alpaca_eval_2_judgements.csv.gz (model, question, win, chars_model, chars_baseline) and alpaca_eval_2_leaderboard.csv (model,
win_rate, length_controlled_win_rate), from AlpacaEval's repository. `win` is rounded to 0 or 1. Every second model was there to choose the prior
of the slope by (--grid shows by what), the others to report on. Errors are means of |found - published| in points, over models and draws.
"""

import argparse
import csv
import gzip
from pathlib import Path

import numpy as np

from diverseevol.evaluation import length_control
from diverseevol.evaluation.length_control import log_odds_at_equal_length

SIZES = (805, 180, 80)


def read(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """Wins (a fraction each), length differences and the published rate, by model."""
    with (folder / "alpaca_eval_2_leaderboard.csv").open() as file:
        published = {row["model"]: float(row["length_controlled_win_rate"]) for row in csv.DictReader(file)}
    rows: dict[str, list[tuple[float, float]]] = {}
    with gzip.open(folder / "alpaca_eval_2_judgements.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            delta = float(row["chars_model"]) - float(row["chars_baseline"])
            rows.setdefault(row["model"], []).append((float(row["win"]), delta))
    return {name: (*np.array(rows[name]).T, published[name]) for name in published}


def rate(ours, theirs, delta) -> float:
    return 100 / (1 + np.exp(-log_odds_at_equal_length(ours, theirs, delta)(np.ones((1, len(ours))))[0][0]))


def errors(models, n: int, n_draws: int, seed: int, is_rounded: bool = True) -> dict[str, tuple[float, float]]:
    """Of each model: the mean error of the raw rate and of the length-controlled one."""
    found = {}
    for number, (name, (wins, delta, published)) in enumerate(models.items()):
        rng, wins, pairs = np.random.default_rng([seed, n, number]), np.round(wins) if is_rounded else wins, []
        for _ in range(n_draws if n < len(wins) else 1):
            some = rng.permutation(len(wins))[:n]
            pairs.append((100 * wins[some].mean(), rate(10 * wins[some], 10 - 10 * wins[some], delta[some])))
        found[name] = tuple(np.abs(np.array(pairs) - published).mean(axis=0))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grid", action="store_true")
    options = parser.parse_args()
    models = read(options.folder)
    parts = {"chosen on": list(models)[::2], "held against": list(models)[1::2]}
    if options.grid:
        for mean in (0.0, 0.6, 0.8, 1.0, 1.2):
            for sd in (0.15, 0.2, 0.25, 0.3, 0.4, 1.0):
                length_control.SLOPE, length_control.SLOPE_SD = mean, sd
                some = {name: models[name] for name in parts["chosen on"]}
                means = [np.mean(list(errors(some, n, options.draws, options.seed).values()), axis=0)[1] for n in SIZES]
                print(f"slope {mean:.1f} ± {sd:.2f}: " + ", ".join(f"{n}: {x:.2f}" for n, x in zip(SIZES, means, strict=True)))
        return
    print(f"{'model':<32} {'raw':>6} {'at equal length':>16} {'published':>10}   wins and losses, all questions")
    for name, (wins, delta, published) in models.items():
        wins = np.round(wins)
        print(f"{name:<32} {100 * wins.mean():6.2f} {rate(wins, 1 - wins, delta):16.2f} {published:10.2f}")
    for n in SIZES:
        found = errors(models, n, options.draws, options.seed)
        for part, names in parts.items():
            raw, ours = np.mean([found[name] for name in names], axis=0)
            print(f"{n} questions, {len(names)} models {part}: mean error {ours:.2f} points, the raw rate's {raw:.2f}")
    found = errors(models, 805, 1, options.seed, is_rounded=False)
    raw, ours = np.mean(list(found.values()), axis=0)
    print(f"805 questions, as points (10 × the fraction and the rest): mean error {ours:.2f} points, the raw share's {raw:.2f}")


if __name__ == "__main__":
    main()
