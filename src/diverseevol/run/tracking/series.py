"""What a finished round says about itself, as numbers by name. Pure: metrics in, series out.

`round/…` are of the round, `cost/…` of its stages, and `cost/…_so_far` of all rounds up to it; the ratio is to one tuning of all weights of
the model on the whole pool, by the plan's count (plan/whole.py). What a round does not know (the last one's embeddings) it leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..ledger import totals
from ..stopping import GAUGE

SIZES = ("n_new", "n_chosen", "tokens_chosen", "trained_tokens_chosen")


def round_series(metrics: Sequence[Mapping[str, Any]], full_flops: float | None) -> dict[str, float]:
    """The series of the last of these rounds.

    Args:
        metrics: Of rounds 0 to the one asked for.
        full_flops: FLOPs of one full tuning on the whole pool; None: not known.
    """
    last = metrics[-1]
    found = {f"round/{name}": float(last[name]) for name in SIZES if name in last}
    found |= {f"round/{name}": float(value) for name, value in last.get(GAUGE, {}).items()}
    if "heldout" in last:
        found["round/heldout_loss"] = float(last["heldout"]["loss"])
    for stage, bill in last.get("stages", {}).items():
        found[f"cost/{stage}_seconds"] = float(bill["seconds"])
        if "flops" in bill:
            found[f"cost/{stage}_flops"] = float(bill["flops"])
    seconds, flops = totals(bill for each in metrics for bill in each.get("stages", {}).values())
    found |= {"cost/seconds_so_far": seconds, "cost/flops_so_far": flops}
    return found | ({"cost/ratio_so_far": flops / full_flops} if full_flops else {})


def trainer_series(prefix: str, logs: Mapping[str, Any]) -> dict[str, float]:
    """What the Trainer logs, under `train/…` as its own callbacks name it, or under another prefix; only numbers."""
    return {
        f"{prefix}/{name}": float(value)
        for name, value in logs.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
