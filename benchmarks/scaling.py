"""What a K-Center selection will take: a cost model, its constants measured here, its predictions checked here, and the large sizes.

    python benchmarks/scaling.py [--sizes 25000,50000,100000,200000] [--width 512] [--chosen 1000] [--picks 200]

For N rows of D numbers of b bytes, C chosen, k picks, on R processes:

    reading    N·D·b / R / read                     the rows come once, block by block
    guessing   2·N·(D·P + P·C) / R / flops          products with P = 32 landmarks, and of their view of rows and centres; a GPU: 2·N·D·C
    checking   12·N·D / R / memory                  a row, its guessed centre and their difference pass through memory
    picking    k·(pick + exchange if R > 1)         pick: a constant of the data and of C·D

    starting    a constant of a call

The rates of products and of memory are measured apart; reading and starting are fitted on one process at the two smallest sizes. Every
other line is a prediction beside its measurement. Then the model is
asked for 10M, 100M and 1B rows × 4,096 in float16 with the figures of an accelerator that --gpu-* name (no measurement; they are printed).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import diverseevol  # noqa: F401 - before torch, whose OpenMP reads how to wait when it is loaded

# isort: split
import numpy as np
import torch

from diverseevol.base import dist

N_LANDMARKS = 32


@dataclass(frozen=True)
class Machine:
    """What one process can do."""

    read: float
    """Bytes a second from where the rows lie."""
    flops: float
    """Multiplications and additions a second in a product."""
    memory: float
    """Bytes a second through memory."""
    pick: float
    """Seconds a pick, with the rows that it settles."""
    exchange: float
    """Seconds that an exchange of all processes takes."""
    start: float = 0.0
    """Seconds of a call, however few the rows."""
    is_gpu: bool = False
    """Whether rows are compared with all centres at once."""


def predicted(n: int, width: int, n_bytes: int, chosen: int, picks: int, ranks: int, machine: Machine) -> dict[str, float]:
    """Seconds of each term."""
    share = n / ranks
    products = width * chosen if machine.is_gpu else width * N_LANDMARKS + N_LANDMARKS * chosen
    return {
        "reading": share * width * n_bytes / machine.read,
        "guessing": 2 * share * products / machine.flops,
        "checking": 12 * share * width / machine.memory,
        "picking": picks * (machine.pick + (machine.exchange if ranks > 1 else 0)),
        "starting": machine.start,
    }


def make(n: int, width: int) -> np.ndarray:
    """Rows with a falling spectrum, as the states of language models have it."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, width), dtype=np.float32) * (30 / np.arange(1, width + 1)).astype(np.float32)


def work(folder: Path, picks: int) -> None:
    """One process of a measured run: select, and time an exchange."""
    from diverseevol.selection import select

    rows = np.load(folder / "rows.npy", mmap_mode="r")
    chosen = np.load(folder / "chosen.npy")
    seconds = []
    for n_picks in (1, 1, 1, picks):  # the first warms up threads and the page cache
        dist.barrier()
        started = time.perf_counter()
        select(rows, chosen, n_picks)
        dist.barrier()
        seconds.append(time.perf_counter() - started)
    started = time.perf_counter()
    for _ in range(200):
        dist.gather_numbers(np.zeros(4))
    exchange = (time.perf_counter() - started) / 200
    if dist.is_main():
        (folder / "seconds.json").write_text(json.dumps({"first": min(seconds[1:3]), "all": seconds[3], "exchange": exchange}))
    dist.stop()


def measured(folder: Path, ranks: int, picks: int) -> dict[str, float]:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(ranks)] if ranks > 1 else []
    command = [sys.executable, *launcher, __file__, "--work", str(folder), "--picks", str(picks)]
    subprocess.run(command, check=True, capture_output=True)
    return dict(json.loads((folder / "seconds.json").read_text()))


def product_rate() -> float:
    x, y = torch.randn(4096, 512), torch.randn(512, 64)
    x @ y
    started = time.perf_counter()
    for _ in range(50):
        x @ y
    return 50 * 2 * 4096 * 512 * 64 / (time.perf_counter() - started)


