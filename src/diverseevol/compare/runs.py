"""The runs of a comparison, made or found made: first every arm's round 0, shared as far as can be, then every run to its end.

Round 0 (picks, model, figures) is one a seed; what its model says about the pool is one for all strategies that ask the same of it. The
prepared pool is one for all runs, or one a seed where the seed draws from it. Killed anywhere, the same command goes on.
"""

from __future__ import annotations

import csv
import io
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..base import dist
from ..base.files import write_json, write_text
from ..base.progress import SILENT, Watch
from ..base.text import duration
from ..config import RunConfig
from ..errors import RunFolderError
from ..evaluation.comparison import Comparison, Run, compare_runs
from ..evaluation.comparison_words import in_words, remarks, rows
from ..ledger import totals
from ..pool import Pool, read_rows_file
from ..run_folder import RunFolder, locked
from .experiment import FULL, Experiment
from .figures import measures_of, points_of, spent
from .lending import borrow


def compare_strategies(experiment: Experiment, watch: Watch = SILENT) -> Comparison:
    """Run what is not done yet, compare, and leave comparison.json and comparison.csv in the folder.

    Raises:
        ConfigError: see `Experiment.check`; and as the loop raises it.
        RunFolderError: the folder is a run's own, or in use.
        DiverseEvolError: what a run raises; whatever was finished stays.
    """
    experiment.check()
    root = experiment.root
    if RunFolder(root).config_file.exists():
        raise RunFolderError(f"{root} is the folder of one run. Give --out another folder for the comparison.")
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
            write_json(experiment.comparison_file, {"folder": str(root), **as_values(comparison, spent(folders))})
            write_text(experiment.comparison_file.with_suffix(".csv"), as_csv(comparison))
        return comparison


def as_values(comparison: Comparison, cost: dict[str, float | None]) -> dict[str, Any]:
    """A comparison as plain values for JSON."""
    confidence = {reference: comparison.confidence(reference) for reference in comparison.references}
    return {
        **asdict(comparison),
        "confidence": confidence,
        "spent": cost,
        "words": in_words(comparison),
        "remarks": remarks(comparison),
    }


def as_csv(comparison: Comparison) -> str:
    """A comparison's rows as CSV, with a line of headings."""
    table, text = rows(comparison), io.StringIO()
    writer = csv.DictWriter(text, table[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def _run_seed(experiment: Experiment, seed: int, arms: list[str], watch: Watch) -> None:
    """Make one seed's runs: all starts before any run goes on, since going on may delete the start's model."""
    started = dist.on_main(lambda: {arm for arm in arms if experiment.run(arm, seed).is_done(0)})
    for arm in arms:
        if arm != FULL and arm not in started:
            # Everything of the start is kept until it is lent; the run itself then deletes what is not to be kept.
            config = experiment.run_config(arm, seed, keep="all", keep_signals="all")
            borrow(experiment, arm, seed, config)
            _loop(config, f"seed {seed}, {arm}", watch, last=0)
    for number, arm in enumerate(arms, 1):
        watch.note(f"seed {seed}, run {number} of {len(arms)}: {arm}")
        config = experiment.run_config(arm, seed, n_rows=_n_rows(experiment, seed) if arm == FULL else 0)
        if arm == FULL:
            borrow(experiment, arm, seed, config)
        _loop(config, f"seed {seed}, {arm}", watch)


def _loop(config: RunConfig, name: str, watch: Watch, last: int | None = None) -> None:
    """Run the loop of one run, up to the round `last` or to its end."""
    from ..loop import evolve  # torch, which a finished comparison does without

    done = dist.on_main(RunFolder(Path(config.out)).rounds_done)
    with closing(evolve(config, watch)) as rounds:
        for round_ in rounds:
            if round_.index not in done:
                watch.note(f"{name}: {_round_line(round_.metrics)}")
            if round_.index == last:
                return


def _round_line(metrics: dict[str, Any]) -> str:
    seconds, _ = totals(metrics["stages"].values())
    loss = metrics["heldout"]["loss"]
    return f"round {metrics['round']}, {metrics['n_chosen']} samples, held-out loss {loss:.4f} ({duration(seconds)})"


def _n_rows(experiment: Experiment, seed: int) -> int:
    """How many rows of the pool may be chosen."""
    run, exclude = experiment.run(experiment.scheduled[0], seed), experiment.config.selection.exclude
    pool = Pool.open(run.pool_dir)
    barred = pool.rows_of(run.barred_ids())
    if exclude:
        barred = np.union1d(barred, read_rows_file(Path(exclude), pool))
    return len(pool) - len(barred)
