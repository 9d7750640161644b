"""Everything that the page shows, gathered once; of what is missing the page says what would add it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.progress import Watch
from ..evaluation.scoring import QuestionScore
from .cost import Costs, cost_figure, costs_of
from .coverage import coverage_figure, lengths_figure
from .curves import diversity_figures, quality_figures
from .differences import difference_figures
from .figure import Figure
from .picks import gather_samples, table_of_picks
from .problems import Problem, problems_of
from .runs import RunData, Subject
from .vectors import Map, Method, find_vectors, project
from .verdicts import examples_of, judged_rounds


@dataclass(frozen=True)
class Content:
    """What there is to show.

    Attributes:
        shown_runs: Those on the map and in the table of picks: the first of each arm over the same pool.
        figures: By the page's sections.
        costs: Of the run that is looked at closely, as are problems and examples.
        map: None without vectors.
        samples: The page's samples, by columns.
        picks: The table's, of each run the first so many.
        examples: Judged answers by benchmark and opponent, of the last round.
    """

    subject: Subject
    shown_runs: list[RunData]
    figures: dict[str, list[Figure]]
    costs: Costs
    map: Map | None
    samples: dict[str, Any]
    picks: list[dict[str, Any]]
    problems: list[Problem]
    examples: dict[str, list[tuple[QuestionScore, Mapping[str, Any]]]]


def gather(subject: Subject, method: Method, labels: str | None, watch: Watch) -> Content:
    """Gather it; the arguments and errors are those of `write_report`."""
    run = subject.main
    shown_runs = [each for each in subject.one_an_arm or [run] if np.array_equal(run.pool.ids, each.pool.ids)]
    costs = costs_of(run)
    with watch.task("report", 4.0, "steps") as task:
        figures = {
            "differences": list(difference_figures(subject)),
            "quality": list(quality_figures(subject)),
            "diversity": list(diversity_figures(subject)),
            "cost": list(cost_figure(costs)),
        }
        task.advance()
        vectors = find_vectors(run)
        picks = table_of_picks(shown_runs, vectors)
        task.advance()
        chosen = np.concatenate([each.chosen_rows for each in shown_runs])
        others = np.arange(len(run.pool)) if vectors is None else vectors.rows_N
        samples = gather_samples(run.pool, picks, chosen, others)
        placed = None if vectors is None else project(vectors, np.array(samples["rows"]), method)
        task.advance()
        figures["coverage"] = list(coverage_figure(subject, shown_runs, vectors, labels))
        figures["lengths"] = list(lengths_figure(subject, shown_runs))
        task.advance()
    examples = {judged.name: examples_of(judged) for judged in judged_rounds(run)}  # the last round's stays
    return Content(subject, shown_runs, figures, costs, placed, samples, picks, problems_of(run), examples)
