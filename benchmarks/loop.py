"""A whole run on the made pool: the seconds of every stage, and how far each is from the machine's rate of matrix products.

    python benchmarks/loop.py --rows 3000 --rounds 4

The model is a random Llama made on the spot (--width, --layers); nothing is fetched.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import diverseevol  # noqa: F401 - before torch, whose OpenMP reads how to wait when it is loaded

# isort: split
import torch

from diverseevol import evolve, load_config
from diverseevol.base.files import write_text
from diverseevol.demo.model import made_model
from diverseevol.demo.pool import make_pool


def product_rate(width: int, n_rows: int = 2048, seconds: float = 1.0) -> float:
    """FLOP/s of float32 products of the shape of this model's layers."""
    x, w = torch.randn(n_rows, width), torch.randn(width, 2 * width)
    n, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        x @ w
        n += 1
    return n * 2.0 * n_rows * width * 2 * width / (time.perf_counter() - started)


def start_seconds() -> float:
    """Seconds until a fresh process has loaded everything that a run needs."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import diverseevol.loop.evolve, diverseevol.models.train"], check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"rows": 3000, "rounds": 4, "width": 128, "layers": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    print(f"load: {start_seconds():.1f} s; {torch.get_num_threads()} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = made_model(folder / "model", hidden_size=options.width, num_layers=options.layers)
        pool = make_pool(options.rows, seed=0)
        write_text(folder / "pool.jsonl", "".join(json.dumps(row) + "\n" for row in pool))
        given = {
            "pool.path": str(folder / "pool.jsonl"),
            "model": str(model),
            "out": str(folder / "run"),
            "rounds": options.rounds,
        }
        started, totals, spent = time.perf_counter(), {}, {}
        for round_ in evolve(load_config(overrides=["train.learning_rate=1e-3"], options=given)):
            for stage, bill in round_.metrics["stages"].items():
                totals[stage] = totals.get(stage, 0.0) + bill["seconds"]
                spent[stage] = spent.get(stage, 0.0) + bill.get("flops", 0.0)
        whole = time.perf_counter() - started
    rate = product_rate(options.width)
    print(f"{options.rows} rows, {options.rounds} rounds, width {options.width}, {options.layers} layers: {whole:.1f} s")
    for stage, seconds in totals.items():
        of_limit = f", {spent[stage] / seconds / rate:4.0%} of the rate of products" if spent[stage] else ""
        print(f"  {stage:<8} {seconds:7.2f} s  {seconds / whole:4.0%}{of_limit}")
    print(
        f"  other    {whole - sum(totals.values()):7.2f} s  {1 - sum(totals.values()) / whole:4.0%}  (pool, tokens, loading, saving, checking)"
    )
    print(f"float32 products of this width: {rate / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
