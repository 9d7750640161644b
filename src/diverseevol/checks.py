"""Does a schedule fit the pool, and the rounds that are done? Asked before any model is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from .config import RunConfig, round_sizes
from .errors import ConfigError, RunChangedError
from .run_folder import RunFolder


def check_finished(run: RunFolder, sizes: Sequence[int]) -> None:
    """Check that a resumed run's schedule agrees with the rounds that are done.

    Raises:
        RunChangedError: it has fewer rounds, or other sizes.
    """
    done = run.rounds_done()
    if len(done) > len(sizes):
        raise RunChangedError(
            f"{run.root} has {len(done)} finished rounds, the schedule only {len(sizes)} (round 0 counted). Raise rounds or budget, or give "
            "--out a new folder."
        )
    for index in done:
        metrics = run.metrics(index)
        if index > 0 and metrics["n_new"] != sizes[index] and "budget_spent" not in metrics:
            raise RunChangedError(
                f"round {index} of {run.root} added {metrics['n_new']} samples, the schedule says {sizes[index]}. Give n_new (a list) and budget "
                "that agree with the finished rounds, or give --out a new folder."
            )


def check_needs(config: RunConfig, n_pool: int, n_excluded: int) -> None:
    """Check that the pool holds as many rows as the schedule wants, before any model is loaded.

    Raises:
        ConfigError: it does not.
    """
    n_wanted = sum(round_sizes(config.rounds, config.n_init, config.n_new, config.budget))
    n_free = n_pool - n_excluded
    if n_wanted > n_free:
        raise ConfigError(
            f"the schedule chooses {n_wanted} rows, the pool has {n_free} good ones"
            + (f" ({n_excluded} excluded)" if n_excluded else "")
            + ". Lower rounds, n_new or n_init, or set budget."
        )
