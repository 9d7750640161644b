"""Selection in one call, for people who have embeddings and want rows: so many, or a budget in tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import PoolExhaustedError, SelectionError
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
        columns: further signals and columns by name, one value a row, for strategies that read them (quality,
            loss, …).
        options: the named strategy's own options.

    Returns:
        The picks: `rows` (int64, in pick order) and `columns` (one value a pick; K-Center: distance,
        nearest_row).

    Raises:
        PoolExhaustedError: fewer than `n_new` selectable rows are left.
        NonFiniteError: a row that matters holds NaN or infinite values.
        SelectionError: nobody registered the strategy, or another argument is unusable; the message names it.
    """
    if not isinstance(strategy, str) and options:
        raise SelectionError(
            f"options go with a strategy's name; found {', '.join(options)} beside an object. Set them on "
            "the object."
        )
    chooser = make_strategy(strategy, **options) if isinstance(strategy, str) else strategy
    n_rows = embeddings.shape[0] if embeddings.ndim else 0
    signals = Signals(n_rows=n_rows, embeddings=embeddings, columns=columns or {}, selectable=selectable)
    return chooser.select(signals, signals.chosen(chosen_rows), n_new, np.random.default_rng(seed))


def select_within(
    select: Callable[[int], Selection], n_tokens: np.ndarray, n_left: int, budget: int
) -> Selection:
    """Pick in the strategy's order, up to the first pick that would exceed `budget` in tokens.

    How many picks that is shows only from the picks, so the strategy is asked for about as many as fit and,
    if the budget is not spent, for more; one whose picks depend on their number answers for the number it was
    last asked for.

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
        found = f"first row {bad[0]} ({n_tokens[bad[0]]})"
        raise SelectionError(f"{bad.size} rows have no number of tokens above 0, {found}. Mend the column.")
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
            if n_fit == 0:
                raise SelectionError(
                    f"the budget is {budget:,} tokens, but the first pick has {spent[0]:,.0f}. Raise it."
                )
            columns = {name: column[:n_fit] for name, column in picks.columns.items()}
            return Selection(picks.rows[:n_fit], columns, picks.skipped)
        step = min(n_left - n_asked, int((budget - spent[-1]) / n_tokens.mean()) + 1)
    if picks is None:
        raise PoolExhaustedError("cannot select any row: none is left.")
    return picks
