"""K-Center against the plain incremental loop, in the same run on the same data: seconds, extra memory, and whether the picks agree.

    python benchmarks/selection.py [--rows 52002] [--width 4096] [--chosen 500] [--picks 100] [--data clustered,isotropic,decaying] [--peers fps]

Plain: one product of all rows with the chosen ones, then one matrix-vector product a pick, all in float32, as people write it.
With --device cuda both work on rows that lie on the GPU; "host" is ours with the rows in the host's memory.
fps: scikit-matter's farthest point sampling, where it is installed; it starts from the chosen rows one after the other.
Data: clustered (1,000 tight clusters), isotropic (Gaussian), decaying (a spectrum that falls as 1/k, with an offset, as the states of language models
have it), equal (all rows the same), and real (--real FILE.npy).
--brute-force compares the picks with the definition in float64 on all rows, which takes a minute or two.
"""

import argparse
import resource
import threading
import time
from pathlib import Path

import diverseevol  # noqa: F401 - before torch, whose OpenMP reads how to wait when it is loaded

# isort: split
import numpy as np
import torch

from diverseevol.selection import select

MiB = 1 << 20


def make(kind: str, n: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Float32 rows of one kind, made in blocks so that no second copy is needed."""
    rows = np.empty((n, width), dtype=np.float32)
    centres = rng.standard_normal((1000, width), dtype=np.float32)
    falling = (1 / np.arange(1, width + 1)).astype(np.float32)
    for start in range(0, n, 4096):
        block = rows[start : start + 4096]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32)
        if kind == "clustered":
            block *= 0.05
            block += centres[rng.integers(0, 1000, len(block))]
        elif kind == "decaying":
            block *= falling * 30
            block += 2
        elif kind == "equal":
            block[:] = 1
    return rows


def plain(x: torch.Tensor, chosen: np.ndarray, n_new: int) -> list[int]:
    """The incremental loop as people write it, in float32."""
    norms = torch.linalg.vector_norm(x, dim=1).square()
    centres = x[torch.from_numpy(chosen)]
    nearest = torch.full((len(x),), torch.inf, device=x.device)
    for start in range(0, len(x), 8192):
        block = slice(start, start + 8192)
        nearest[block] = (norms[block, None] + norms[torch.from_numpy(chosen)] - 2 * x[block] @ centres.T).amin(1)
    nearest[chosen] = -torch.inf
    picks = []
    for _ in range(n_new):
        pick = int(nearest.argmax())
        picks.append(pick)
        torch.minimum(nearest, norms + norms[pick] - 2 * (x @ x[pick]), out=nearest)
        nearest[picks] = -torch.inf
    return picks


def fps(rows: np.ndarray, chosen: np.ndarray, n_new: int) -> list[int]:
    from skmatter.sample_selection import FPS

    selector = FPS(initialize=chosen.tolist(), n_to_select=len(chosen) + n_new).fit(rows)
    return np.asarray(selector.selected_idx_)[len(chosen) :].tolist()


def brute_force(rows: np.ndarray, chosen: np.ndarray, n_new: int) -> list[int]:
    """The definition in float64, a block of rows at a time: the chosen rows by a product, each pick by direct differences."""
    nearest = np.empty(len(rows))
    centres = torch.from_numpy(rows[chosen].astype(np.float64))
    for start in range(0, len(rows), 1024):
        block = torch.from_numpy(rows[start : start + 1024].astype(np.float64))
        squared = block.square().sum(1)[:, None] + centres.square().sum(1) - 2 * block @ centres.T
        nearest[start : start + 1024] = squared.amin(1).numpy()

    def count(centre: int) -> None:
        for start in range(0, len(rows), 1024):
            squared = np.square(rows[start : start + 1024].astype(np.float64) - rows[centre].astype(np.float64)).sum(axis=1)
            np.minimum(nearest[start : start + 1024], squared, out=nearest[start : start + 1024])

    nearest[chosen] = -np.inf
    picks = []
    for _ in range(n_new):
        picks.append(int(nearest.argmax()))
        count(picks[-1])
        nearest[picks] = -np.inf
    return picks


class Peak:
    """The highest resident set while a block runs, above that at its start, sampled every 2 ms."""

    def __enter__(self) -> "Peak":
        self.start = self.highest = resident()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self) -> None:
        while not self.is_over.wait(0.002):
            self.highest = max(self.highest, resident())

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.thread.join()

    @property
    def extra(self) -> int:
        return self.highest - self.start


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def compare(kind: str, rows: np.ndarray, options: argparse.Namespace) -> None:
    rng = np.random.default_rng(1)
    chosen = np.sort(rng.permutation(len(rows))[: options.chosen])
    x = torch.from_numpy(rows).to(options.device)
    contestants = {"plain": lambda: plain(x, chosen, options.picks)}
    contestants["ours"] = lambda: select(x, chosen, options.picks, device=options.device).rows.tolist()
    if x.is_cuda:
        contestants["host"] = lambda: select(rows, chosen, options.picks, device=options.device).rows.tolist()
    contestants |= {name: lambda name=name: {"fps": fps}[name](rows, chosen, options.picks) for name in options.peers}
    seconds, picks, extra = {name: [] for name in contestants}, {}, {}
    for _ in range(options.rounds):
        for name, work in contestants.items():
            with Peak() as peak:
                started = time.perf_counter()
                picks[name] = work()
                seconds[name].append(time.perf_counter() - started)
            extra[name] = max(peak.extra, extra.get(name, 0))
    expected = brute_force(rows, chosen, options.picks) if options.brute_force else None
    print(
        f"\n{kind}: {len(rows):,} × {rows.shape[1]} {rows.dtype}, {options.chosen} chosen, {options.picks} picks ({rows.nbytes / MiB:,.0f} MiB)"
    )
    for name in contestants:
        best = min(seconds[name])
        same = sum(a == b for a, b in zip(picks[name], picks["ours"], strict=True))
        text = f"  {name:<6} {best:7.2f} s  ours is {best / min(seconds['ours']):5.1f} × as fast  extra memory {extra[name] / rows.nbytes:6.1%}"
        text += f"  {same} of {options.picks} picks as ours"
        if expected is not None:
            text += f", {sum(a == b for a, b in zip(picks[name], expected, strict=True))} as the float64 brute force"
        print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"rows": 52_002, "width": 4096, "chosen": 500, "picks": 100, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--data", default="clustered,isotropic,decaying", help="kinds, separated by commas")
    parser.add_argument("--peers", type=lambda text: text.split(","), default=[])
    parser.add_argument("--real", type=Path, help="a .npy file of real embeddings")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--brute-force", action="store_true")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    if options.device == "cuda":
        print(torch.cuda.get_device_name())
    for kind in filter(None, options.data.split(",")):
        compare(kind, make(kind, options.rows, options.width, np.random.default_rng(0)), options)
    if options.real:
        compare(f"real ({options.real.name})", np.ascontiguousarray(np.load(options.real, allow_pickle=False)), options)


if __name__ == "__main__":
    main()
