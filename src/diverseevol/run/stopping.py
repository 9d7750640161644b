"""When a run ends before its schedule does: nothing moves any more, or a budget is spent.

The reason follows from the metrics of the rounds alone, so a resumed run, another rank and `status` come to
the same one, and a rule that is relaxed lets a stopped run go on.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..config import StopConfig
from .metrics import Metrics, totals


def reason_to_stop(stop: StopConfig, metrics: Sequence[Metrics]) -> str | None:
    """Why no round follows the last of these, in a sentence; None: the schedule goes on.

    Args:
        stop: The rule; the first of its parts that holds gives the reason.
        metrics: What is known of rounds 0 to the last, in order; the last may still be under way.
    """
    if not metrics:
        return None
    seconds, flops = totals(bill for one in metrics for bill in one.stages.values())
    for name, limit, spent in (
        ("samples", stop.samples, float(metrics[-1].n_chosen)),
        ("tokens", stop.tokens, float(metrics[-1].tokens_chosen)),
        ("flops", stop.flops, flops),
        ("hours", stop.hours, seconds / 3600),
    ):
        if limit is not None and spent >= limit:
            return f"stop.{name} is reached: {_number(spent)} of {_number(limit)}"
    if stop.measure is None or len(metrics) <= stop.rounds:
        return None
    values = [measured(stop.measure, one) for one in metrics[-1 - stop.rounds :]]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    move = max(abs(value - known[0]) for value in known[1:])
    if move > stop.share * abs(known[0]):
        return None
    return (
        f"{stop.measure} has moved by at most {move / abs(known[0]) if move else 0.0:.2%} over the last "
        f"{stop.rounds} rounds, from {known[0]:.4g} to {known[-1]:.4g} (stop.share: {stop.share:.2%})"
    )


def measured(name: str, metrics: Metrics) -> float | None:
    """A round's value of what `stop.measure` names; None: it has none, or not yet."""
    return metrics.heldout.loss if name == "heldout" else metrics.gauge.get(name)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e12 else f"{value:.4g}"
