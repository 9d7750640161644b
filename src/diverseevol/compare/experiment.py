"""What is compared: which arms, with which seeds, and the configuration of each run.

An arm is a strategy under the schedule; random is always one. Two more can be asked for: `one_time`, the
first strategy choosing all new samples at once from round 0's model, and `full`, one tuning on all rows. A
run's configuration is what `diverseevol run` would be given.
Folders: OUT/runs/seed-0/k_center/…, each an ordinary run folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..config import RunConfig, StopConfig, round_sizes, split_budget, validate
from ..errors import ConfigError
from ..run import FOLDER_NAME, RunFolder
from ..selection.registry import check_strategy, takes_option

RANDOM, ONE_TIME, FULL = "random", "one_time", "full"


@dataclass(frozen=True)
class Experiment:
    """A comparison to be made; `check` it before anything is loaded."""

    config: (
        RunConfig  # the schedule and all else that the runs have in common; `out` is the comparison's folder
    )
    strategies: tuple[str, ...]  # without random or with it
    seeds: tuple[int, ...]  # one run an arm and seed
    is_one_time: bool = False  # whether the first strategy also chooses all at once
    is_full: bool = False  # whether the whole pool is tuned on, too

    @property
    def scheduled(self) -> tuple[str, ...]:
        """The arms that follow the schedule: the strategies, and random at the end."""
        return (*(name for name in self.strategies if name != RANDOM), RANDOM)

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms, those that can lend their start first."""
        asked = {ONE_TIME: self.is_one_time, FULL: self.is_full}
        return (*self.scheduled, *(arm for arm, is_asked in asked.items() if is_asked))

    @property
    def references(self) -> tuple[str, ...]:
        """The arms that others are compared with."""
        return (RANDOM, FULL) if self.is_full else (RANDOM,)

    @property
    def root(self) -> Path:
        """The comparison's folder."""
        return Path(self.config.out)

    @property
    def comparison_file(self) -> Path:
        """The finished comparison as JSON; a CSV lies beside it."""
        return self.root / "comparison.json"

    @property
    def sizes(self) -> list[int]:
        """Samples that each round of the schedule adds."""
        config = self.config
        return round_sizes(config.rounds, config.n_init, config.n_new, config.budget)

    def run(self, arm: str, seed: int) -> RunFolder:
        """The run folder of an arm and seed."""
        return RunFolder(self.root / "runs" / f"seed-{seed}" / arm)

    def run_config(self, arm: str, seed: int, n_rows: int = 0, **changes: str) -> RunConfig:
        """An arm's configuration with a seed; the whole pool's needs `n_rows`, which may be chosen."""
        values = self.config.model_dump()
        values |= {"out": str(self.run(arm, seed).root), "seed": seed, **changes}
        strategy = {ONE_TIME: self.scheduled[0], FULL: RANDOM}.get(arm, arm)
        for option in self.config.selection.options:
            if not _suits(strategy, option):
                del values["selection"][option]
        values["selection"]["strategy"] = strategy
        if arm == ONE_TIME:
            values |= {"rounds": 1, "n_new": sum(self.sizes[1:]), "budget": None}
        if arm == FULL:
            values |= {"rounds": 0, "n_init": n_rows, "n_new": 1, "budget": None}
            values["selection"] = {"strategy": RANDOM, "exclude": self.config.selection.exclude}
        return validate(values)

    def unfinished(self) -> list[tuple[str, int]]:
        """The runs that are still to be made or finished, as (arm, seed)."""
        return [(arm, seed) for seed in self.seeds for arm in self.arms if not self.is_finished(arm, seed)]

    def is_finished(self, arm: str, seed: int) -> bool:
        """Whether a run is done, as it would be configured now."""
        run = self.run(arm, seed)
        if not run.config_file.exists() or not run.is_done(0):
            return False
        stored = run.config()
        config = self.run_config(arm, seed, n_rows=stored["n_init"])
        n_rounds = len(round_sizes(config.rounds, config.n_init, config.n_new, config.budget))
        wanted = json.loads(config.model_dump_json(exclude={"out"}))  # as a run folder stores it
        return len(run.rounds_done()) == n_rounds and all(stored.get(key) == wanted[key] for key in wanted)

    def check(self) -> None:
        """Check everything that needs no data.

        Raises:
            SelectionError: nobody registered a strategy.
            ConfigError: nothing to compare, something twice, no yardstick, or a budget not in samples.
        """
        config, n_rounds = self.config, len(self.sizes) - 1
        for option, values in (("--strategies", self.strategies), ("--seeds", self.seeds)):
            for value in values:
                if values.count(value) > 1:
                    raise ConfigError(f"{option} names {value} twice. Name each once.")
        if not self.seeds or min(self.seeds) < 0:
            found = ", ".join(map(str, self.seeds)) or "none"
            raise ConfigError(f"--seeds must be whole numbers from 0 up, found {found}.")
        for name in self.strategies:
            if name in (ONE_TIME, FULL):
                option = "--" + name.replace("_", "-")
                raise ConfigError(f"{name!r} is no strategy: give {option} beside --strategies.")
            check_strategy(name)
            if not FOLDER_NAME.fullmatch(name):
                found = f"the strategy {name!r} cannot be the name of a folder"
                raise ConfigError(f"{found}. Register it under letters and digits.")
        if self.scheduled == (RANDOM,) and (self.is_one_time or not self.is_full):
            raise ConfigError(
                "there is nothing to compare with random. Give --strategies k_center, or --full."
            )
        for option in config.selection.options:
            if not any(_suits(name, option) for name in self.strategies):
                names, remedy = ", ".join(self.strategies), "Take it out, or add its strategy."
                raise ConfigError(f"selection.{option} is an option of none of {names}. {remedy}")
        if not config.has_heldout:
            raise ConfigError(
                "compare needs a yardstick: set heldout.path=FILE, rows like the pool's that are not in it, "
                "or pool.holdout=500 to take some off the pool (and heldout.group or pool.holdout_by=COLUMN "
                "to balance them over its values)."
            )
        if config.stop != StopConfig():
            raise ConfigError("with stop: the runs would end at different budgets. Leave it out to compare.")
        if split_budget(config.budget)[1] is not None:
            found = "compare counts budgets in samples, and at equal response tokens besides"
            raise ConfigError(f"budget is {config.budget!r}: {found}. Set budget=1100.")
        if n_rounds < 1 + self.is_one_time:
            found = (
                "one-time sampling already. Leave --one-time out, or set"
                if n_rounds
                else "nothing to choose. Set"
            )
            raise ConfigError(f"rounds is {n_rounds}, which is {found} rounds to {n_rounds + 1} or more.")


def _suits(strategy: str, option: str) -> bool:
    """Whether an option is meant for a strategy; random sees no embeddings and is spared their whitening."""
    return takes_option(strategy, option) and not (strategy == RANDOM and option == "whiten")
