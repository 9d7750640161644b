"""`demo`: the whole path on built-in data, offline."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from ..demo.show import DemoRow


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: diverseevol demo --out runs/demo")(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", help="Where the pool, the runs and the subsets go.")] = Path("runs/demo"),
    rounds: Annotated[int, typer.Option("--rounds", help="Rounds after round 0.", min=1)] = 4,
    rows: Annotated[int, typer.Option("--rows", help="Rows of the made pool.", min=700)] = 3000,
    seed: Annotated[int, typer.Option("--seed", help="Fixes every random choice.")] = 0,
) -> None:
    """Run K-Center and random on a made pool with a tiny model: offline, in minutes, every figure computed on the spot."""
    from rich.console import Console

    from ..progress import duration
    from .run import quiet_libraries
    from .watch import open_watch

    started = time.perf_counter()
    watch = open_watch()
    quiet_libraries()
    from ..demo.show import run_demo

    table = run_demo(out, cache_dir(), rows, rounds, seed, watch)
    console = Console()
    console.print(demo_table(table))
    console.print(
        "Held-out loss and its mean over the rarest third of the skills: lower is better. Radius: distance of the pool's\n"
        "worst-covered sample from the nearest chosen one, in the untuned model's embedding. One seed: differences between the two\n"
        "strategies of the size of a seed's luck prove nothing; try --seed 1, 2, …",
        style="dim",
        highlight=False,
    )
    console.print(
        f"Subsets: {out}/k_center/rounds/{rounds:02d}/subset.jsonl and {out}/random/… · {duration(time.perf_counter() - started)}"
    )
    console.print(f"Next: diverseevol status {out}/k_center · diverseevol explain {out}/k_center ID", highlight=False)


def demo_table(rows: list[DemoRow]) -> Table:
    """The closing table: a line a round, both strategies side by side."""
    from rich.table import Table

    table = Table(title="K-Center / random, from the same 100 samples")
    headings = ("round", "samples", "held-out loss", "rare skills' loss", "skills covered", "radius", "seconds", "GFLOPs")
    for heading in headings:
        table.add_column(heading, justify="right")
    half = len(rows) // 2
    for ours, theirs in zip(rows[:half], rows[half:], strict=True):
        table.add_row(
            str(ours.round_index),
            str(ours.n_chosen),
            f"{ours.heldout_loss:.3f} / {theirs.heldout_loss:.3f}",
            f"{ours.rare_loss:.3f} / {theirs.rare_loss:.3f}",
            f"{ours.n_skills} / {theirs.n_skills}",
            f"{ours.radius:.2f} / {theirs.radius:.2f}",
            f"{ours.seconds:.1f} / {theirs.seconds:.1f}",
            f"{ours.flops / 1e9:,.0f} / {theirs.flops / 1e9:,.0f}",
        )
    return table


def cache_dir() -> Path:
    """Where made models are kept between demos."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diverseevol"
