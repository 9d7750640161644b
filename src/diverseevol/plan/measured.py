"""Predicted beside measured: a run's plan against the bills of its finished rounds, and the time that is left.

Only what both sides count is compared: the tokens, FLOPs and peak memory of tunings and embedding passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..ledger import totals

STAGES = ("train", "embed")


def progress(plan: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], is_finished: bool) -> dict[str, Any]:
    """Figures of the finished rounds by stage, and the seconds left, by the rates of those rounds.

    Args:
        plan: The stored plan, as plain values.
        metrics: Each finished round's metrics.
        is_finished: Whether no round follows.

    Returns:
        {stage: {tokens, flops: {predicted, measured}}, flops and memory: {predicted, measured}, seconds_left}; `seconds_left` is None where
        nothing is left, or a stage that is has no rate yet.
    """
    found: dict[str, Any] = {}
    left: list[float | None] = []
    for stage in STAGES:
        billed = [(round_, each.get("stages", {}).get(stage, {})) for round_, each in zip(plan["rounds"], metrics, strict=False)]
        counted = [(round_, bill) for round_, bill in billed if "flops" in bill]
        seconds, measured = totals(bill for _, bill in counted)
        found[stage] = {
            what: {
                "predicted": sum(float(round_[f"{stage}_{what}"]) for round_, _ in counted),
                "measured": sum(float(bill[what]) for _, bill in counted),
            }
            for what in ("tokens", "flops")
        }
        to_do = sum(float(round_[f"{stage}_flops"]) for round_ in plan["rounds"][len(metrics) :])
        left.append(to_do * seconds / measured if measured else None if to_do else 0.0)
    both = [found[stage]["flops"] for stage in STAGES]
    found["flops"] = {side: sum(each[side] for each in both) for side in ("predicted", "measured")}
    # A process's peak only rises: the highest of a run's stages is compared with the highest predicted.
    peaks = [bill.get("peak_memory_bytes", 0) for each in metrics for bill in each.get("stages", {}).values()]
    found["memory"] = {"predicted": max(plan["memory"].values(), default=0.0), "measured": float(max(peaks, default=0))}
    known = [seconds for seconds in left if seconds is not None]
    return {**found, "seconds_left": sum(known) if len(known) == len(STAGES) and not is_finished else None}
