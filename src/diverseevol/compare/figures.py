"""What run folders say to a comparison: figures and costs a round, and what everything together has really cost.

A round's cost is what a run of it alone would have spent: choosing and tuning, and the passes over the pool that its choices rest on.
Where no choice rests on a model (random, the whole pool) and tuning starts from the base model, earlier rounds need not have been: only
the last tuning counts. Measuring is not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..evaluation.comparison import Measure, Point
from ..ledger import totals
from ..run_folder import RunFolder

LOSS = Measure("heldout_loss", "held-out loss")
BALANCED = Measure("balanced_loss", "held-out loss balanced over groups")


def measures_of(runs: Iterable[RunFolder]) -> tuple[Measure, ...]:
    """The yardsticks that all runs have: held-out loss, and balanced over groups where the held-out rows have them."""
    has_groups = all("balanced_loss" in run.metrics(index)["heldout"] for run in runs for index in run.rounds_done())
    return (LOSS, BALANCED) if has_groups else (LOSS,)


def points_of(run: RunFolder) -> tuple[Point, ...]:
    """A finished run's figures, a point a round."""
    rounds = [run.metrics(index) for index in run.rounds_done()]
    is_chain = run.config()["train"]["start"] == "previous" or any("embed" in metrics["stages"] for metrics in rounds)
    points = []
    for index, metrics in enumerate(rounds):
        used = [rounds[at]["stages"].get(name) for at, name in _stages_used(index, is_chain)]
        seconds, flops = totals(bill for bill in used if bill is not None)
        points.append(
            Point(
                n_samples=int(metrics["n_chosen"]),
                trained_tokens=int(metrics["trained_tokens_chosen"]),
                seconds=seconds,
                flops=flops if "flops" in metrics["stages"]["train"] else None,  # a trainer outside need not say
                values=_values(metrics["heldout"]),
            )
        )
    return tuple(points)


def spent(runs: Iterable[RunFolder]) -> dict[str, float | None]:
    """Seconds and FLOPs that all stages of all runs took, those that were lent counted once; reading the data is not billed.

    FLOPs are None where training was somebody else's.
    """
    own, lent = list[dict[str, Any]](), list[dict[str, Any]]()
    is_known = True
    for metrics in (run.metrics(index) for run in runs for index in run.rounds_done()):
        is_known &= "flops" in metrics["stages"]["train"]
        for name, bill in metrics["stages"].items():
            (lent if name in metrics.get("lent", {}).get("stages", ()) else own).append(bill)
    seconds, flops = totals(own)
    return {"seconds": seconds, "flops": flops if is_known else None, "seconds_saved_by_sharing": totals(lent)[0]}


def _stages_used(index: int, is_chain: bool) -> list[tuple[int, str]]:
    """The stages that round `index`'s model rests on."""
    selects = [(at, "select") for at in range(index + 1)]
    selects += [(0, "embed_outer")] if index else []  # once, for every round that picks by it
    if not is_chain:
        return [*selects, (index, "train")]
    return [*selects, *((at, "train") for at in range(index + 1)), *((at, "embed") for at in range(index))]


def _values(heldout: dict[str, Any]) -> dict[str, float]:
    values = {LOSS.name: float(heldout["loss"])}
    if "balanced_loss" in heldout:
        values[BALANCED.name] = float(heldout["balanced_loss"])
    return values
