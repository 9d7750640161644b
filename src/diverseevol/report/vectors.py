"""Whose vectors the map is drawn from: one set for all rounds, so that a sample has one place.

Shape letters: N pool rows, D embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..base.files import load_array
from ..run_folder import BASE
from .runs import RunData


@dataclass(frozen=True)
class PoolVectors:
    """Vectors of a pool's rows.

    Attributes:
        vectors_ND: Memory-mapped.
        rows: The pool rows they are of, ascending; None: row i is pool row i.
        whose: The model, in words.
        n_pool: Rows of the pool.
    """

    vectors_ND: NDArray[Any]
    rows: NDArray[np.int64] | None
    whose: str
    n_pool: int

    @property
    def known_rows(self) -> NDArray[np.int64]:
        """The pool rows that have a vector, ascending."""
        return np.arange(self.n_pool) if self.rows is None else self.rows

    def known(self, pool_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of the pool rows that have a vector, in their order."""
        return pool_rows if self.rows is None else pool_rows[np.isin(pool_rows, self.rows)]

    def read(self, pool_rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of pool rows that have one; all their numbers are finite, for embedding refuses others."""
        at = pool_rows if self.rows is None else np.searchsorted(self.rows, pool_rows)
        return np.asarray(self.vectors_ND[at], dtype=np.float32)


def find_vectors(run: RunData) -> PoolVectors | None:
    """The base model's vectors, else the outer model's, else those of the last round whose were kept."""
    folder = run.folder
    places: list[tuple[Path, int | None, str]] = [
        (folder.fixed_file(BASE), None, "the untuned base model"),
        (folder.outer_dir / "embeddings.npy", None, "the outer model"),
    ]
    for index in reversed(run.rounds):
        places.append((folder.signals_dir(index) / "embeddings.npy", index, f"round {index}'s model"))
    for file, at, whose in places:
        if not file.exists():
            continue
        vectors_ND = load_array(file)
        rows = None if at is None else folder.seen_rows(at)
        if vectors_ND.ndim == 2 and len(vectors_ND) == (len(run.pool) if rows is None else len(rows)):
            return PoolVectors(vectors_ND, rows, whose, len(run.pool))
    return None
