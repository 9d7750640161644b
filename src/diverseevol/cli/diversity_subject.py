"""What `diversity` measures: a pool's vectors, which rows are chosen, and what else is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..base.progress import Watch
from ..data import Pool
from ..errors import EmbedError, RunFolderError, SelectionError
from ..run import RunFolder
from ..selection.vectors import FileVectors, open_vectors
from .select_files import Ids, open_ids, read_chosen, read_columns

BY_MODEL = "model"


@dataclass(frozen=True)
class Subject:
    """Vectors, a row a pool row, and what is known of the rows."""

    vectors: FileVectors
    source: str
    """Where the vectors come from."""
    chosen_rows: np.ndarray | None
    """In the order in which they were chosen; None: only the pool is measured."""
    rounds: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    """How many rows were chosen after each round."""
    labels: np.ndarray | None = None
    choosable_rows: np.ndarray | None = None
    """What random sets are drawn from; None: all."""


def subject_of_run(
    run: RunFolder, embeddings: str, model: str | None, labels: str | None, watch: Watch
) -> Subject:
    """The finished rounds of a run; under several processes every rank calls it.

    Args:
        run: the run.
        embeddings: a file of vectors, or `model`.
        model: which model; None: the run's base model.
        labels: a column of the pool's records.
        watch: sees the progress.

    Raises:
        RunFolderError: this is no run folder, or no round is finished.
        EmbedError: the vectors are not the pool's.
        ConfigError: no record has such a column.
    """
    run.config()
    rounds = run.rounds_done()
    if not rounds:
        raise RunFolderError(f"{run.root} has no finished round yet, so there is no subset to measure.")
    pool = Pool.open(run.pool_dir)
    column = None
    if labels is not None:
        from ..data.columns import pool_columns

        column = pool_columns(pool, [labels], "--labels")[labels]
    vectors, source = _vectors_of_run(run, pool, embeddings, model, watch)
    sizes = np.cumsum([len(run.picks(index)) for index in rounds]).tolist()
    chosen = np.array(run.chosen_before(rounds[-1] + 1), dtype=np.int64)
    choosable = np.setdiff1d(np.arange(len(pool)), pool.rows_of(run.barred_ids()))
    return Subject(vectors, source, chosen, tuple(rounds), tuple(sizes), column, choosable)


def subject_of_vectors(
    embeddings: str, chosen: Path | None, labels: str | None, columns: Path | None, watch: Watch
) -> Subject:
    """Rows of vectors from anywhere; arguments as the command line's.

    Raises:
        EmbedError: the vectors cannot be read.
        SelectionError: `chosen` names no rows, or not those of the vectors; or `columns` has no such column.
    """
    vectors = open_vectors(embeddings, None, watch)
    n_rows = len(vectors)
    rows = None
    if chosen is not None:
        rows = read_chosen(chosen, n_rows, open_ids(None, vectors.folder, n_rows))
        if not len(rows):
            raise SelectionError(
                f"{chosen} names no rows. Give one a line, or leave --chosen out to measure all rows."
            )
    column = None
    if labels is not None:
        column = read_columns(columns, vectors.folder, frozenset({labels}), n_rows, "--labels")[labels]
    return Subject(vectors, embeddings, rows, labels=column)


def _vectors_of_run(
    run: RunFolder, pool: Pool, embeddings: str, model: str | None, watch: Watch
) -> tuple[FileVectors, str]:
    if embeddings == BY_MODEL:
        from ..evaluation.base_embedding import fixed_embedding
        from .run import quiet_libraries

        quiet_libraries()
        fixed = fixed_embedding(run, model, watch)
        return open_vectors(fixed.file), f"model {fixed.model}"
    vectors = open_vectors(embeddings, run.root, watch)
    if len(vectors) != len(pool):
        raise EmbedError(
            f"{embeddings} has {len(vectors):,} rows, the pool of {run.root} {len(pool):,}. Give one vector "
            "for each pool row."
        )
    ids = open_ids(None, vectors.folder, len(pool))
    if ids is not None:
        _check_ids(ids, pool)
    return vectors, embeddings


def _check_ids(ids: Ids, pool: Pool) -> None:
    """The ids beside vectors must be the pool's, in its order."""
    for row, (name, own) in enumerate(zip(ids.lines(), pool.ids.tolist(), strict=True)):
        if name != own:
            raise EmbedError(
                f"{ids.path}: row {row} is {name}, the pool's is {own}. Give vectors in the pool's order."
            )
