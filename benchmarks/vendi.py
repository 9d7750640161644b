"""What the Vendi score of many rows costs, at all four orders at once, and what the rest of `diversity` costs.

    python benchmarks/vendi.py [--rows 50000] [--width 1024] [--chosen 1100] [--package-rows 3000]

Made float32 rows in a file, read in blocks; each line is a process of its own, so that its peak memory is its own. The published package
(vendi-score) takes its two routes on the same rows in memory: through D × D, once an order, and, on fewer rows, through n × n.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from diverseevol import open_vectors
from diverseevol.selection.vendi import ORDERS, vendi_scores


def write_rows(file: Path, n: int, width: int) -> None:
    """Rows around a hundred middles with decaying directions, like embeddings of text, written in blocks."""
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((100, width)) * (30 / np.arange(1, width + 1))
    rows = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(n, width))
    for start in range(0, n, 4096):
        count = min(4096, n - start)
        rows[start : start + count] = middles[rng.integers(0, 100, count)] + rng.standard_normal((count, width)) / 4


def ours(file: Path, _: int) -> list[float]:
    return list(vendi_scores(open_vectors(file))[0])


def package_dual(file: Path, _: int) -> list[float]:
    from vendi_score.vendi import score_dual

    rows = np.load(file).astype(np.float64)
    return [float(score_dual(rows, q="inf" if q == np.inf else q)) for q in ORDERS]


def ours_few(file: Path, n: int) -> list[float]:
    return list(vendi_scores(open_vectors(file)[:n])[0])


def package_rows(file: Path, n: int) -> list[float]:
    from vendi_score.vendi import score_K

    rows = np.load(file, mmap_mode="r")[:n].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [float(score_K(rows @ rows.T, q="inf" if q == np.inf else q)) for q in ORDERS]


def radius(file: Path, n: int) -> list[float]:
    from diverseevol.evaluation.coverage import distances_to_prefixes
    from diverseevol.evaluation.diversity import draw_random_sets

    vectors = open_vectors(file)
    largest, means = distances_to_prefixes(vectors, draw_random_sets(len(vectors), n, 1, 0)[0], [n])
    return [float(largest[0]), float(means[0])]


PARTS = {"ours": ours, "package, D × D": package_dual, "ours, few": ours_few, "package, n × n": package_rows, "distances": radius}


def measure(part: str, file: Path, n: int) -> dict:
    """Run a part in a process of its own."""
    ended = subprocess.run(
        [sys.executable, __file__, "--part", part, "--file", file, "--n", str(n)], capture_output=True, text=True
    )
    if ended.returncode:
        raise SystemExit(f"{part} failed: {ended.stderr[-2000:]}")
    return json.loads(ended.stdout)


def status(key: str) -> int:
    """A figure of the kernel's about this process, in bytes; its VmHWM, unlike ru_maxrss, is not inherited from the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{key}:")))


def run_part(part: str, file: Path, n: int) -> None:
    warnings.simplefilter("ignore")  # the package imports names that scipy has deprecated
    if part.startswith("package"):
        import vendi_score.vendi  # noqa: F401 - its import is not what is measured
    before, started = status("VmRSS"), time.perf_counter()
    values = PARTS[part](file, n)
    print(json.dumps({"values": values, "seconds": time.perf_counter() - started, "bytes": status("VmHWM") - before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"rows": 50_000, "width": 1024, "chosen": 1100, "package-rows": 3000}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        run_part(options.part, options.file, options.n)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.npy"
        write_rows(file, options.rows, options.width)
        few, chosen = min(options.package_rows, options.rows), min(options.chosen, options.rows)
        print(f"{options.rows:,} × {options.width:,} float32, {file.stat().st_size / 1e6:,.0f} MB; orders {ORDERS}")
        for title, part, peer, n in (
            (f"Vendi of {options.rows:,} rows", "ours", "package, D × D", options.rows),
            (f"Vendi of {few:,} rows", "ours, few", "package, n × n", few),
        ):
            own, other = measure(part, file, n), measure(peer, file, n)
            print(
                f"{title}: {own['seconds']:.1f} s, {own['bytes'] / 1e6:,.0f} MB; the {peer} route: {other['seconds']:.1f} s, "
                f"{other['bytes'] / 1e6:,.0f} MB; {other['seconds'] / own['seconds']:.1f} times as long"
            )
            gaps = [abs(a - b) for a, b in zip(own["values"], other["values"], strict=True)]
            print(
                "  scores " + ", ".join(f"{value:.6f}" for value in own["values"]) + f"; largest difference {max(gaps):.1e}",
                flush=True,
            )
        found = measure("distances", file, chosen)
        print(f"Distances of all rows to {chosen:,}: {found['seconds']:.1f} s, {found['bytes'] / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
