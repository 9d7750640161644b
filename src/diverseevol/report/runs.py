"""What the page is about: one run, several, or a comparison with all its runs. Reads run folders; knows no model.

A comparison's folder holds comparison.json and the run folders runs/seed-0/k_center and so on (docs/evaluation.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.files import read_json
from ..errors import RunFolderError
from ..pool import Pool
from ..run_folder import RunFolder
from .chart import Role
from .text import plain

COMPARISON = "comparison.json"
RANDOM, FULL = "random", "full"
VERDICTS = re.compile(r"round-(?P<round>\d+)(?:-vs-(?P<opponent>[\w.-]+?))?\.jsonl")
FOLDER_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class RunData:
    """One run as its folder tells it.

    Attributes:
        folder: Its paths.
        name: What the page calls it, unlike every other run's name.
        arm: What runs with several seeds have in common: the strategy, mostly.
        config: The stored configuration with versions and fingerprint.
        rounds: Finished rounds, in order.
        metrics: Each of these rounds' figures.
        picks: Each of these rounds' picks, in pick order.
    """

    folder: RunFolder
    name: str
    arm: str
    config: dict[str, Any]
    rounds: tuple[int, ...]
    metrics: tuple[dict[str, Any], ...]
    picks: tuple[list[dict[str, Any]], ...]

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.config.get("seed", 0))

    @property
    def n_chosen(self) -> tuple[int, ...]:
        """Samples after each round."""
        return tuple(int(n) for n in np.cumsum([len(picks) for picks in self.picks]))

    @cached_property
    def pool(self) -> Pool:
        """The run's pool, mapped."""
        return Pool.open(self.folder.pool_dir)

    @cached_property
    def chosen_rows(self) -> NDArray[np.int64]:
        """Pool rows of all picks, in pick order."""
        return np.array([int(pick["row"]) for picks in self.picks for pick in picks], dtype=np.int64)

    @cached_property
    def unchoosable_rows(self) -> NDArray[np.int64]:
        """Pool rows that are held out, or copies of such rows."""
        return self.pool.rows_of(self.folder.barred_ids())

    @cached_property
    def heldout_ids(self) -> tuple[str, ...]:
        """The rows that its held-out losses are of."""
        if self.folder.holdout_file.exists():
            return tuple(self.folder.ids_in(self.folder.holdout_file))
        return (
            tuple(Pool.open(self.folder.heldout_dir).ids.tolist()) if (self.folder.heldout_dir / "index.arrow").exists() else ()
        )

    @property
    def is_full(self) -> bool:
        """Whether the run tuned once on every row that it may choose."""
        is_all = len(self.rounds) == 1 and len(self.chosen_rows) == len(self.pool) - len(self.unchoosable_rows)
        return self.arm == FULL or is_all

    @cached_property
    def diversity(self) -> dict[str, Any] | None:
        """What `diverseevol diversity` measured, if it did."""
        return dict(read_json(self.folder.diversity_file)) if self.folder.diversity_file.exists() else None

    @cached_property
    def verdict_files(self) -> list[tuple[str, str, int, Path]]:
        """Judges' verdicts on finished rounds: benchmark, opponent ("" for none), the round's place, file; in order of the rounds."""
        found = []
        for file in sorted(self.folder.all_verdicts_dir.glob("*/*.jsonl")):
            match = VERDICTS.fullmatch(file.name)
            if match and not file.name.endswith(".missing.jsonl") and int(match["round"]) in self.rounds:
                found.append((file.parent.name, match["opponent"] or "", self.rounds.index(int(match["round"])), file))
        return found

    @cached_property
    def final(self) -> dict[str, Any] | None:
        """The bill of the final tuning, if there was one."""
        return self.folder.final_metrics()

    @cached_property
    def plan(self) -> dict[str, Any] | None:
        """What the run was expected to cost, if it could be told."""
        return self.folder.plan()