def memory_rate() -> float:
    x, y = torch.randn(2**22), torch.randn(2**22)
    started = time.perf_counter()
    for _ in range(20):
        x.sub_(y)
    return 20 * 12 * 2**22 / (time.perf_counter() - started)


def fitted(options: argparse.Namespace, found: list[dict[str, float]], flops: float, memory: float) -> Machine:
    """The machine that explains the runs of the two smallest sizes on one process."""
    pick = max(1e-6, min(run["all"] - run["first"] for run in found) / (options.picks - 1))
    rest = [
        sum(predicted(n, options.width, 4, options.chosen, 1, 1, Machine(1e30, flops, memory, pick, 0)).values())
        for n in options.sizes[:2]
    ]
    left = [run["first"] - seconds for run, seconds in zip(found, rest, strict=True)]
    n_bytes = (options.sizes[1] - options.sizes[0]) * options.width * 4
    read = n_bytes / max(1e-9, left[1] - left[0])
    return Machine(read, flops, memory, pick, 0, max(0.0, left[0] - options.sizes[0] * options.width * 4 / read))


def check(options: argparse.Namespace) -> None:
    flops, memory = product_rate(), memory_rate()
    print(f"products {flops / 1e9:.0f} GFLOP/s, memory {memory / 1e9:.1f} GB/s, {torch.get_num_threads()} threads")
    machine: Machine | None = None
    singles: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n in options.sizes:
            np.save(folder / "rows.npy", make(n, options.width))
            np.save(folder / "chosen.npy", np.sort(np.random.default_rng(1).permutation(n)[: options.chosen]))
            singles.append(measured(folder, 1, options.picks))
            if len(singles) < 2:
                continue
            if machine is None:
                machine = fitted(options, singles, flops, memory)
                print(
                    f"fitted at {options.sizes[0]:,} and {options.sizes[1]:,} rows: reading {machine.read / 1e9:.1f} GB/s, "
                    f"{machine.start:.2f} s to start, {machine.pick * 1e3:.2f} ms a pick"
                )
            show(options, n, 1, singles[-1], machine)
            show(options, n, 2, measured(folder, 2, options.picks), machine)


def show(options: argparse.Namespace, n: int, ranks: int, found: dict[str, float], machine: Machine) -> None:
    """A line: what the model says of a run, and what was measured. The processes share this machine."""
    here = Machine(
        machine.read / ranks, machine.flops / ranks, machine.memory / ranks, machine.pick, found["exchange"], machine.start
    )
    guess = sum(predicted(n, options.width, 4, options.chosen, options.picks, ranks, here).values())
    print(
        f"  {n:>9,} rows, {ranks} process{'es' if ranks > 1 else '  '}: measured {found['all']:6.2f} s, predicted {guess:6.2f} s "
        f"({guess / found['all']:.2f} ×), exchange {found['exchange'] * 1e3:.2f} ms",
        flush=True,
    )


def large(options: argparse.Namespace) -> None:
    machine = Machine(options.gpu_read * 1e9, options.gpu_tflops * 1e12, options.gpu_memory * 1e9, 2e-3, 2e-4, is_gpu=True)
    print(
        f"\n4,096 numbers of 2 bytes a row, {options.large_chosen:,} chosen, {options.large_picks:,} picks; a process: {machine}"
    )
    for n in (10**7, 10**8, 10**9):
        for ranks in (1, 8, 64):
            terms = predicted(n, 4096, 2, options.large_chosen, options.large_picks, ranks, machine)
            parts = ", ".join(f"{term} {seconds:,.0f} s" for term, seconds in terms.items())
            print(
                f"  {n:>13,} rows, {ranks:>2} GPUs: {sum(terms.values()):>8,.0f} s ({parts}); {40 * n / ranks / 1e9:,.1f} GB a process"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sizes", type=lambda text: [int(size) for size in text.split(",")], default=[50_000, 100_000, 200_000, 400_000]
    )
    for name, value in {"width": 512, "chosen": 1000, "picks": 200, "large-chosen": 1000, "large-picks": 1000}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    for name, value in {"gpu-read": 2.0, "gpu-tflops": 50.0, "gpu-memory": 2500.0}.items():
        parser.add_argument(f"--{name}", type=float, default=value)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.picks)
        return
    check(options)
    large(options)


if __name__ == "__main__":
    main()
