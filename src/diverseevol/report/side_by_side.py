"""Runs beside each other: what each one chose, where it ended, and what that cost."""

from __future__ import annotations

from ..progress import duration
from .chart import flops_shown, shown
from .cost import costs_of
from .runs import Subject

HEADINGS = ("run", "samples", "held-out loss", "FLOPs", "of one full fine-tuning", "time")
MOST_RUNS = 100


def side_by_side(subject: Subject) -> list[list[str]]:
    """A row a run under `HEADINGS`; empty for one run alone."""
    if len(subject.runs) < 2:
        return []
    rows = []
    for run in subject.runs[:MOST_RUNS]:
        costs, loss = costs_of(run), (run.metrics[-1].get("heldout") or {}).get("loss")
        flops = "–" if costs.measured is None else flops_shown(costs.measured)
        ratio = "–" if costs.ratio is None else f"{costs.ratio:.2f}"
        rows.append([run.name, shown(run.n_chosen[-1]), shown(loss), flops, ratio, duration(costs.seconds)])
    return rows
