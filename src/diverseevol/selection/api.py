"""Selection in one call, for people who have embeddings and want rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import SelectionError
from .base import Embeddings, Selection, Signals, Strategy
from .registry import make_strategy


def select(
    embeddings: Embeddings,
    chosen_rows: object,
    n_new: int,
    strategy: str | Strategy = "k_center",
    seed: int = 0,
    *,
    selectable: np.ndarray | None = None,
    columns: Mapping[str, np.ndarray] | None = None,
    **options: object,
) -> Selection:
    """Pick `n_new` new rows of `embeddings`, given the rows chosen so far.

    Args:
        embeddings: (N, D), a numpy array, a memory-mapped one or a torch tensor (CPU or GPU).
        chosen_rows: the rows chosen so far, in any order; may be empty.
        n_new: how many to pick.
        strategy: a name (see `known_strategies`) or a strategy object.
        seed: for strategies that draw; K-Center does not.
        selectable: (N,) bool; rows that are False are never picked.
        columns: further signals and columns by name, one value a row, for strategies that read them (quality, loss, …).
        options: the named strategy's own options.

    Returns:
        The picks: `rows` (int64, in pick order) and `columns` (one value a pick; K-Center: distance, nearest_row).

    Raises:
        PoolExhaustedError: fewer than `n_new` selectable rows are left.
        NonFiniteError: a row that matters holds NaN or infinite values.
        SelectionError: nobody registered the strategy.
        SelectionError: another argument is unusable; the message names it.
    """
    if not isinstance(strategy, str) and options:
        raise SelectionError(
            f"options go with a strategy's name; found {', '.join(options)} beside an object. Set them on the object."
        )
    chooser = make_strategy(strategy, **options) if isinstance(strategy, str) else strategy
    n_rows = embeddings.shape[0] if embeddings.ndim else 0
    signals = Signals(n_rows=n_rows, embeddings=embeddings, columns=columns or {}, selectable=selectable)
    return chooser.select(signals, signals.chosen(chosen_rows), n_new, np.random.default_rng(seed))
