"""What a run cost beside what was predicted, as a share of one full fine-tuning on the whole pool.

Predictions are plan.json's, measurements the bills in metrics.json; only what both count is compared:
tuning and passes over the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ..base.text import duration
from ..run.metrics import STAGES, Bill, totals
from .figure import Figure, Tile, flops_shown, hover, looks_of, shown
from .runs import RunData, Subject

STAGE_NAMES = {
    "train": "tuning",
    "embed": "pass over the pool",
    "embed_outer": "pass of the outer model",
    "select": "choosing",
    "heldout": "held-out loss",
    "gauge": "stopping rule",
}
BILL = ("round", "stage", "tokens", "FLOPs", "time", "peak memory")
SIDE_BY_SIDE = ("runs", "seeds", "samples", "held-out loss", "FLOPs", "of one full fine-tuning", "time")


@dataclass(frozen=True)
class Costs:
    """What a run cost, the final tuning with it where there was one.

    Attributes:
        bills: By round, and `final`, each stage's bill.
        measured: FLOPs of the finished rounds' tuning and passes; None where a trainer outside did not say.
        predicted: FLOPs of each of these rounds by the plan, and of the final tuning; None without a plan.
        full: FLOPs of one full fine-tuning; None without a plan.
    """

    bills: dict[str, dict[str, Bill]]
    measured: float | None
    predicted: list[float] | None
    full: float | None

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all stages."""
        return totals(bill for stages in self.bills.values() for bill in stages.values())[0]

    @property
    def ratio(self) -> float | None:
        """Measured FLOPs over those of one full fine-tuning."""
        return self.measured / self.full if self.measured is not None and self.full else None

    def rows(self) -> Iterator[list[str]]:
        """A row a round and stage, under `BILL`."""
        for index, stages in self.bills.items():
            for name, bill in stages.items():
                peak = bill.peak_memory_bytes
                spent = [shown(bill.tokens), flops_shown(bill.flops), duration(bill.seconds)]
                yield [index, STAGE_NAMES.get(name, name), *spent, f"{peak / 1e9:.2f} GB" if peak else "–"]


def costs_of(run: RunData) -> Costs:
    """Add up a run's bills."""
    bills = {str(index): run.metrics[at].stages for at, index in enumerate(run.rounds)}
    plan, final = run.folder.plan(), run.folder.final_bill()
    rounds = plan.rounds[: len(bills)] if plan else ()
    predicted = [sum(round_.expected(stage, "flops") for stage in STAGES) for round_ in rounds]
    if final is not None:
        bills["final"] = {"train": final}
        predicted.append(plan.final_flops if plan else 0.0)
    flops = [_flops(stages) for stages in bills.values()]
    measured = None if None in flops else sum(each or 0.0 for each in flops)
    return Costs(bills, measured, predicted if plan else None, plan.full_flops if plan else None)


def cost_figure(costs: Costs) -> Iterator[Figure]:
    """Predicted and measured FLOPs a round as shares of one full fine-tuning; none without a plan."""
    if not costs.full or costs.predicted is None:
        return
    bars: dict[str, list[Any]] = {"predicted": [flops / costs.full for flops in costs.predicted]}
    bars["measured"] = [flops and flops / costs.full for flops in map(_flops, costs.bills.values())]
    traces = []
    for (name, y), (color, _, _) in zip(bars.items(), looks_of(["random", "main"]), strict=True):
        look = {"marker": {"color": color}, "hovertemplate": hover("y", ".3~p")}
        traces.append({"type": "bar", "name": name, "x": list(costs.bills)[: len(y)], "y": y, **look})
    y_axis = {"title": {"text": "share of one full fine-tuning"}, "tickformat": ".0%", "rangemode": "tozero"}
    layout = {"xaxis": {"title": {"text": "round"}, "type": "category"}, "yaxis": y_axis, "bargap": 0.4}
    planned, measured = (
        sum(costs.predicted) / costs.full,
        "–" if costs.ratio is None else f"{costs.ratio:.2f}",
    )
    spent = f"{flops_shown(costs.measured)}, {duration(costs.seconds)}"
    says = f"Cost: {measured} of one full fine-tuning on the pool ({spent}); {planned:.2f} were predicted."
    note = (
        "FLOPs of tuning and of passes over the pool; one full fine-tuning is that of all weights on all "
        "rows, for as many epochs. A run that costs more saves labels and later trainings, not compute."
    )
    tile = Tile(measured, "Of one full fine-tuning", f"{planned:.2f} predicted")
    yield Figure("cost", "Cost by round", traces, layout, says, note, tile)


def side_by_side(subject: Subject) -> list[list[str]]:
    """Where each arm ended and what that cost, means over its seeds, as `SIDE_BY_SIDE`; none for one run."""
    rows = []
    for arm, runs in subject.arms.items() if len(subject.runs) > 1 else ():
        costs = [costs_of(run) for run in runs]
        loss = _mean([run.metrics[-1].heldout.loss for run in runs])
        ratio, measured = _mean([cost.ratio for cost in costs]), _mean([cost.measured for cost in costs])
        reached = [arm, str(len(runs)), shown(runs[0].n_chosen[-1]), shown(loss)]
        spent = [flops_shown(measured), "–" if ratio is None else f"{ratio:.2f}"]
        rows.append([*reached, *spent, duration(fmean(cost.seconds for cost in costs))])
    return rows


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _flops(stages: Mapping[str, Bill]) -> float | None:
    """Of tuning and pass; None where the trainer did not say."""
    if "train" not in stages or stages["train"].flops is None:
        return None
    return sum(stages[stage].flops or 0.0 for stage in STAGES if stage in stages)
