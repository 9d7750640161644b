"""What runs share: finished stages that another run would do just the same, as hard links or copies.

The borrower is whole by itself: every file has its own name in its own folder, and since files are only ever
replaced, never written into, neither run can change the other's. What was lent is noted in the round's
metrics under `lent`, so that a bill of what was really spent counts it once; the bills themselves are lent
too, so that a run's own bill is that of a run alone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..base import dist
from ..base.files import replacing, write_json
from ..config import RunConfig, round_sizes
from ..errors import RunFolderError
from ..run import OWN, RunFolder, locked, round_name
from ..selection import Signal, make_strategy
from .experiment import FULL, Experiment

OF_THE_START = ("fingerprint", "seed", "n_init", "model", "pool", "prompt", "train", "embed", "heldout")
"""What decides round 0."""
OF_THE_MODEL = ("select", "train", "heldout")
"""Stages of round 0 that are the same whatever a strategy asks of the model."""


def borrow(experiment: Experiment, arm: str, seed: int, config: RunConfig) -> None:
    """Open the folder of a run that is about to start, and put there what other runs have finished for it.

    Raises:
        RunFolderError: the other runs were made of another pool, model or held-out rows.
        ConfigError: as `open_record`.
    """
    from ..loop.fingerprint import open_record  # torch, which a finished comparison does without

    with locked(Path(config.out)) as run:
        dist.on_main(lambda: open_record(run, config) and None)
        dist.on_main(lambda: _borrow(experiment, arm, seed, run))


def _borrow(experiment: Experiment, arm: str, seed: int, run: RunFolder) -> None:
    pool, mine = experiment.config.pool, run.config()
    sources = pool.all_sources()
    is_drawn_by_seed = pool.max_rows is not None or any(each.max_rows or each.weight for each in sources)
    others = [(name, of_seed) for of_seed in experiment.seeds for name in experiment.arms]
    runs = [(*other, experiment.run(*other)) for other in others]
    started = [each for each in runs if each[2].is_done(0)]
    for _, _, lender in started:
        was, now = lender.config()["fingerprint"], mine["fingerprint"]
        for what in ("pool", "model", "heldout rows"):
            if was.get(what) != now.get(what):
                raise RunFolderError(
                    f"the {what} is not the one that {lender.root} was made with ({was.get(what)} then, "
                    f"{now.get(what)} now). Put the old one back, or give --out a new folder."
                )
    for _, of_seed, lender in started:
        if of_seed == seed or not is_drawn_by_seed:
            _link_whole(lender.pool_dir, run.pool_dir)
        if of_seed == seed or not pool.holdout:
            _link_whole(lender.heldout_dir, run.heldout_dir, without=lender.losses_dir)
    if arm == FULL:
        return
    asked, lenders = _asked_of_the_start(experiment.run_config(arm, seed)), []
    for name, of_seed, lender in started:
        yours = lender.config()
        is_same_start = all(mine.get(key) == yours.get(key) for key in OF_THE_START)
        if of_seed == seed and name != FULL and is_same_start and lender.model_dir(0).is_dir():
            lenders.append((_asked_of_the_start(experiment.run_config(name, seed)) == asked, lender))
    # Rather one that has asked the model the same of the pool; others lend the model alone.
    for with_signals, lender in sorted(lenders, key=lambda each: not each[0]):
        lend_start(lender, run, with_signals)
    if experiment.config.embed.model and Signal.EMBEDDING in asked[0]:
        for _, _, lender in started:
            lend_outer_bill(lender, run)


def lend_start(lender: RunFolder, borrower: RunFolder, with_signals: bool) -> None:
    """Lend a finished round 0, where the borrower has none: picks, model and figures.

    `with_signals` lends what its model says about the pool, too.
    """
    if borrower.round_dir(0).exists():
        return
    metrics = lender.metrics(0).values()
    metrics.pop("bytes", None)
    parts = [lender.chosen_file(0), lender.subset_file(0), lender.model_dir(0)]
    if with_signals and lender.signals_dir(0).is_dir():
        parts.append(lender.signals_dir(0))
    if not with_signals:
        metrics["stages"] = {name: bill for name, bill in metrics["stages"].items() if name in OF_THE_MODEL}
    # Picks are read again and billed anew, at nothing.
    stages = [name for name in metrics["stages"] if name != "select"]
    metrics["lent"] = {"from": lender.root.name, "stages": stages}
    _link_whole(*(run.row_losses_file(OWN, round_name(0)) for run in (lender, borrower)))
    with replacing(borrower.round_dir(0)) as partial:
        partial.mkdir()
        for part in parts:
            link_tree(part, partial / part.name)
        write_json(partial / lender.metrics_file(0).name, metrics)


def lend_outer_bill(lender: RunFolder, borrower: RunFolder) -> None:
    """Bill an outer model's vectors, which come with the pool, to a run that reads and has not made them."""
    metrics, bill = borrower.metrics(0), lender.metrics(0).stages.get("embed_outer")
    has_vectors = (borrower.outer_dir / "embeddings.npy").exists()
    if bill and has_vectors and "embed_outer" not in metrics.stages:
        lent = {"from": lender.root.name, "stages": [*metrics.lent.stages, "embed_outer"]}
        borrower.add_metrics(0, {"stages": {"embed_outer": bill.values()}, "lent": lent})


def link_tree(source: Path, target: Path, without: Path | None = None) -> None:
    """Link a file, or a folder but for one thing in it, under a name that is free; copy where links fail."""
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


def _link_whole(source: Path, target: Path, without: Path | None = None) -> None:
    """Link a tree, whole or not at all, where there is none."""
    if not target.exists():
        with replacing(target) as partial:
            link_tree(source, partial, without)


def _asked_of_the_start(config: RunConfig) -> tuple[frozenset[str], int]:
    """What a run asks of round 0's model: which signals, and of rows for how many picks, where not of all."""
    needs = make_strategy(config.selection.strategy, **config.selection.options).needs
    n_next = round_sizes(config.rounds, config.n_init, config.n_new, config.budget)[1]
    return needs & frozenset(Signal), 0 if config.selection.candidates == 1 else n_next
