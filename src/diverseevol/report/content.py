"""Everything that the page shows, gathered once: charts, tables and texts, and a sentence for each part that a run does not have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.progress import SILENT, Watch
from .chart import Chart
from .cost import Costs, cost_chart, costs_of
from .coverage import coverage_chart, lengths_chart
from .curves import diversity_charts, quality_charts
from .differences import difference_charts
from .picks import Pick, first_of_each, gather_picks
from .problems import Problem, problems_of
from .projection import Method, Projection, project
from .runs import RunData, Subject
from .samples import Samples, gather_samples
from .summary import Summary, summarise
from .vectors import PoolVectors, find_vectors
from .verdict_examples import Example, examples_of


@dataclass(frozen=True)
class Content:
    """What there is to show; `missing` holds, by part, what would add it."""

    subject: Subject
    summary: Summary
    quality: list[Chart]
    differences: list[Chart]
    diversity: list[Chart]
    shown_runs: list[RunData]
    projection: Projection | None
    samples: Samples
    picks: list[Pick]
    coverage: Chart | None
    lengths: Chart | None
    costs: Costs
    cost: Chart | None
    problems: list[Problem]
    verdicts: dict[str, list[Example]]
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def charts(self) -> list[Chart]:
        """All charts but the map, in the page's order."""
        last = [chart for chart in (self.coverage, self.lengths, self.cost) if chart is not None]
        return [*self.differences, *self.quality, *self.diversity, *last]

    def map_values(self) -> dict[str, Any] | None:
        """The map for the page's script: coordinates by sample, and each run's picks by round as places among the samples."""
        if self.projection is None:
            return None
        xy_P2, place = self.projection.xy_P2, self.samples.place
        return {
            "x": _rounded(xy_P2[:, 0]),
            "y": _rounded(xy_P2[:, 1]),
            "axes": list(self.projection.axes),
            "runs": [
                {
                    "name": run.name,
                    "rounds": [
                        {"round": index, "at": [place[int(pick["row"])] for pick in picks if int(pick["row"]) in place]}
                        for index, picks in zip(run.rounds, run.picks, strict=True)
                    ],
                }
                for run in self.shown_runs
            ],
        }


def gather(subject: Subject, method: Method = "pca", labels: str | None = None, watch: Watch = SILENT) -> Content:
    """Gather it.

    Args:
        subject: The runs.
        method: How the map is drawn.
        labels: The column whose values' coverage is shown; None: the run's own, else clusters.
        watch: Sees the steps.

    Raises:
        ConfigError: no record has the labels' column, or UMAP is not installed.
    """
    run = subject.main
    shown_runs = [each for each in subject.one_an_arm or [run] if _has_same_pool(each, run)]
    with watch.task("report", 5.0, "steps") as task:
        quality, diversity, costs = quality_charts(subject), diversity_charts(subject), costs_of(run)
        task.advance()
        vectors = find_vectors(run)
        picks = gather_picks(shown_runs, vectors)
        task.advance()
        samples = gather_samples(
            run.pool, _named(picks, shown_runs), np.arange(len(run.pool)) if vectors is None else vectors.known_rows
        )
        task.advance()
        projection = None if vectors is None else _project(vectors, samples, method)
        task.advance()
        coverage = coverage_chart(shown_runs, vectors, labels)
        task.advance()
    return Content(
        subject=subject,
        summary=summarise(subject, quality, diversity, costs),
        quality=quality,
        differences=list(difference_charts(subject)),
        diversity=diversity,
        shown_runs=shown_runs,
        projection=projection,
        samples=samples,
        picks=picks,
        coverage=coverage,
        lengths=lengths_chart(shown_runs),
        costs=costs,
        cost=cost_chart(run, costs),
        problems=problems_of(run),
        verdicts=examples_of(run),
        missing=_missing(subject, quality, projection),
    )


def _has_same_pool(run: RunData, other: RunData) -> bool:
    """Whether rows of the two runs' pools are the same samples."""
    return len(run.pool) == len(other.pool) and bool(run.pool.index["id"].equals(other.pool.index["id"]))


def _named(picks: list[Pick], runs: list[RunData]) -> list[int]:
    """Pool rows that must be among the samples: all picks, what they were nearest to, what was left out near those in the table."""
    rows = [pick.row for pick in picks] + [pick.nearest_row for pick in picks if pick.nearest_row is not None]
    return rows + [row for pick in first_of_each(picks, [run.name for run in runs]) for row, _ in pick.left_out]


def _project(vectors: PoolVectors, samples: Samples, method: Method) -> Projection | None:
    """Coordinates of all samples; NaN for those without a vector."""
    known = vectors.known(samples.rows_P)
    found = project(vectors, known, method)
    if found is None:
        return None
    xy_P2 = np.full((len(samples.rows_P), 2), np.nan)
    xy_P2[np.isin(samples.rows_P, known)] = found.xy_P2
    return Projection(xy_P2, found.axes, found.note)


def _rounded(values: NDArray[np.floating]) -> list[float | None]:
    """Five significant digits of the largest: no screen shows more."""
    largest = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    digits = max(0, 5 - int(np.floor(np.log10(largest))) - 1)
    return [None if np.isnan(value) else round(value, digits) for value in values.tolist()]


def _missing(subject: Subject, quality: list[Chart], projection: Projection | None) -> dict[str, str]:
    """For each part that cannot be shown, what would add it."""
    run, root = subject.main, subject.main.folder.root
    found = {}
    if not any(chart.y_title == "nats a token" for chart in quality):
        found["heldout"] = "No held-out loss was measured: `diverseevol run … pool.holdout=500` or `heldout.path=FILE` adds it."
    if not run.verdict_files:
        found["verdicts"] = (
            f"No answers were judged: `diverseevol answer {root} --benchmark NAME` and `diverseevol judge {root} --benchmark NAME` add them."
        )
    if len(subject.arms) == 1:
        found["lines"] = (
            "Lines of random and of the whole pool: `diverseevol compare … --strategies NAME --full --out DIR`, then `diverseevol report DIR`."
        )
    if run.diversity is None:
        found["diversity"] = (
            f"Not measured yet: `diverseevol diversity {root}` adds the covering radius and the Vendi score of each round."
        )
    if projection is None:
        gain = "embeds the pool with the base model, which adds the map and what was left out nearby"
        found["map"] = f"No vectors were kept: `diverseevol diversity {root}` {gain}."
    if run.plan is None:
        found["cost"] = (
            "No plan.json: runs of this version write what they are expected to cost when they start; give the run's command again."
        )
    return found
