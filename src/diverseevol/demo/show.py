"""The demo itself: K-Center and random from the same start on the made pool, and each round's figures.

Every figure is computed when the demo runs: held-out loss by skill from the rounds' metrics, coverage of the
skills from the chosen rows, the covering radius in one fixed embedding (the untuned model's), so that rounds
and strategies can be compared.
Shape letters: N pool rows, D embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base.files import write_jsonl, write_text
from ..base.progress import Watch
from ..config import load_config, yaml_text
from ..data import Pool
from ..evaluation.coverage import covering_radius
from ..loop.embed_pool import embed_folder
from ..loop.evolve import evolve
from ..run.metrics import totals
from .model import made_model
from .pool import make_heldout, make_pool, rare_skills

STRATEGIES = ("k_center", "random")
BATCH = {"per_device_train_batch_size": 16, "total_batch_size": 16}


@dataclass(frozen=True)
class DemoRow:
    """One round of one strategy; `rare_loss` is the mean over the rare skills of their held-out loss."""

    strategy: str
    round_index: int
    n_chosen: int
    heldout_loss: float
    rare_loss: float
    n_skills: int
    radius: float
    seconds: float
    flops: float


def run_demo(out: Path, n_rows: int, rounds: int, seed: int, watch: Watch) -> list[DemoRow]:
    """Make the world and the model, run both strategies, and return a row a round and strategy.

    A second call with the same folder finds what is done and only makes the table again.
    """
    config_file, rare = make_world(out, n_rows, rounds, seed, watch), rare_skills(make_pool(n_rows, seed))
    base = {"out": str(out / "base"), "selection.strategy": "random", "rounds": 0}
    embed_folder(load_config(config_file, options=base), watch)
    embeddings_ND = np.load(out / "base" / "embeddings.npy", mmap_mode="r", allow_pickle=False)
    table: list[DemoRow] = []
    for strategy in STRATEGIES:
        watch.note(f"strategy {strategy}")
        options = {"out": str(out / strategy), "selection.strategy": strategy}
        chosen: list[int] = []
        for round_ in evolve(load_config(config_file, options=options), watch):
            pool = Pool.open(out / strategy / "pool")
            chosen, heldout = [*chosen, *pool.rows_of(round_.chosen_ids).tolist()], round_.metrics.heldout
            assert heldout.loss is not None  # the demo has held-out rows
            rare_loss = float(np.mean([heldout.by_group[skill] for skill in sorted(rare)]))
            n_skills = len({str(pool.record(pool_row)["skill"]) for pool_row in chosen})
            radius = covering_radius(embeddings_ND, np.array(chosen))
            spent = totals(round_.metrics.stages.values())
            sizes = (strategy, round_.index, round_.n_chosen)
            table.append(DemoRow(*sizes, heldout.loss, rare_loss, n_skills, radius, *spent))
    return table


def make_world(out: Path, n_rows: int, rounds: int, seed: int, watch: Watch) -> Path:
    """Leave data, a model and a configuration over them in `out`, what is there as it is; return its file."""
    pool_file, heldout_file, model_dir = out / "pool.jsonl", out / "heldout.jsonl", out / "model"
    for file, records in ((pool_file, make_pool(n_rows, seed)), (heldout_file, make_heldout(seed=seed))):
        if not file.exists():
            write_jsonl(file, records)
    if not model_dir.exists():
        made_model(model_dir, hidden_size=128, num_layers=3, vocab_size=1024, n_steps=600, watch=watch)
    # The paper's loop at the tiny model's learning rate.
    values = {
        "pool": {"path": str(pool_file)},
        "model": str(model_dir),
        **{"seed": seed, "rounds": rounds, "n_init": 100, "n_new": 100},
        "heldout": {"path": str(heldout_file), "group": "skill"},
        "train": {"learning_rate": 1e-3, "num_train_epochs": 3, **BATCH},
    }
    write_text(out / "demo.yaml", yaml_text(values))
    return out / "demo.yaml"
