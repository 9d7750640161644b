"""Whitening: embeddings of which every kept direction varies alike, so that a few strong ones do not decide every distance.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), an option of its published code: mean-centre, covariance, its
singular vectors U and values s, U · diag(1/√s), the first n columns, then each row to unit length; after Su et al., 2021,
https://arxiv.org/abs/2103.15316.
Cost: two passes in blocks, of N·D² and N·D·n multiplications in float64; memory N × n float32 and two D × D float64 matrices.
Shape letters: N pool rows, M rows that count, D embedding width, n kept directions, B rows of a block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import SelectionError
from .candidates import check_chosen_rows
from .distances import BLOCK_NUMBERS, blocks
from .needed import check_rows, embeddings_of, is_whole
from .reader import RowReader
from .signals import Embeddings, Selection, Signal, Signals, Strategy


def whiten(embeddings: Embeddings, n: int, rows: np.ndarray | None = None) -> np.ndarray:
    """Whiten rows to `n` columns.

    Args:
        embeddings: (N, D).
        n: how many directions are kept, those of the largest variance.
        rows: (M,) the rows that count, in mean, covariance and result; None: all.

    Returns:
        float32 (N, n) of rows of unit length; rows that do not count, and one that is the mean itself, are zero.

    Raises:
        NonFiniteError: a row that counts holds NaN or infinite values.
        SelectionError: the rows vary in fewer than `n` directions.
    """
    reader = RowReader(embeddings)
    rows = np.arange(len(embeddings)) if rows is None else rows
    check_rows(reader, rows)
    mean_D, matrix_Dn = _transform(reader, rows, n)
    whitened_Nn = np.zeros((len(embeddings), n), dtype=np.float32)
    for block in _row_blocks(reader, rows):
        whitened_Bn = (reader.float64(rows[block]) - mean_D) @ matrix_Dn
        length_B1 = np.linalg.norm(whitened_Bn, axis=1, keepdims=True)
        whitened_Nn[rows[block]] = whitened_Bn / np.where(length_B1 == 0, 1, length_B1)
    return whitened_Nn


@dataclass(frozen=True, slots=True)
class Whitened:
    """A strategy that sees whitened embeddings: the option `whiten: n` of every strategy that needs embeddings."""

    strategy: Strategy
    n: int

    def __post_init__(self) -> None:
        if not is_whole(self.n):
            raise SelectionError(f"whiten must be a whole number of directions of at least 1; found {self.n!r}.")
        if Signal.EMBEDDING not in self.strategy.needs:
            raise SelectionError("whiten is for strategies that need embeddings; this one needs none. Leave whiten out.")

    @property
    def needs(self) -> frozenset[str]:
        """What the strategy needs."""
        return self.strategy.needs

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick with the strategy; the chosen rows and those that may be picked are whitened together."""
        embeddings = embeddings_of(signals, "whiten")
        counts = np.ones(signals.n_rows, dtype=bool) if signals.selectable is None else signals.selectable.copy()
        counts[check_chosen_rows(chosen_rows, signals.n_rows)] = True
        whitened_Nn = whiten(embeddings, self.n, np.flatnonzero(counts))
        return self.strategy.select(replace(signals, embeddings=whitened_Nn), chosen_rows, n_new, rng)


def _transform(reader: RowReader, rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,), and U · diag(1/√s) (D, n) of the covariance."""
    mean_D = sum((reader.float64(rows[block]).sum(axis=0) for block in _row_blocks(reader, rows)), np.zeros(reader.width))
    mean_D = mean_D / max(1, len(rows))
    covariance_DD = np.zeros((reader.width, reader.width))
    for block in _row_blocks(reader, rows):
        centred_BD = reader.float64(rows[block]) - mean_D
        covariance_DD += centred_BD.T @ centred_BD / len(rows)
    variances, directions_DD = np.linalg.eigh(covariance_DD)  # ascending
    n_varying = int((variances > reader.width * np.finfo(np.float64).eps * max(variances[-1], np.square(mean_D).max())).sum())
    if n > n_varying:
        raise SelectionError(f"whiten is {n}, but the {len(rows)} rows vary in {n_varying} directions only. Lower whiten.")
    return mean_D, directions_DD[:, ::-1][:, :n] / np.sqrt(variances[::-1][:n])


def _row_blocks(reader: RowReader, rows: np.ndarray) -> list[slice]:
    return list(blocks(len(rows), BLOCK_NUMBERS // reader.width))
