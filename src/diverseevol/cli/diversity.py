"""`diversity`: how diverse a run's subset, or rows of any vectors, are beside random sets and the pool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .settings import only_run, read_settings

if TYPE_CHECKING:
    from ..base.progress import Watch
    from .diversity_subject import Subject

BY_MODEL = "model"
N_CELLS = 100
RUN = "A run folder; its finished rounds are measured, and the figures also go to its diversity.json."
VECTORS = (
    "The pool's vectors, a row each: .npy, .safetensors, Parquet, a folder of such shards, or FILE:NAME. "
    "`model`, the default with RUN: by --model, computed once and kept in the run folder."
)
MODEL = "The fixed model that RUN's pool is embedded with; if not given, its untuned base model."
CHOSEN = (
    "Without RUN: the subset, a row number or an id (of ids.txt beside the vectors) a line, or JSONL. None: "
    "all rows are measured."
)

Words = Annotated[list[str] | None, typer.Argument(metavar="[RUN] [KEY=VALUE]…", help=RUN)]
Embeddings = Annotated[str, typer.Option("--embeddings", help=VECTORS)]
Model = Annotated[str | None, typer.Option("--model", help=MODEL)]
Chosen = Annotated[Path | None, typer.Option("--chosen", help=CHOSEN)]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


def diversity(
    words: Words = None,
    embeddings: Embeddings = BY_MODEL,
    model: Model = None,
    chosen: Chosen = None,
    as_json: AsJson = False,
) -> None:
    """Measure how diverse a subset is, round by round: Vendi scores, distances, coverage."""
    from ..config.verbs import DiversityConfig

    given, others = read_settings(DiversityConfig, words)
    run, labels, cells = only_run(others), given.labels, given.cells
    columns = Path(given.columns) if given.columns else None
    own = chosen or columns
    mistakes = {
        "give --labels or --cells, not both": labels is not None and cells is not None,
        "a run says itself what is chosen and what its records hold: leave out --chosen and --columns": run
        and own,
        "give --model or a file of --embeddings, not both": run
        and model is not None
        and embeddings != BY_MODEL,
        "--model embeds the pool of a run: give the run folder": not run and model is not None,
        "give a run folder, or a file of --embeddings": not run and embeddings == BY_MODEL,
        "--labels is a column of which file? Give --columns": not run and labels is not None and not columns,
    }
    for mistake, is_made in mistakes.items():
        if is_made:
            raise typer.BadParameter(mistake)
    from ..base import dist
    from ..base.files import write_json
    from ..run import RunFolder
    from .diversity_subject import subject_of_run, subject_of_vectors
    from .watch import open_watch

    watch = open_watch()
    dist.start()
    if run is None:
        subject = subject_of_vectors(embeddings, chosen, labels, columns, watch)
    else:
        subject = subject_of_run(RunFolder(run), embeddings, model, labels, watch)
    found = dist.on_main(lambda: measured(subject, given.random_sets, labels, cells, given.seed, watch))
    if not dist.is_main():
        return
    if run is not None:
        found = {"run": str(run), **found}
        write_json(RunFolder(run).diversity_file, found)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))
        return
    from .diversity_tables import print_tables

    print_tables(found)


def measured(
    subject: Subject, n_random: int, label_name: str | None, n_cells: int | None, seed: int, watch: Watch
) -> dict[str, Any]:
    """All measures as plain values, with what they were made of.

    A round each, or one set without rounds, or the pool alone.
    """
    from ..evaluation.cells import NO_CELL, cells_of_labels, k_means_cells
    from ..evaluation.diversity import DiversityReport, measure_diversity, measure_pool

    vectors = subject.vectors
    n_rows, width = vectors.shape
    if subject.labels is None:
        cells = k_means_cells(vectors, min(N_CELLS, n_rows) if n_cells is None else n_cells, seed)
    else:
        cells = cells_of_labels(subject.labels)
    if subject.chosen_rows is None:
        report = DiversityReport((), {}, {}, measure_pool(vectors, seed=seed, cells=cells, watch=watch))
    else:
        report = measure_diversity(
            vectors,
            subject.chosen_rows,
            subject.sizes or None,
            n_random=n_random,
            seed=seed,
            cells=cells,
            choosable_rows=subject.choosable_rows,
            watch=watch,
        )
    return {
        "embeddings": subject.source,
        "n_rows": n_rows,
        "width": width,
        "coverage_of": "k-means cells" if label_name is None else f"labels in {label_name!r}",
        "n_cells": len(set(cells.tolist()) - {NO_CELL}),
        "n_without_label": int((cells == NO_CELL).sum()),
        "random_sets": n_random,
        "seed": seed,
        "sets": [
            ({"round": subject.rounds[pos]} if subject.rounds else {}) | values
            for pos, values in enumerate(report.sets())
        ],
        "pool": report.pool_values(),
    }
