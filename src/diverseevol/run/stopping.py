"""When a run ends before its schedule does: nothing moves any more, or a budget is spent. Pure: metrics in, a reason out.

The reason follows from the metrics of the rounds alone, so a resumed run, another rank and `status` come to the same one, and a rule that
is relaxed lets a stopped run go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..config import StopConfig
from .ledger import totals

GAUGE = "gauge"
"""Where a round's metrics keep the covering radius or Vendi score that the rule looks at."""
HOUR = 3600.0


def reason_to_stop(stop: StopConfig, metrics: Sequence[Mapping[str, Any]]) -> str | None:
    """Why no round follows the last of these, in a sentence; None: the schedule goes on.

    Args:
        stop: The rule; the first of its parts that holds gives the reason.
        metrics: What is known of rounds 0 to the last, in order; the last may still be under way.
    """
    if not metrics:
        return None
    for name, limit in (
        ("samples", stop.samples),
        ("tokens", stop.tokens),
        ("flops", stop.flops),
        ("hours", stop.hours),
    ):
        spent = spent_on(name, metrics)
        if limit is not None and spent >= limit:
            return f"stop.{name} is reached: {_number(spent)} of {_number(limit)}"
    return _settled(stop, metrics)


def spent_on(name: str, metrics: Sequence[Mapping[str, Any]]) -> float:
    """What the rounds have used up: samples or tokens of the subset; FLOPs or hours of all stages of all rounds."""
    if name in ("samples", "tokens"):
        return float(metrics[-1].get({"samples": "n_chosen", "tokens": "tokens_chosen"}[name], 0))
    seconds, flops = totals(bill for one in metrics for bill in one.get("stages", {}).values())
    return flops if name == "flops" else seconds / HOUR


def measured(name: str, metrics: Mapping[str, Any]) -> float | None:
    """A round's value of what `stop.measure` names; None: it has none, or not yet."""
    value = metrics.get("heldout", {}).get("loss") if name == "heldout" else metrics.get(GAUGE, {}).get(name)
    return None if value is None else float(value)


def _settled(stop: StopConfig, metrics: Sequence[Mapping[str, Any]]) -> str | None:
    """Whether none of the last `stop.rounds` rounds differs from the one before them by more than `stop.share` of it."""
    if stop.measure is None or len(metrics) <= stop.rounds:
        return None
    values = [measured(stop.measure, one) for one in metrics[-1 - stop.rounds :]]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    move = max(abs(value - known[0]) for value in known[1:])
    if move > stop.share * abs(known[0]):
        return None
    share = move / abs(known[0]) if move else 0.0
    return (
        f"{stop.measure} has moved by at most {share:.2%} over the last {stop.rounds} rounds, from {known[0]:.4g} to {known[-1]:.4g} "
        f"(stop.share: {stop.share:.2%})"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e12 else f"{value:.4g}"
