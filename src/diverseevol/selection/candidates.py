"""The question every strategy starts with: which rows may still be picked, and are there enough of them?"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import PoolExhaustedError, SelectionError
from .signals import Signals


def check_chosen_rows(chosen_rows: object, n_rows: int) -> np.ndarray:
    """Return the rows chosen so far as a sorted int64 array.

    Args:
        chosen_rows: row numbers in any order, as a list, a numpy array or a torch tensor.
        n_rows: the pool's size.

    Raises:
        SelectionError: not a list of integers, a row outside the pool, or a row named twice.
    """
    rows = _as_array(chosen_rows)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise SelectionError(f"chosen_rows must be a list of row numbers; found {rows.dtype} of the shape {rows.shape}.")
    outside = rows[(rows < 0) | (rows >= n_rows)]
    if outside.size:
        raise SelectionError(f"chosen_rows must lie in 0..{n_rows - 1}; found {_first(outside)}. Are they another pool's rows?")
    rows = np.sort(rows.astype(np.int64))
    repeated = rows[1:][rows[1:] == rows[:-1]]
    if repeated.size:
        raise SelectionError(f"chosen_rows must name each row once; found {_first(np.unique(repeated))} more than once.")
    return rows


def candidate_rows(signals: Signals, chosen_rows: np.ndarray, n_new: int) -> np.ndarray:
    """Return the rows that may be picked, ascending int64: selectable and not chosen.

    Args:
        signals: the pool's size and which of its rows may be picked.
        chosen_rows: rows chosen so far, already checked.
        n_new: how many are asked for.

    Raises:
        SelectionError: `n_new` is not a positive integer.
        PoolExhaustedError: fewer than `n_new` rows are left.
    """
    if isinstance(n_new, bool) or not isinstance(n_new, int | np.integer) or n_new < 1:
        raise SelectionError(f"n_new must be a whole number of at least 1; found {n_new!r}.")
    is_free = np.ones(signals.n_rows, dtype=bool) if signals.selectable is None else signals.selectable.copy()
    is_free[chosen_rows] = False
    free = np.flatnonzero(is_free)
    if len(free) < n_new:
        left = f"{len(free)} of {signals.n_rows} are still unchosen" + ("" if signals.selectable is None else " and selectable")
        raise PoolExhaustedError(f"cannot select {n_new} new samples: {left}. Lower n_new or rounds.")
    return free


def _as_array(rows: Any) -> np.ndarray:  # noqa: ANN401  whatever a caller has at hand
    if isinstance(rows, np.ndarray | list | tuple | range):
        return np.asarray(rows)
    import torch

    if isinstance(rows, torch.Tensor):
        return rows.detach().cpu().numpy()
    raise SelectionError(f"chosen_rows must be a list of row numbers; found {type(rows).__name__}.")


def _first(values: np.ndarray, n_shown: int = 5) -> str:
    more = f" and {len(values) - n_shown} more" if len(values) > n_shown else ""
    return ", ".join(map(str, values[:n_shown].tolist())) + more
