"""The comparison: every run made or found made, what they say, and what everything together has really cost.

First every arm's round 0, shared as far as can be, then every run to its end. Round 0 (picks, model, figures)
is one a seed; what its model says about the pool is one for all strategies that ask the same of it. The
prepared pool is one for all runs, or one a seed where the seed draws from it. Killed anywhere, the same
command goes on.

A round's cost is what a run of it alone would have spent: choosing and tuning, and the passes over the pool
that its choices rest on. Where no choice rests on a model (random, the whole pool) and tuning starts from the
base model, earlier rounds need not have been: only the last tuning counts. Measuring is not part of it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..base import dist
from ..base.files import write_json, write_text
from ..base.progress import SILENT, Watch
from ..base.text import duration
from ..config import RunConfig
from ..data import Pool, read_rows_file
from ..errors import RunFolderError
from ..evaluation.comparison import Comparison, Measure, Point, Run, compare_runs, in_words, remarks, rows
from ..run import RunFolder, locked
from ..run.metrics import Bill, totals
from .experiment import FULL, Experiment
from .sharing import borrow

LOSS = Measure("heldout_loss", "held-out loss")
BALANCED = Measure("balanced_loss", "held-out loss balanced over groups")


def compare_strategies(experiment: Experiment, watch: Watch = SILENT) -> Comparison:
    """Run what is not done yet, compare, and leave comparison.json and comparison.csv in the folder.

    Raises:
        DiverseEvolError: what `Experiment.check` and a run raise; whatever was finished stays.
        RunFolderError: the folder is a run's own, or in use.
    """
    experiment.check()
    root = experiment.root
    if RunFolder(root).config_file.exists():
        raise RunFolderError(f"{root} is the folder of one run. Give --out another for the comparison.")
    with locked(root):
        runs = [(arm, seed) for seed in experiment.seeds for arm in experiment.arms]
        todo = dist.on_main(experiment.unfinished)
        if todo:
            watch.note(f"{len(runs)} runs, {len(todo)} of them to be made or finished")
        for seed in experiment.seeds:
            _run_seed(experiment, seed, [arm for arm, of_seed in todo if of_seed == seed], watch)
        folders = [experiment.run(arm, seed) for arm, seed in runs]
        found = [Run(arm, seed, points_of(folder)) for (arm, seed), folder in zip(runs, folders, strict=True)]
        comparison = compare_runs(found, measures_of(folders), experiment.references)
        if dist.is_main():
            values = {"folder": str(root), **asdict(comparison), "spent": spent(folders)}
            values["confidence"] = {name: comparison.confidence(name) for name in comparison.references}
            values |= {"words": in_words(comparison), "remarks": remarks(comparison)}
            write_json(experiment.comparison_file, values)
            table, text = rows(comparison), io.StringIO()
            writer = csv.DictWriter(text, table[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
            write_text(experiment.comparison_file.with_suffix(".csv"), text.getvalue())
        return comparison


def measures_of(runs: Iterable[RunFolder]) -> tuple[Measure, ...]:
    """The yardsticks that all runs have: held-out loss, and balanced over groups where all rows have them."""
    heldout = (run.metrics(index).heldout for run in runs for index in run.rounds_done())
    has_groups = all(losses.balanced_loss is not None for losses in heldout)
    return (LOSS, BALANCED) if has_groups else (LOSS,)


def points_of(run: RunFolder) -> tuple[Point, ...]:
    """A finished run's figures, a point a round."""
    rounds = [run.metrics(index) for index in run.rounds_done()]
    is_chain = run.config()["train"]["start"] == "previous"
    is_chain |= any("embed" in metrics.stages for metrics in rounds)
    points = []
    for index, metrics in enumerate(rounds):
        stages = [(at, "select") for at in range(index + 1)]
        stages += [(0, "embed_outer")] if index else []  # once, for every round that picks by it
        stages += [(at, "train") for at in range(0 if is_chain else index, index + 1)]
        stages += [(at, "embed") for at in range(index if is_chain else 0)]
        used = [rounds[at].stages.get(name) for at, name in stages]
        seconds, flops = totals(bill for bill in used if bill is not None)
        losses = ((LOSS, metrics.heldout.loss), (BALANCED, metrics.heldout.balanced_loss))
        values = {measure.name: loss for measure, loss in losses if loss is not None}
        is_known = metrics.stages["train"].flops is not None  # a trainer outside need not say
        n_samples, n_tokens = metrics.n_chosen, metrics.trained_tokens_chosen
        points.append(Point(n_samples, n_tokens, seconds, flops if is_known else None, values))
    return tuple(points)


def spent(runs: Iterable[RunFolder]) -> dict[str, float | None]:
    """Seconds and FLOPs of all stages of all runs, those that were lent once; reading the data is not billed.

    FLOPs are None where training was somebody else's.
    """
    own, lent, is_known = list[Bill](), list[Bill](), True
    for metrics in (run.metrics(index) for run in runs for index in run.rounds_done()):
        is_known &= metrics.stages["train"].flops is not None
        for name, bill in metrics.stages.items():
            (lent if name in metrics.lent.stages else own).append(bill)
    seconds, flops = totals(own)
    saved, _ = totals(lent)
    return {"seconds": seconds, "flops": flops if is_known else None, "seconds_saved_by_sharing": saved}


def _run_seed(experiment: Experiment, seed: int, arms: list[str], watch: Watch) -> None:
    """Make one seed's runs: all starts before any run goes on, which may delete the start's model."""
    started = dist.on_main(lambda: {arm for arm in arms if experiment.run(arm, seed).is_done(0)})
    for arm in arms:
        if arm != FULL and arm not in started:
            # Everything of the start is kept until it is lent; the run then deletes what is not to be kept.
            config = experiment.run_config(arm, seed, keep="all", keep_signals="all")
            borrow(experiment, arm, seed, config)
            _loop(config, f"seed {seed}, {arm}", watch, last=0)
    for number, arm in enumerate(arms, 1):
        watch.note(f"seed {seed}, run {number} of {len(arms)}: {arm}")
        n_rows = 0
        if arm == FULL:  # as many as may be chosen, which the pool of another arm tells
            run, exclude = experiment.run(experiment.scheduled[0], seed), experiment.config.selection.exclude
            pool = Pool.open(run.pool_dir)
            barred = pool.rows_of(run.barred_ids())
            if exclude:
                barred = np.union1d(barred, read_rows_file(Path(exclude), pool))
            n_rows = len(pool) - len(barred)
        config = experiment.run_config(arm, seed, n_rows=n_rows)
        if arm == FULL:
            borrow(experiment, arm, seed, config)
        _loop(config, f"seed {seed}, {arm}", watch)


def _loop(config: RunConfig, name: str, watch: Watch, last: int | None = None) -> None:
    """Run the loop of one run, up to the round `last` or to its end."""
    from ..loop.evolve import evolve  # torch, which a finished comparison does without

    done = dist.on_main(RunFolder(Path(config.out)).rounds_done)
    with closing(evolve(config, watch)) as rounds:
        for round_ in rounds:
            if round_.index not in done:
                seconds, _ = totals(round_.metrics.stages.values())
                loss = f"held-out loss {round_.metrics.heldout.loss:.4f} ({duration(seconds)})"
                watch.note(f"{name}: round {round_.index}, {round_.n_chosen} samples, {loss}")
            if round_.index == last:
                return
