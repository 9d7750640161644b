"""Reading a large pool: rows a second and peak memory, against `json.loads` on the same lines in the same run.

Claim: a million rows are read, checked, given ids and written on one core at some tens of thousands of rows a second, in
some 150 bytes of memory a row, however long the rows are. Each measurement runs in a process of its own, for its own peak.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = [f"word{number}" for number in range(5000)]


def make(file: Path, n_rows: int) -> None:
    """Alpaca records of about 500 characters, one in fifty an exact copy of an earlier one."""
    rng = random.Random(0)
    lines: list[str] = []
    with file.open("w") as out:
        for number in range(n_rows):
            if lines and number % 50 == 0:
                line = rng.choice(lines)
            else:
                question, answer = (" ".join(rng.choices(WORDS, k=k)) for k in (12, 45))
                line = json.dumps({"instruction": f"{number}: {question}?", "input": "", "output": answer}) + "\n"
            if number < 1000:
                lines.append(line)
            out.write(line)


def loads(file: Path) -> int:
    with file.open() as lines:
        return sum(1 for line in lines if json.loads(line))


def read(file: Path) -> int:
    from diverseevol.data import Pool

    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        pool = Pool.read(file, pool_dir=Path(folder))
        start = time.perf_counter()
        Pool.open(Path(folder)).sample(len(pool) - 1)
        print(f"opening it again and reading its last row: {(time.perf_counter() - start) * 1e3:.0f} ms", file=sys.stderr)
        return len(pool)


def measured(what: str, file: Path) -> tuple[float, float]:
    """Rows a second of processor time and MiB of peak memory, in a process of its own."""
    words = [sys.executable, __file__, "--measure", what, str(file)]
    result = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    return result["rate"], result["mib"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, file = options.measure
        start = time.process_time()
        n_rows = {"loads": loads, "read": read}[what](Path(file))
        rate = n_rows / (time.process_time() - start)
        print(json.dumps({"rate": rate, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pool.jsonl"
        make(file, options.rows)
        print(f"{options.rows:,} rows, {file.stat().st_size / 1e6:,.0f} MB of JSONL")
        loads_rate, loads_mib = measured("loads", file)
        read_rate, read_mib = measured("read", file)
    print(f"json.loads alone:  {loads_rate:>9,.0f} rows/s  {loads_mib:>6,.0f} MiB peak")
    print(f"read into a pool:  {read_rate:>9,.0f} rows/s  {read_mib:>6,.0f} MiB peak")
    print(f"ratio: {loads_rate / read_rate:.1f} times the time of json.loads")


if __name__ == "__main__":
    main()
