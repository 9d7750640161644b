"""The demo itself: K-Center and random from the same start on the made pool, and what each round's figures were.

Every figure is computed when the demo runs: held-out loss by skill from the rounds' metrics, coverage of the skills from the chosen rows,
the covering radius in one fixed embedding (the untuned model's), so that rounds and strategies can be compared.
Shape letters: N pool rows, D embedding width.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base.files import replacing, write_text
from ..base.progress import Watch
from ..config import load_config, yaml_text
from ..evaluation.coverage import covering_radius
from ..ledger import totals
from ..loop import Round, evolve
from ..opening import embed_folder
from ..pool import Pool
from .model import tiny_model
from .pool import make_heldout, make_pool, rare_skills

STRATEGIES = ("k_center", "random")


@dataclass(frozen=True)
class DemoRow:
    """One round of one strategy."""

    strategy: str
    round_index: int
    n_chosen: int
    heldout_loss: float
    rare_loss: float
    """Mean over the rare skills of their held-out loss."""
    n_skills: int
    radius: float
    seconds: float
    flops: float


def run_demo(out: Path, cache_dir: Path, n_rows: int, rounds: int, seed: int, watch: Watch) -> list[DemoRow]:
    """Make the world and the model, run both strategies, and return a row a round and strategy.

    A second call with the same folder finds what is done and only makes the table again.
    """
    config_file, rare = make_world(out, cache_dir, n_rows, rounds, seed, watch), rare_skills(make_pool(n_rows, seed))
    base = {"out": str(out / "base"), "selection.strategy": "random", "rounds": 0}
    embed_folder(load_config(config_file, options=base), watch)
    embeddings_ND = np.load(out / "base" / "embeddings.npy", mmap_mode="r", allow_pickle=False)
    table: list[DemoRow] = []
    for strategy in STRATEGIES:
        watch.note(f"strategy {strategy}")
        config = load_config(config_file, options={"out": str(out / strategy), "selection.strategy": strategy})
        chosen: list[int] = []
        for round_ in evolve(config, watch):
            pool = Pool.open(out / strategy / "pool")
            chosen += pool.rows_of(round_.chosen_ids).tolist()
            table.append(_row(strategy, round_, chosen, pool, embeddings_ND, rare))
    return table


def make_world(out: Path, cache_dir: Path, n_rows: int, rounds: int, seed: int, watch: Watch) -> Path:
    """Leave the demo's data and its model, where they are not there yet, and a configuration over them in `out`; return its file."""
    pool_file, heldout_file, model_dir = out / "pool.jsonl", out / "heldout.jsonl", out / "model"
    for file, made in ((pool_file, make_pool(n_rows, seed)), (heldout_file, make_heldout(seed=seed))):
        if not file.exists():
            write_text(file, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in made))
    if not model_dir.exists():
        with replacing(model_dir) as partial:
            shutil.copytree(tiny_model(cache_dir, watch=watch), partial)
    # The paper's loop at the tiny model's learning rate.
    values = {
        "pool": {"path": str(pool_file)},
        "model": str(model_dir),
        "seed": seed,
        "rounds": rounds,
        "n_init": 100,
        "n_new": 100,
        "heldout": {"path": str(heldout_file), "group": "skill"},
        "train": {
            "learning_rate": 1e-3,
            "num_train_epochs": 3,
            "per_device_train_batch_size": 16,
            "total_batch_size": 16,
        },
    }
    file = out / "demo.yaml"
    write_text(file, yaml_text(values))
    return file


def _row(
    strategy: str, round_: Round, rows: Sequence[int], pool: Pool, embeddings_ND: np.ndarray, rare: frozenset[str]
) -> DemoRow:
    by_skill = round_.metrics["heldout"]["by_group"]
    seconds, flops = totals(round_.metrics["stages"].values())
    return DemoRow(
        strategy=strategy,
        round_index=round_.index,
        n_chosen=round_.n_chosen,
        heldout_loss=round_.metrics["heldout"]["loss"],
        rare_loss=float(np.mean([by_skill[skill] for skill in sorted(rare)])),
        n_skills=len({str(pool.record(row)["skill"]) for row in rows}),
        radius=covering_radius(embeddings_ND, np.array(rows)),
        seconds=seconds,
        flops=flops,
    )
