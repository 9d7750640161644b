"""As many picks as a budget in tokens holds: any strategy's, in its order, up to the first that would exceed the budget.

How many picks that is shows only from the picks, so the strategy is asked for about as many as fit and, if the budget is not spent, for
more; a strategy whose picks depend on their number answers for the number that it was last asked for.
Cost: the strategy's own, once where the picks are about as long as the pool's rows, a few times where they are much shorter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import PoolExhaustedError, SelectionError
from .base import Selection


def select_within(select: Callable[[int], Selection], n_tokens: np.ndarray, n_left: int, budget: int) -> Selection:
    """Pick while the picks' tokens fit into `budget`.

    Args:
        select: the strategy's answer for a number of picks.
        n_tokens: (N,) tokens of each row, positive.
        n_left: how many rows may be picked at most.
        budget: in tokens.

    Raises:
        SelectionError: a row has no positive number of tokens, or not even the first pick fits.
        PoolExhaustedError: not a single row may be picked.
    """
    bad = np.flatnonzero(~(np.isfinite(n_tokens) & (n_tokens > 0)))
    if bad.size:
        raise SelectionError(
            f"{bad.size} rows have no number of tokens above 0, first row {bad[0]} ({n_tokens[bad[0]]}). Mend the column."
        )
    n_asked, step = 0, min(n_left, int(budget / n_tokens.mean()) + 1)
    picks: Selection | None = None
    while step:
        try:
            picks = select(n_asked + step)
        except PoolExhaustedError:  # guards may leave fewer rows than are unchosen
            if n_asked + step == 1:
                raise
            step //= 2
            continue
        n_asked += step
        spent = np.cumsum(n_tokens[picks.rows])
        n_fit = int(np.searchsorted(spent, budget, side="right"))
        if n_fit < n_asked:
            return _first(picks, n_fit, budget, float(spent[0]))
        step = min(n_left - n_asked, int((budget - spent[-1]) / n_tokens.mean()) + 1)
    if picks is None:
        raise PoolExhaustedError("cannot select any row: none is left.")
    return picks


def _first(picks: Selection, n: int, budget: int, first: float) -> Selection:
    if n == 0:
        raise SelectionError(f"the budget is {budget:,} tokens, but the first pick has {first:,.0f}. Raise it.")
    return Selection(picks.rows[:n], {name: column[:n] for name, column in picks.columns.items()}, picks.skipped)
