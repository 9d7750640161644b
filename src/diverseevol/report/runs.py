"""What the page is about: one run, several, or a comparison with all its runs, as their folders tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.files import damaged, read_json
from ..data import Pool
from ..errors import RunFolderError
from ..run import FOLDER_NAME, Metrics, RunFolder
from .figure import Role

COMPARISON = "comparison.json"
RANDOM, FULL = "random", "full"


@dataclass(frozen=True, eq=False)
class RunData:
    """One run as its folder tells it; `rounds` are the finished ones, in order."""

    folder: RunFolder
    name: str  # what the page calls it, unlike every other run's name
    arm: str  # what runs with several seeds have in common: the strategy, mostly
    strategy: str  # what chooses; `full` where everything is chosen
    config: dict[str, Any]  # as stored, with versions and fingerprint
    seed: int
    rounds: tuple[int, ...]
    metrics: tuple[Metrics, ...]
    picks: tuple[list[dict[str, Any]], ...]  # each round's, in pick order
    n_chosen: tuple[int, ...]  # samples after each round
    pool: Pool
    chosen_rows: NDArray[np.int64]  # pool rows of all picks, in pick order
    unchoosable_rows: NDArray[np.int64]  # pool rows that are held out, or copies of such rows
    diversity: dict[str, Any] | None  # what `diverseevol diversity` measured, if it did

    @property
    def is_full(self) -> bool:
        """Whether the run tuned once on every row that it may choose."""
        return self.strategy == FULL


@dataclass(frozen=True)
class Subject:
    """All runs, the one that is looked at closely first, and what `compare` wrote, if it was its folder."""

    runs: tuple[RunData, ...]
    comparison: dict[str, Any] | None = None

    @property
    def main(self) -> RunData:
        """The run that is looked at closely."""
        return self.runs[0]

    @property
    def arms(self) -> dict[str, list[RunData]]:
        """Runs by arm; the seeds of one arm have the same schedule."""
        found: dict[str, list[RunData]] = {}
        for run in self.runs:
            found.setdefault(run.arm, []).append(run)
        return found

    @property
    def one_an_arm(self) -> list[RunData]:
        """The first run of each arm that chooses."""
        return [runs[0] for runs in self.arms.values() if not runs[0].is_full]

    def role(self, run: RunData) -> Role:
        """How a run is drawn: the whole pool's, of the arm that is looked at closely, random, or another."""
        if run.is_full:
            return "full"
        if run.arm == self.main.arm:
            return "main"
        return "random" if run.arm == RANDOM else "other"


def open_subject(paths: Sequence[Path]) -> Subject:
    """Read what was asked for: run folders, or the folder of one comparison.

    Raises:
        RunFolderError: a folder is neither, or no round of it is finished.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise RunFolderError("the same run is named twice. Name each run once.")
    root = next((path for path in paths if (path / COMPARISON).is_file()), None)
    if root is None:
        names = [path.name for path in paths]
        runs = [_open(path, path.name if names.count(path.name) == 1 else str(path), "") for path in paths]
        named = []
        for (
            run
        ) in runs:  # of one strategy, that differ by their seeds alone, are one arm; any other is its own
            peers = [each for each in runs if each.strategy == run.strategy]
            n_schedules, n_seeds = len({each.n_chosen for each in peers}), len({each.seed for each in peers})
            is_one_arm = n_schedules == 1 and n_seeds == len(peers)
            named.append(replace(run, arm=run.strategy if is_one_arm else run.name))
        return Subject(tuple(named))
    if len(paths) > 1:
        raise RunFolderError(f"{root} is a comparison. Give it alone, or run folders below {root / 'runs'}.")
    comparison = dict(read_json(root / COMPARISON))
    found = []  # the strategies' runs before random's and the whole pool's, seed by seed
    for run in sorted(comparison["runs"], key=lambda run: (run["arm"] == FULL, run["arm"] == RANDOM)):
        arm, seed = str(run["arm"]), run["seed"]
        if not (FOLDER_NAME.fullmatch(arm) and isinstance(seed, int)):
            raise damaged(root / COMPARISON, f"{arm!r} is no strategy's name, or {seed!r} no seed")
        found.append(_open(root / "runs" / f"seed-{seed}" / arm, f"{arm}, seed {seed}", arm))
    return Subject(tuple(found), comparison)


def _open(root: Path, name: str, arm: str) -> RunData:
    folder = RunFolder(root)
    if not folder.config_file.exists():
        raise RunFolderError(
            f"{root} is neither a run folder (it has no config.yaml) nor a finished comparison "
            f"(no {COMPARISON}). Give the folder that `run --out` or `compare --out` named."
        )
    rounds = tuple(folder.rounds_done())
    if not rounds:
        raise RunFolderError(f"{root} has no finished round to report yet. Give the run's command again.")
    config, pool = folder.config(), Pool.open(folder.pool_dir)
    picks = tuple(folder.picks(index) for index in rounds)
    chosen = np.array([int(pick["row"]) for found in picks for pick in found], dtype=np.int64)
    unchoosable = pool.rows_of(folder.barred_ids())
    is_full = arm == FULL or (len(rounds) == 1 and len(chosen) + len(unchoosable) == len(pool))
    return RunData(
        folder=folder,
        name=name,
        arm=arm,
        strategy=FULL if is_full else str(config.get("selection", {}).get("strategy", "?")),
        config=config,
        seed=int(config.get("seed", 0)),
        rounds=rounds,
        metrics=tuple(folder.metrics(index) for index in rounds),
        picks=picks,
        n_chosen=tuple(np.cumsum([len(found) for found in picks]).tolist()),
        pool=pool,
        chosen_rows=chosen,
        unchoosable_rows=unchoosable,
        diversity=dict(read_json(folder.diversity_file)) if folder.diversity_file.exists() else None,
    )
