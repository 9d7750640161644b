"""Facility location against the exact greedy, in the same run on the same data: the objective reached, seconds, extra memory.

    python benchmarks/facility.py [--rows 20000] [--width 512] [--picks 100] [--data isotropic,clustered,decaying] [--represented 20000]
                                  [--plain]

The objective is the full one, Σ_i max_j max(0, cos(i, j)) over all rows in float64, whatever was represented. Lazy: the exact greedy in
float64 with lazy evaluation (Minoux, 1978), as apricot and submodlib do it, on a dense matrix of N × N float64 numbers (3.2 GB at
20,000 rows), built before the clock starts. On a machine that is busy elsewhere, run it with OMP_NUM_THREADS=1 and read
the processor seconds. Random: the mean of five random sets, to show what there is to gain.
"""

import argparse
import heapq
import resource
import time

import diverseevol  # noqa: F401 - before torch, whose OpenMP reads how to wait when it is loaded

# isort: split
import numpy as np
import torch

from diverseevol.selection import select

clock = time.perf_counter


def make(kind: str, n: int, width: int, rng: np.random.Generator) -> np.ndarray:
    rows = rng.standard_normal((n, width), dtype=np.float32)
    if kind == "clustered":
        rows *= 0.05
        rows += rng.standard_normal((1000, width), dtype=np.float32)[rng.integers(0, 1000, n)]
    elif kind == "decaying":
        rows *= (30 / np.arange(1, width + 1)).astype(np.float32)
        rows += 2
    return rows


def units(rows: np.ndarray) -> np.ndarray:
    units_ND = rows.astype(np.float64)
    return units_ND / np.linalg.norm(units_ND, axis=1, keepdims=True)


def objective(units_ND: np.ndarray, picks: np.ndarray) -> float:
    return float(np.maximum(units_ND @ units_ND[picks].T, 0).max(axis=1).sum())


def exact_greedy(similar_NN: np.ndarray, n_new: int) -> np.ndarray:
    """The largest gain first, each gain computed anew only while it is in the lead."""
    best_N = np.zeros(len(similar_NN))
    heap = [(-gain, row, 0) for row, gain in enumerate(similar_NN.sum(axis=1))]
    heapq.heapify(heap)
    picks: list[int] = []
    while len(picks) < n_new:
        _, row, n_seen = heapq.heappop(heap)
        if n_seen == len(picks):
            picks.append(row)
            np.maximum(best_N, similar_NN[row], out=best_N)
        else:
            gain = np.maximum(similar_NN[row] - best_N, 0).sum()
            heapq.heappush(heap, (-gain, row, len(picks)))
    return np.array(picks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"rows": 20_000, "width": 512, "picks": 100, "represented": 20_000}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--data", default="isotropic,clustered,decaying", help="kinds, separated by commas")
    parser.add_argument("--plain", action="store_true", help="leave the exact greedy out: its matrix needs 8 N² bytes")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; {options}")
    for kind in options.data.split(","):
        rng = np.random.default_rng(0)
        rows = make(kind, options.rows, options.width, rng)
        before, started, worked = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, clock(), time.process_time()
        picks = select(rows, [], options.picks, strategy="facility_location", represented=options.represented)
        seconds, worked = clock() - started, time.process_time() - worked
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        units_ND = units(rows)
        ours = objective(units_ND, picks.rows)
        text = f"{kind:<10} {seconds:6.1f} s ({worked:.1f} processor seconds)"
        text += f", {max(0, after - before) / 1024:,.0f} MiB more at the peak; objective {ours:,.1f}"
        random = np.mean([objective(units_ND, rng.permutation(len(rows))[: options.picks]) for _ in range(5)])
        text += f"; a random set reaches {random / ours:.2%} of it"
        if not options.plain:
            similar_NN = units_ND @ units_ND.T
            np.maximum(similar_NN, 0, out=similar_NN)
            started = clock()
            exact = exact_greedy(similar_NN, options.picks)
            text += f"; ours / exact {ours / objective(units_ND, exact):.5f}, {np.mean(exact == picks.rows):.0%} of the picks the same"
            text += f", exact in {clock() - started:.1f} s"
        print(text, flush=True)


if __name__ == "__main__":
    main()