@dataclass(frozen=True)
class Subject:
    """What the page is about.

    Attributes:
        runs: All runs, the one that is looked at closely first.
        comparison: What `compare` wrote, if a comparison's folder was given.
        paths: What was asked for.
    """

    runs: tuple[RunData, ...]
    comparison: dict[str, Any] | None
    paths: tuple[Path, ...]

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


def open_subject(paths: Sequence[Path]) -> Subject:
    """Read what was asked for: run folders, or the folder of one comparison.

    Raises:
        RunFolderError: a folder is neither, or no round of it is finished.
    """
    if len(paths) == 1 and (paths[0] / COMPARISON).is_file():
        comparison = dict(read_json(paths[0] / COMPARISON))
        return Subject(tuple(_runs_of(paths[0], comparison)), comparison, tuple(paths))
    for path in paths:
        if (path / COMPARISON).is_file():
            raise RunFolderError(
                f"{path} is a comparison with runs of its own. Give it alone, or the run folders below {path / 'runs'}."
            )
    if len({path.resolve() for path in paths}) < len(paths):
        raise RunFolderError("the same run is named twice. Name each run once.")
    opened = [_open(path, path.name, "") for path in paths]
    return Subject(tuple(_named(opened)), None, tuple(paths))


def _runs_of(root: Path, comparison: dict[str, Any]) -> list[RunData]:
    """The runs of a comparison: those of the strategies before random's and the whole pool's, seed by seed."""
    pairs = [(str(run["arm"]), int(run["seed"])) for run in comparison["runs"]]
    for arm, _ in pairs:
        if not FOLDER_NAME.fullmatch(arm):
            raise RunFolderError(
                f"{root / COMPARISON} names an arm {arm[:60]!r}, which is no folder of a comparison. Run compare again."
            )
    order = sorted(pairs, key=lambda pair: (pair[0] == FULL, pair[0] == RANDOM))
    return [_open(root / "runs" / f"seed-{seed}" / arm, f"{arm}, seed {seed}", arm) for arm, seed in order]


def _open(root: Path, name: str, arm: str) -> RunData:
    folder = RunFolder(root)
    if not folder.config_file.exists():
        raise RunFolderError(
            f"{root} is neither a run folder (it has no config.yaml) nor a finished comparison (no {COMPARISON}). "
            "Give the folder that `run --out` or `compare --out` named."
        )
    config, rounds = folder.config(), tuple(folder.rounds_done())
    if not rounds:
        raise RunFolderError(f"{root} has no finished round yet, so there is nothing to report. Give the run's command again.")
    metrics = tuple(folder.metrics(index) for index in rounds)
    picks = tuple(folder.picks(index) for index in rounds)
    return RunData(folder, plain(name, 120), arm, config, rounds, metrics, picks)


def _named(runs: list[RunData]) -> list[RunData]:
    """Runs under names of their own; those of one strategy that differ by their seeds alone are one arm."""
    by_strategy: dict[str, list[RunData]] = {}
    for run in runs:
        by_strategy.setdefault(strategy_of(run), []).append(run)
    found = []
    for run in runs:
        strategy = strategy_of(run)
        peers = by_strategy[strategy]
        is_one_arm = len({peer.n_chosen for peer in peers}) == 1 and len({peer.seed for peer in peers}) == len(peers)
        is_unique = [each.name for each in runs].count(run.name) == 1
        name = run.name if is_unique and run.name else plain(str(run.folder.root), 120)
        found.append(RunData(run.folder, name, strategy if is_one_arm else name, run.config, run.rounds, run.metrics, run.picks))
    return found


def role_in(run: RunData, runs: Sequence[RunData]) -> Role:
    """How a run is drawn among others: the whole pool's, one of the first's arm, which is looked at closely, random, or another."""
    if run.is_full:
        return "full"
    if run.arm == runs[0].arm:
        return "main"
    return "random" if run.arm == RANDOM else "other"


def strategy_of(run: RunData) -> str:
    """What chooses in a run; `full` where everything is chosen."""
    return FULL if run.is_full else str(run.config.get("selection", {}).get("strategy", "?"))
