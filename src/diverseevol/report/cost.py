"""What a run cost beside what was predicted, as a share of one full fine-tuning of the model on the whole pool; and several runs' costs.

Predictions are plan.json's, measurements the bills in metrics.json; only what both count is compared: tuning and passes over the pool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..base.text import duration
from ..ledger import totals
from ..plan.measured import STAGES
from .chart import Chart, Series, flops_shown, shown
from .runs import RunData, Subject

STAGE_NAMES = {
    "train": "tuning",
    "embed": "pass over the pool",
    "embed_outer": "pass of the outer model",
    "select": "choosing",
    "heldout": "held-out loss",
    "gauge": "stopping rule",
}
SIDE_BY_SIDE = ("run", "samples", "held-out loss", "FLOPs", "of one full fine-tuning", "time")
MOST_RUNS = 100


@dataclass(frozen=True)
class Costs:
    """What a run cost.

    Attributes:
        measured: FLOPs of the finished rounds' tuning and passes; None where a trainer outside did not say.
        predicted: FLOPs of the same rounds by the plan; None without one.
        full: FLOPs of one full fine-tuning; None without a plan.
        seconds: Wall-clock seconds of all stages.
        rows: Headings and a row a round and stage, for people.
    """

    measured: float | None
    predicted: float | None
    full: float | None
    seconds: float
    rows: tuple[list[str], list[list[str]]]

    @property
    def ratio(self) -> float | None:
        """Measured FLOPs over those of one full fine-tuning."""
        return self.measured / self.full if self.measured is not None and self.full else None


def costs_of(run: RunData) -> Costs:
    """Add up a run's bills, the final tuning's with them where there was one."""
    bills = [metrics.get("stages", {}) for metrics in run.metrics]
    rows = [row for index, stages in zip(run.rounds, bills, strict=True) for row in _rows(str(index), stages)]
    plan, final = run.plan, run.final
    if final is not None:
        bills.append({"train": final})
        rows += _rows("final", bills[-1])
    is_known = all("flops" in stages.get("train", {}) for stages in bills)
    planned = sum(_planned(round_) for round_ in plan["rounds"][: len(run.rounds)]) if plan else None
    return Costs(
        measured=sum(_flops(stages) for stages in bills) if is_known else None,
        predicted=planned + float(plan.get("final_flops", 0.0))
        if plan and planned is not None and final is not None
        else planned,
        full=float(plan["full_flops"]) if plan else None,
        seconds=totals(bill for stages in bills for bill in stages.values())[0],
        rows=(["round", "stage", "tokens", "FLOPs", "time", "peak memory"], rows),
    )


def cost_chart(run: RunData, costs: Costs) -> Chart | None:
    """Predicted and measured FLOPs a round as shares of one full fine-tuning; None without a plan."""
    plan, full = run.plan, costs.full
    if plan is None or not full:
        return None
    names = [f"round {index}" for index in run.rounds]
    measured = [
        _flops(metrics.get("stages", {})) / full if "flops" in metrics.get("stages", {}).get("train", {}) else None
        for metrics in run.metrics
    ]
    planned = [_planned(round_) / full for round_ in plan["rounds"][: len(names)]]
    planned += [0.0] * (len(names) - len(planned))
    return Chart(
        key="cost",
        title="Cost by round",
        x_title="round",
        y_title="share of one full fine-tuning",
        series=(Series("predicted", names, planned, "random"), Series("measured", names, measured, "main")),
        kind="bar",
        says=_says(costs),
        note="FLOPs of tuning and of passes over the pool, over those of tuning all weights once on every row of the pool for as many epochs.",
        is_share=True,
    )


def side_by_side(subject: Subject) -> list[list[str]]:
    """What each run chose, where it ended and what that cost, a row a run under `SIDE_BY_SIDE`; empty for one run alone."""
    if len(subject.runs) < 2:
        return []
    rows = []
    for run in subject.runs[:MOST_RUNS]:
        costs, loss = costs_of(run), (run.metrics[-1].get("heldout") or {}).get("loss")
        flops = "–" if costs.measured is None else flops_shown(costs.measured)
        ratio = "–" if costs.ratio is None else f"{costs.ratio:.2f}"
        rows.append([run.name, shown(run.n_chosen[-1]), shown(loss), flops, ratio, duration(costs.seconds)])
    return rows


def _says(costs: Costs) -> str:
    text = f"The finished rounds took {duration(costs.seconds)}"
    if costs.ratio is not None and costs.measured is not None:
        text += f" and {flops_shown(costs.measured)}, which is {costs.ratio:.2f} of one full fine-tuning"
    if costs.predicted and costs.measured is not None:
        text += f"; {flops_shown(costs.predicted)} were predicted ({costs.measured / costs.predicted - 1:+.0%})"
    return text + "."


def _flops(stages: dict[str, Any]) -> float:
    return sum(float(stages.get(stage, {}).get("flops", 0.0)) for stage in STAGES)


def _planned(round_: dict[str, Any]) -> float:
    return sum(float(round_[f"{stage}_flops"]) for stage in STAGES)


def _rows(index: str, stages: dict[str, Any]) -> Sequence[list[str]]:
    found = []
    for name, bill in stages.items():
        peak = bill.get("peak_memory_bytes")
        cells = [shown(bill["tokens"]) if "tokens" in bill else "–", flops_shown(bill["flops"]) if "flops" in bill else "–"]
        found.append(
            [index, STAGE_NAMES.get(name, name), *cells, duration(bill["seconds"]), f"{peak / 1e9:.2f} GB" if peak else "–"]
        )
    return found
