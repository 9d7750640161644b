"""What a run cost beside what was predicted, as a share of one full fine-tuning on the whole pool.

Predictions are plan.json's, measurements the bills in metrics.json; only what both count is compared:
tuning and passes over the pool. What nobody said, such as the FLOPs of a trainer outside, is NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan, nan
from statistics import fmean

from ..base.text import duration, si
from ..run.metrics import STAGES, Bill, totals
from .figure import Figure, hover, looks_of, shown
from .runs import RunData, Subject

STAGE_NAMES = {
    "train": "tuning",
    "embed": "pass over the pool",
    "embed_outer": "pass of the outer model",
    "select": "choosing",
    "heldout": "held-out loss",
    "gauge": "stopping rule",
}
NOTE = (
    "FLOPs of tuning and of passes over the pool; one full fine-tuning is that of all weights on all "
    "rows, for as many epochs. A run that costs more saves labels and later trainings, not compute."
)


@dataclass(frozen=True)
class Costs:
    """What a run cost, the final tuning with it where there was one."""

    bills: dict[str, dict[str, Bill]]  # by round, and `final`, each stage's
    flops: list[float]  # of each's tuning and pass
    predicted: list[float]  # the same by the plan
    full: float  # FLOPs of one full fine-tuning; 0 without a plan
    seconds: float  # wall-clock, of all stages

    @property
    def ratio(self) -> float:
        """Measured FLOPs over those of one full fine-tuning."""
        return sum(self.flops) / self.full if self.full else nan

    def rows(self) -> Iterator[list[str]]:
        """A row a round and stage: tokens, FLOPs, time, peak memory."""
        for index, stages in self.bills.items():
            for name, bill in stages.items():
                peak = bill.peak_memory_bytes
                spent = [shown(bill.tokens), flops_shown(bill.flops), duration(bill.seconds)]
                yield [index, STAGE_NAMES.get(name, name), *spent, f"{peak / 1e9:.2f} GB" if peak else "–"]


def costs_of(run: RunData) -> Costs:
    """Add up a run's bills."""
    bills = {str(index): run.metrics[at].stages for at, index in enumerate(run.rounds)}
    plan, final = run.folder.plan(), run.folder.final_bill()
    planned = plan.rounds[: len(bills)] if plan else []
    predicted = [sum(round_.expected(stage, "flops") for stage in STAGES) for round_ in planned]
    if final is not None:
        bills["final"] = {"train": final}
        predicted += [plan.final_flops] if plan else []
    flops = []
    for stages in bills.values():
        is_known = "train" in stages and stages["train"].flops is not None
        flops.append(totals(stages[stage] for stage in STAGES if stage in stages)[1] if is_known else nan)
    seconds, _ = totals(bill for stages in bills.values() for bill in stages.values())
    return Costs(bills, flops, predicted, (plan and plan.full_flops) or 0.0, seconds)


def cost_figure(costs: Costs) -> Iterator[Figure]:
    """Predicted and measured FLOPs a round as shares of one full fine-tuning; none without a plan."""
    if not costs.full:
        return
    bars = {"predicted": costs.predicted, "measured": costs.flops}
    traces = []
    for (name, flops), (color, _, _) in zip(bars.items(), looks_of(["random", "main"]), strict=True):
        y = [None if isnan(each) else each / costs.full for each in flops]
        look = {"marker": {"color": color}, "hovertemplate": hover("y", ".3~p")}
        traces.append({"type": "bar", "name": name, "x": list(costs.bills)[: len(y)], "y": y, **look})
    y_axis = {"title": {"text": "share of one full fine-tuning"}, "tickformat": ".0%", "rangemode": "tozero"}
    layout = {"xaxis": {"title": {"text": "round"}, "type": "category"}, "yaxis": y_axis, "bargap": 0.4}
    planned, measured = f"{sum(costs.predicted) / costs.full:.2f}", ratio_shown(costs.ratio)
    spent = f"{flops_shown(sum(costs.flops))}, {duration(costs.seconds)}"
    says = f"Cost: {measured} of one full fine-tuning on the pool ({spent}); {planned} were predicted."
    tile = (measured, "Of one full fine-tuning", f"{planned} predicted")
    yield Figure("cost", "Cost by round", traces, layout, says, NOTE, tile)


def side_by_side(subject: Subject) -> list[list[str]]:
    """Where each arm ended and what that cost, means over its seeds; none for one run."""
    rows = []
    for arm, runs in subject.arms.items() if len(subject.runs) > 1 else ():
        costs, losses = [costs_of(run) for run in runs], [run.metrics[-1].heldout.loss for run in runs]
        loss = fmean(nan if each is None else each for each in losses)
        reached = [arm, str(len(runs)), shown(runs[0].n_chosen[-1]), shown(loss)]
        flops, ratio = fmean(sum(each.flops) for each in costs), fmean(each.ratio for each in costs)
        spent = [flops_shown(flops), ratio_shown(ratio), duration(fmean(each.seconds for each in costs))]
        rows.append([*reached, *spent])
    return rows


def flops_shown(flops: float | None) -> str:
    """A number of operations for people: `1.53 TFLOPs`."""
    return "–" if flops is None or isnan(flops) else f"{si(flops)}FLOPs"


def ratio_shown(ratio: float) -> str:
    """A share of one full fine-tuning."""
    return "–" if isnan(ratio) else f"{ratio:.2f}"
