"""K-Center against the plain loop while others use the processors, too: with OpenMP's threads spinning while they wait, and asleep.

    python benchmarks/waiting.py [--rows 52002] [--width 4096] [--chosen 500] [--picks 100] [--busy 0,2] [--rounds 2]

Spinning is libgomp's default (some milliseconds before a thread sleeps), which `import diverseevol` and the command line replace unless
one of the variables is set. A thread that spins takes the processor away from the one that it waits for, where there are not enough of
them. Each line is a process of its own, since OpenMP reads its variables when torch is loaded; `--busy` processes do nothing but count.
"""

import argparse
import os
import subprocess
import sys
import time

import diverseevol  # noqa: F401 - before torch, whose OpenMP reads how to wait when it is loaded

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
SETTINGS = {"spinning": {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}, "as it comes": {}}


def measure(options: argparse.Namespace) -> None:
    """Print the best seconds of the plain loop and of ours, in turns."""
    import numpy as np
    import torch

    from diverseevol import select
    from selection import make, plain

    rows = make("clustered", options.rows, options.width, np.random.default_rng(0))
    chosen = np.sort(np.random.default_rng(1).permutation(len(rows))[: options.chosen])
    contestants = (
        lambda: plain(torch.from_numpy(rows), chosen, options.picks),
        lambda: select(rows, chosen, options.picks),
    )
    seconds: list[list[float]] = [[], []]
    for _ in range(options.rounds):
        for work, found in zip(contestants, seconds, strict=True):
            started = time.perf_counter()
            work()
            found.append(time.perf_counter() - started)
    of_plain, ours = map(min, seconds)
    print(f"plain loop {of_plain:6.2f} s, ours {ours:6.2f} s: {of_plain / ours:5.1f} × as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"rows": 52_002, "width": 4096, "chosen": 500, "picks": 100, "rounds": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--busy", default="0,2", help="numbers of busy processes, separated by commas")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options)
        return
    for n_busy in map(int, options.busy.split(",")):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n_busy)]
        try:
            for name, variables in SETTINGS.items():
                environment = {key: value for key, value in os.environ.items() if key not in VARIABLES} | variables
                print(f"{n_busy} busy, {name:<12}", end="", flush=True)
                subprocess.run([sys.executable, __file__, *sys.argv[1:], "--measure"], env=environment, check=True)
        finally:
            for process in busy:
                process.kill()


if __name__ == "__main__":
    main()
