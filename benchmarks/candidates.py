"""What looking at a part of the pool a round does to the covering radius: K-Center over ten rounds with several shares.

    python benchmarks/candidates.py [--rows 20000] [--width 256] [--real FILE.npy]

The same embeddings in every round, so that only the share differs; each line is the mean of some seeds with the extremes. The radius is the
distance of the worst-covered row of the whole pool from its nearest chosen one, as a ratio to that of looking at all rows.
"""

import argparse
from pathlib import Path

import numpy as np

from diverseevol.evaluation.coverage import covering_radius
from diverseevol.loop.candidates import draw_candidates
from diverseevol.selection import select

NOBODY = np.empty(0, dtype=np.int64)


def made(kind: str, n: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((n, width), dtype=np.float32)
    if kind == "clustered":
        return rng.standard_normal((500, width), dtype=np.float32)[rng.integers(0, 500, n)] + rows / 4
    return rows * (30 / np.arange(1, width + 1)).astype(np.float32)


def radius(embeddings: np.ndarray, share: float, rounds: int, n_new: int, seed: int) -> float:
    """The covering radius after some rounds of K-Center on a share of the rows, from a random start."""
    chosen = np.random.default_rng(seed).choice(len(embeddings), n_new, replace=False)
    for index in range(rounds):
        rows = draw_candidates(len(embeddings), chosen.tolist(), NOBODY, share, n_new, np.random.default_rng([seed, index]))
        picks = (
            select(embeddings, chosen, n_new).rows
            if rows is None
            else rows[select(embeddings[rows], np.searchsorted(rows, chosen), n_new).rows]
        )
        chosen = np.concatenate([chosen, picks])
    return covering_radius(embeddings, chosen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"rows": 20_000, "width": 256, "rounds": 10, "new": 100, "seeds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--real", type=Path, help="a .npy file of real embeddings")
    options = parser.parse_args()
    data = {kind: made(kind, options.rows, options.width) for kind in ("decaying", "clustered")}
    if options.real:
        data = {options.real.name: np.load(options.real, allow_pickle=False)}
    for kind, embeddings in data.items():
        n = options.new * (options.rounds + 1)
        print(
            f"{kind}: {len(embeddings):,} × {embeddings.shape[1]}, {options.rounds} rounds of {options.new}, {n} chosen in the end"
        )
        whole = [radius(embeddings, 1.0, options.rounds, options.new, seed) for seed in range(options.seeds)]
        draws = [np.random.default_rng(seed).choice(len(embeddings), n, replace=False) for seed in range(options.seeds)]
        by_chance = [covering_radius(embeddings, rows) / base for rows, base in zip(draws, whole, strict=True)]
        for share in (0.5, 0.2, 0.1, 0.05):
            ratios = [radius(embeddings, share, options.rounds, options.new, seed) / whole[seed] for seed in range(options.seeds)]
            print(
                f"  a share of {share:4.0%}: radius {np.mean(ratios):.3f} × ({min(ratios):.3f} to {max(ratios):.3f})", flush=True
            )
        print(f"  random draw:     radius {np.mean(by_chance):.3f} × ({min(by_chance):.3f} to {max(by_chance):.3f})")


if __name__ == "__main__":
    main()
