"""`diversity`: how diverse a run's subset, or rows of any vectors, are beside random sets and the pool."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .settings import only_run, read_settings

if TYPE_CHECKING:
    import numpy as np

    from ..selection.vectors import FileVectors

BY_MODEL = "model"
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
    from ..evaluation.diversity import diversity as measured
    from .run import quiet_libraries
    from .watch import open_watch

    watch = open_watch()
    dist.start()
    sets, seed = given.random_sets, given.seed
    if run is None:
        from ..selection.vectors import open_vectors

        vectors = open_vectors(embeddings, None, watch)
        rows, column = rows_and_labels(vectors, chosen, labels, columns)
        report = measured(
            vectors, rows, labels=column, n_cells=cells, random_sets=sets, seed=seed, watch=watch
        )
        coverage_of = report.coverage_of if labels is None else f"labels in {labels!r}"
        report = replace(report, embeddings=embeddings, coverage_of=coverage_of)
    else:
        quiet_libraries()
        file = None if embeddings == BY_MODEL else embeddings
        report = measured(
            file,
            run=run,
            model=model,
            labels=labels,
            n_cells=cells,
            random_sets=sets,
            seed=seed,
            watch=watch,
        )
    if not dist.is_main():
        return
    if as_json:
        typer.echo(json.dumps(report.values(), ensure_ascii=False, allow_nan=False))
        return
    from .diversity_tables import print_tables

    print_tables(report.values())


def rows_and_labels(
    vectors: FileVectors, chosen: Path | None, labels: str | None, columns: Path | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The rows that `--chosen` names, and the column of labels; None each where it is not asked for.

    Raises:
        SelectionError: `chosen` names no rows, or not those of the vectors; or `columns` has no such column.
    """
    from ..errors import SelectionError
    from .select_files import open_ids, read_chosen, read_columns

    n_rows, rows = len(vectors), None
    if chosen is not None:
        rows = read_chosen(chosen, n_rows, open_ids(None, vectors.folder, n_rows))
        if not len(rows):
            raise SelectionError(
                f"{chosen} names no rows. Give one a line, or leave --chosen out to measure all rows."
            )
    if labels is None:
        return rows, None
    return rows, read_columns(columns, vectors.folder, frozenset({labels}), n_rows, "--labels")[labels]
