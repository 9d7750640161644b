"""Finished stages of one run that another run would do just the same, given to it: hard links, or copies where links are impossible.

The borrower is whole by itself: every file has its own name in its own folder, and since files are only ever replaced, never written into,
neither run can change the other's. What was lent is noted in the round's metrics under `lent`, so that a bill of what was really spent
counts it once; the bills themselves are lent too, so that a run's own bill is that of a run alone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..base import dist
from ..base.files import replacing, write_json
from ..config import RunConfig, round_sizes
from ..errors import RunFolderError
from ..run_folder import OWN, RunFolder, locked, round_name
from ..selection import Signal, make_strategy
from .experiment import FULL, Experiment

OF_THE_START = ("fingerprint", "seed", "n_init", "model", "pool", "prompt", "train", "embed", "heldout")
"""What decides round 0."""
OF_THE_MODEL = ("select", "train", "heldout")
"""Stages of round 0 that are the same whatever a strategy asks of the model."""


def link_tree(source: Path, target: Path, without: Path | None = None) -> None:
    """Link a file, or all files below a folder but one, under a name that is free; copies where the file system has no links."""
    if source.is_dir():
        target.mkdir(parents=True)
        for item in sorted(source.iterdir()):
            if item != without:
                link_tree(item, target / item.name)
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def borrow(experiment: Experiment, arm: str, seed: int, config: RunConfig) -> None:
    """Open the folder of a run that is about to start, and put there whatever other runs have finished for it.

    Raises:
        RunFolderError: the other runs were made of another pool, model or held-out rows.
        ConfigError: as `open_record`.
    """
    from ..opening import open_record  # torch, which a finished comparison does without

    with locked(Path(config.out)) as run:
        dist.on_main(lambda: open_record(run, config) and None)
        dist.on_main(lambda: _borrow(experiment, arm, seed, run))


def _borrow(experiment: Experiment, arm: str, seed: int, run: RunFolder) -> None:
    others = [(other, each, experiment.run(other, each)) for each in experiment.seeds for other in experiment.arms]
    started = [(other, each, lender) for other, each, lender in others if lender.is_done(0)]
    for _, _, lender in started:
        _check_same_data(lender, run)
    for _, each, lender in started:
        if each == seed or not is_drawn_by_seed(experiment.config):
            lend_pool(lender, run)
        if each == seed or not experiment.config.pool.holdout:
            lend_heldout(lender, run)
    if arm == FULL:
        return
    may_lend = {
        other: lender for other, each, lender in started if each == seed and other != FULL and _may_lend_start(lender, run)
    }
    # Rather one that has asked the model the same of the pool; others lend the model alone.
    asks_the_same = [lender for other, lender in may_lend.items() if _asks_the_same(experiment, arm, other, seed)]
    lenders = [*asks_the_same, *may_lend.values()]
    if lenders:
        lend_start(lenders[0], run, with_signals=bool(asks_the_same))
    if experiment.config.embed.model and Signal.EMBEDDING in _needs(experiment.run_config(arm, seed)):
        for _, _, lender in started:
            lend_outer_bill(lender, run)


def lend_pool(lender: RunFolder, borrower: RunFolder) -> None:
    """Lend the prepared pool, where the borrower has none."""
    if not borrower.pool_dir.exists():
        with replacing(borrower.pool_dir) as partial:
            link_tree(lender.pool_dir, partial)


def lend_heldout(lender: RunFolder, borrower: RunFolder) -> None:
    """Lend the held-out rows without the losses of the lender's rounds, where the borrower has none."""
    if not borrower.heldout_dir.exists():
        with replacing(borrower.heldout_dir) as partial:
            link_tree(lender.heldout_dir, partial, without=lender.losses_dir)


def lend_start(lender: RunFolder, borrower: RunFolder, with_signals: bool) -> None:
    """Lend a finished round 0, where the borrower has none: picks, model, figures, and with_signals what its model says about the pool."""
    if borrower.round_dir(0).exists():
        return
    metrics = lender.metrics(0)
    metrics.pop("bytes", None)
    if not with_signals:
        metrics["stages"] = {name: bill for name, bill in metrics["stages"].items() if name in OF_THE_MODEL}
    stages = [name for name in metrics["stages"] if name != "select"]  # picks are read again and billed anew, at nothing
    metrics["lent"] = {"from": lender.root.name, "stages": stages}
    mine, yours = (run.row_losses_file(OWN, round_name(0)) for run in (lender, borrower))
    if not yours.exists():
        with replacing(yours) as partial:
            link_tree(mine, partial)
    parts = [lender.chosen_file(0), lender.subset_file(0), lender.model_dir(0)]
    if with_signals and lender.signals_dir(0).is_dir():
        parts.append(lender.signals_dir(0))
    with replacing(borrower.round_dir(0)) as partial:
        partial.mkdir()
        for part in parts:
            link_tree(part, partial / part.name)
        write_json(partial / lender.metrics_file(0).name, metrics)


def lend_outer_bill(lender: RunFolder, borrower: RunFolder) -> None:
    """Bill an outer model's vectors, which come with the pool, to a borrower that reads them and has not computed them."""
    metrics, bill = borrower.metrics(0), lender.metrics(0)["stages"].get("embed_outer")
    if bill and (borrower.outer_dir / "embeddings.npy").exists() and "embed_outer" not in metrics.get("stages", {}):
        lent = metrics.get("lent", {"from": lender.root.name, "stages": []})
        lent["stages"].append("embed_outer")
        borrower.add_metrics(0, {"stages": {"embed_outer": bill}, "lent": lent})


def is_drawn_by_seed(config: RunConfig) -> bool:
    """Whether the pool itself depends on the seed, so that runs of different seeds cannot share it."""
    return config.pool.max_rows is not None or any(source.max_rows or source.weight for source in config.pool.all_sources())


def _check_same_data(other: RunFolder, run: RunFolder) -> None:
    was, now = other.config()["fingerprint"], run.config()["fingerprint"]
    for what in ("pool", "model", "heldout rows"):
        if was.get(what) != now.get(what):
            raise RunFolderError(
                f"the {what} is not the one that {other.root} was made with ({was.get(what)} then, {now.get(what)} now). "
                "Put the old one back, or give --out a new folder for a new comparison."
            )


def _may_lend_start(lender: RunFolder, borrower: RunFolder) -> bool:
    """Whether the lender's round 0 is what the borrower's would be, and is still there."""
    mine, yours = lender.config(), borrower.config()
    return lender.model_dir(0).is_dir() and all(mine.get(key) == yours.get(key) for key in OF_THE_START)


def _needs(config: RunConfig) -> frozenset[str]:
    return make_strategy(config.selection.strategy, **config.selection.options).needs


def _asks_the_same(experiment: Experiment, arm: str, other: str, seed: int) -> bool:
    """Whether two arms read the same of round 0's model, about the same rows of the pool."""
    configs = [experiment.run_config(each, seed) for each in (arm, other)]
    needs = [_needs(config) for config in configs]
    n_next = {round_sizes(config.rounds, config.n_init, config.n_new, config.budget)[1] for config in configs}
    is_same_rows = experiment.config.selection.candidates == 1 or len(n_next) == 1
    return is_same_rows and {*needs[0]} & {*Signal} == {*needs[1]} & {*Signal}
