"""K-Center on a file that is never in memory, against one plain read of the same file: seconds, peak memory, bytes read.

    python benchmarks/select_disk.py [--rows 2000000] [--width 512] [--chosen 500] [--picks 100] [--file X.npy] [--block-rows B]

Makes a seeded .npy of float16 (2 GB) in a temporary folder, unless --file names one. Each round reads it once with plain pread in
blocks of 16 MB and then selects in a fresh process, whose peak memory is the kernel's own (VmHWM: like ru_maxrss, but not
inherited from the process that started it). The page cache is left alone: after the first read the file lies in it if the machine
has the room, for both alike.
"""

import sys

sys.path.pop(0)  # this folder: the name of another script hides a module of the standard library

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

MiB = 1 << 20
BLOCK = 16 * MiB


def make(file: Path, n_rows: int, width: int) -> None:
    """Clustered rows of float16, a block at a time."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((1000, width), dtype=np.float32)
    with file.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f2", "fortran_order": False, "shape": (n_rows, width)})
        for start in range(0, n_rows, 8192):
            n = min(8192, n_rows - start)
            rows = 0.3 * rng.standard_normal((n, width), dtype=np.float32) + centres[rng.integers(0, 1000, n)]
            out.write(rows.astype(np.float16).data)


def read_once(file: Path) -> float:
    started, buffer, at = time.perf_counter(), memoryview(bytearray(BLOCK)), 0
    handle = os.open(file, os.O_RDONLY)
    while n_read := os.preadv(handle, [buffer], at):
        at += n_read
    os.close(handle)
    return time.perf_counter() - started


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{key}:")))


def child(options: argparse.Namespace) -> None:
    """Select in this process, and print what it took as JSON."""
    from diverseevol.selection import k_center, select
    from diverseevol.selection.vectors import open_vectors

    at_start, started = status("VmRSS"), time.perf_counter()
    vectors = open_vectors(options.file)
    chosen = np.random.default_rng(1).permutation(len(vectors))[: options.chosen]
    picks = select(vectors, chosen, options.picks, k_center.KCenter(block_rows=options.block_rows))
    found = {"seconds": time.perf_counter() - started, "peak": status("VmHWM"), "at_start": at_start, "read": vectors.bytes_read}
    print(json.dumps(found | {"picks": picks.rows.tolist()}))


def run(options: argparse.Namespace) -> dict:
    words = [f"--{name}={getattr(options, name)}" for name in ("file", "chosen", "picks")]
    words += [f"--block-rows={options.block_rows}"] if options.block_rows else []
    ended = subprocess.run([sys.executable, __file__, "--child", *words], capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def compare(options: argparse.Namespace) -> None:
    size = options.file.stat().st_size
    print(f"{options.file.name}: {size / MiB:,.0f} MiB, {options.chosen} chosen, {options.picks} picks")
    plain, ours = [], []
    for _ in range(options.rounds):
        plain.append(read_once(options.file))
        ours.append(run(options))
        last = ours[-1]
        print(
            f"  one plain read {plain[-1]:6.2f} s   select {last['seconds']:6.2f} s = {last['seconds'] / plain[-1]:5.1f} plain reads   "
            f"peak memory {last['peak'] / MiB:5.0f} MiB ({last['at_start'] / MiB:.0f} before opening)   "
            f"read {last['read'] / size:.2f} times the file",
            flush=True,
        )
    ratio = min(found["seconds"] for found in ours) / min(plain)
    print(
        f"  best against best: {ratio:.1f} plain reads; picks {'the same' if all(f['picks'] == ours[0]['picks'] for f in ours) else 'DIFFER'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"rows": 2_000_000, "width": 512, "chosen": 500, "picks": 100, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--file", type=Path, help="a .npy to use; made there if it does not exist")
    parser.add_argument("--block-rows", type=int, help="rows a block of the first pass; else the engine's own choice")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.file = options.file or Path(folder) / "embeddings.npy"
        if not options.file.exists():
            make(options.file, options.rows, options.width)
        compare(options)


if __name__ == "__main__":
    main()
