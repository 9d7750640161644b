"""Guards around any strategy: rows that it must not pick, whatever it thinks of them.

`minimum` keeps out rows that fall short in a column, `outliers` a share of rows that lie alone or of which a signal is high. Both only
narrow what may be picked, and report what they kept out. `minimum` comes first: the share of `outliers` is of the rows that it leaves.
Cost: O(N), and that of isolation.py.
Shape letters: N pool rows, M rows that may be picked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import PoolExhaustedError, SelectionError
from .candidates import candidate_rows, check_chosen_rows
from .isolation import isolation_of
from .needed import check_setting, embeddings_of, is_number, numbers_of
from .reader import RowReader
from .signals import Selection, Signal, Signals, Strategy

ISOLATION = "isolation"


@dataclass(frozen=True, slots=True)
class Minimum:
    """The option `minimum: {column: value, …}`: rows below a value are not picked; a row without one is below."""

    strategy: Strategy
    setting: Mapping[str, float]

    def __post_init__(self) -> None:
        if not isinstance(self.setting, Mapping) or not self.setting:
            raise SelectionError(f"minimum must be a mapping of columns to numbers; found {self.setting!r}.")
        for name, least in self.setting.items():
            if not isinstance(name, str) or not is_number(least):
                raise SelectionError(f"minimum must give each column a number; found {name!r}: {least!r}.")

    @property
    def needs(self) -> frozenset[str]:
        """What the strategy needs, and the columns."""
        return self.strategy.needs | frozenset(self.setting)

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick with the strategy among the rows that reach every minimum; the others are in `skipped["minimum"]`.

        Raises:
            PoolExhaustedError: too few do.
            SelectionError: a column is not there or does not hold numbers, or another argument is unusable.
        """
        candidates = candidate_rows(signals, check_chosen_rows(chosen_rows, signals.n_rows), n_new)
        reaches = np.ones(len(candidates), dtype=bool)
        for name, least in self.setting.items():
            reaches &= numbers_of(signals, name, "minimum")[candidates] >= least  # False for NaN
        return _select_without(candidates[~reaches], "minimum", self.strategy, signals, chosen_rows, n_new, rng)


@dataclass(frozen=True, slots=True)
class Outliers:
    """The option `outliers: {share: 0.02, by: isolation}`: the share of rows that is highest by a measure is not picked.

    The measure is isolation (isolation.py), or any signal or numeric column; a row without a value counts as the highest.
    """

    strategy: Strategy
    setting: Mapping[str, Any]

    def __post_init__(self) -> None:
        setting = check_setting("outliers", self.setting, ("share", "by"))
        if not is_number(setting.get("share")) or not 0 <= setting["share"] < 1:
            raise SelectionError(f"outliers.share must be a number from 0 to below 1; found {setting.get('share')!r}.")
        if not isinstance(self._by, str):
            raise SelectionError(f"outliers.by must be {ISOLATION} or the name of a signal or column; found {self._by!r}.")

    @property
    def _by(self) -> str:
        return self.setting.get("by", ISOLATION)  # type: ignore[no-any-return]

    @property
    def needs(self) -> frozenset[str]:
        """What the strategy needs, and the measure."""
        return self.strategy.needs | {Signal.EMBEDDING if self._by == ISOLATION else self._by}

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick with the strategy among the others; those kept out, rounded down to whole rows, are in `skipped["outliers"]`.

        Of equal measures the lowest row is kept out first.

        Raises:
            PoolExhaustedError: too few rows are left.
            NonFiniteError: the measure is isolation, and a row that is chosen or may be picked holds NaN or infinite values.
            SelectionError: the column is not there or does not hold numbers, or another argument is unusable.
        """
        chosen = check_chosen_rows(chosen_rows, signals.n_rows)
        candidates = candidate_rows(signals, chosen, n_new)
        n_out = int(self.setting["share"] * len(candidates) + 1e-9)  # 0.29 × 100 is a little below 29
        if self._by == ISOLATION:
            reader = RowReader(embeddings_of(signals, "outliers"))
            measure_M = isolation_of(reader, candidates, np.union1d(candidates, chosen))
        else:
            measure_M = np.nan_to_num(numbers_of(signals, self._by, "outliers")[candidates], nan=np.inf, posinf=np.inf)
        kept_out = np.sort(candidates[np.argsort(-measure_M, kind="stable")[:n_out]])
        return _select_without(kept_out, "outliers", self.strategy, signals, chosen_rows, n_new, rng)


def _select_without(
    kept_out: np.ndarray,
    guard: str,
    strategy: Strategy,
    signals: Signals,
    chosen_rows: np.ndarray,
    n_new: int,
    rng: np.random.Generator,
) -> Selection:
    selectable = np.ones(signals.n_rows, dtype=bool) if signals.selectable is None else signals.selectable.copy()
    selectable[kept_out] = False
    n_left = int(selectable.sum() - selectable[check_chosen_rows(chosen_rows, signals.n_rows)].sum())
    if n_left < n_new:
        raise PoolExhaustedError(
            f"cannot select {n_new} new samples: {guard} keeps out {len(kept_out)} and leaves {n_left} of {signals.n_rows}. "
            f"Lower n_new, or loosen {guard}."
        )
    picks = strategy.select(replace(signals, selectable=selectable), chosen_rows, n_new, rng)
    return replace(picks, skipped={**picks.skipped, guard: kept_out})
