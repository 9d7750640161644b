"""Kill a small run with SIGKILL at random moments, resume it each time, and compare its chosen ids with a run left alone.

    python benchmarks/kill.py --times 20

Prints a line a kill (what the run folder said it was doing) and whether the ids agree. Exit status 1 if they do not.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from diverseevol.demo.model import made_model
from diverseevol.demo.pool import make_pool
from diverseevol.run.status import run_status

ROUNDS = 4


def command(folder: Path, out: Path) -> list[str]:
    words = [sys.executable, "-m", "diverseevol", "run", "--pool", str(folder / "pool.jsonl"), "--model", str(folder / "model")]
    words += ["--out", str(out), "--rounds", str(ROUNDS), "--n-init", "30", "--n-new", "20", "train.learning_rate=1e-3"]
    return [*words, "train.total_batch_size=8", "train.checkpoint_minutes=0", "prompt.max_length=256"]


def chosen(out: Path) -> list[str]:
    files = [out / f"rounds/{index:02d}/chosen.jsonl" for index in range(ROUNDS + 1)]
    return [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]


def kill_until_done(folder: Path, out: Path, times: int, seconds: float, rng: random.Random) -> int:
    """Start, kill after a random time, start again; the last start is left alone. Gives the number of kills that hit a run at work."""
    hits = 0
    while hits < times:
        process = subprocess.Popen(command(folder, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0.3, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            hits += 1
            state = run_status(out) if (out / "config.yaml").exists() else {"round": "-", "stage": "start"}
            print(f"kill {hits:>2}: round {state['round']}, stage {state['stage']}")
        else:
            # It finished between two kills: begin a new run, so that every kill hits one at work.
            assert chosen(out) == chosen(folder / "alone"), "the ids differ"
            subprocess.run(["rm", "-r", str(out)], check=True)
    subprocess.run(command(folder, out), check=True, capture_output=True)
    return hits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made_model(folder / "model", hidden_size=32, num_layers=1)
        (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in make_pool(options.rows, seed=1)))
        started = time.perf_counter()
        subprocess.run(command(folder, folder / "alone"), check=True, capture_output=True)
        seconds = time.perf_counter() - started
        print(f"left alone: {seconds:.1f} s, {len(chosen(folder / 'alone'))} ids")
        hits = kill_until_done(folder, folder / "killed", options.times, seconds, random.Random(options.seed))
        is_same = chosen(folder / "killed") == chosen(folder / "alone")
        print(f"{hits} kills: the chosen ids are {'the same' if is_same else 'DIFFERENT'}")
        return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
