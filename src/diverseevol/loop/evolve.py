"""The evolving loop: select, tune, embed, and again.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), section 3 and its algorithm. Names
there and here: Z is the pool, P_t `subset`, S_t `picks`, M_t the model in `rounds/t/model`. Every stage's
result lies in the run folder before the next begins, so a killed run goes on where it was (rounds.py does
each thing once). Where we differ: docs/deviations.md.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base import dist
from ..base.progress import SILENT, Watch
from ..config import RunConfig
from ..run import Metrics, RunFolder, locked, recorded
from ..run.metrics import billed
from ..run.tracking import tracked
from ..selection import Selection, Strategy, make_strategy
from .final import tune_target
from .rounds import Rounds
from .setup import open_rounds


@dataclass(frozen=True)
class Round:
    """A finished round: what it chose and where everything lies."""

    index: int
    chosen_ids: tuple[str, ...]
    """The round's new samples, in pick order."""
    n_chosen: int
    """Samples chosen so far."""
    subset_path: Path
    model_dir: Path
    metrics: Metrics


def evolve(config: RunConfig, watch: Watch = SILENT) -> Generator[Round]:
    """Alternate selection and tuning until every round is done; a finished round is never done twice.

    Yields:
        Each round as it is finished; a resumed loop yields the rounds that were finished earlier first.

    Raises:
        DiverseEvolError: see errors.py; whatever was finished stays.
    """
    strategy = make_strategy(config.selection.strategy, **config.selection.options)
    with locked(Path(config.out)) as run, recorded(run, watch) as watch, tracked(run, config) as tracking:
        rounds = open_rounds(run, config, strategy.needs, watch, tracking)
        for index, n_new in enumerate(rounds.sizes):
            if not rounds.is_done(index):
                chosen = rounds.chosen_before(index)  # P_{t-1}
                with billed() as cost:
                    picks = rounds.saved_picks(index) or choose(rounds, strategy, index, chosen, n_new)  # S_t
                subset = rounds.save_picks(index, chosen, picks, cost)  # P_t = P_{t-1} ∪ S_t
                if subset is None:  # not one pick fits into what a budget in tokens has left
                    break
                rounds.train(index, subset)  # M_t: the base model, tuned on P_t
                rounds.measure(index)
                rounds.embed(index)  # Z as M_t sees it
                rounds.cover(index)  # for a run that may stop by itself
                rounds.finish(index)
            yield finished_round(run, index)
            if rounds.is_last(index):
                break
        tune_target(rounds)  # `final`: the model that the subset is for, once


def choose(rounds: Rounds, strategy: Strategy, index: int, chosen: Sequence[int], n_new: int) -> Selection:
    """S_t: drawn at random in round 0, then the strategy's choice from the rest of Z by what M_{t-1} sees."""
    if index == 0:
        return rounds.draw_first(n_new)
    candidates = rounds.candidates(index - 1)
    rng = np.random.default_rng([rounds.config.seed, index])
    positions = candidates.positions_of(chosen)
    return candidates.in_pool(strategy.select(candidates.signals, positions, n_new, rng))


def finished_round(run: RunFolder, index: int) -> Round:
    """What the run folder says of a finished round."""
    metrics, picks = dist.on_main(lambda: (run.metrics(index), run.picks(index)))
    ids = tuple(str(pick["id"]) for pick in picks)
    return Round(index, ids, metrics.n_chosen, run.subset_file(index), run.model_dir(index), metrics)
