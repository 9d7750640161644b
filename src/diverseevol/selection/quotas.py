"""Quotas around any strategy: the picks shared out over the groups of a column, such as source, language or category.

Cost: the strategy's own, once a group; O(N) beside it.
Shape letters: N pool rows, G groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..base.text import some_of
from ..errors import PoolExhaustedError, SelectionError
from .candidates import candidate_rows, check_chosen_rows
from .needed import check_setting, column_of, is_number
from .share_out import share_out
from .signals import Selection, Signals, Strategy

KINDS = ("equal", "proportional")
N_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Quota:
    """The option `quota: {by: COLUMN, shares: equal | proportional | {group: share}}`.

    equal: as many picks from each group; proportional: as many as the group has rows that may be picked; a mapping: as it says, in
    proportion to its sum, and nothing from a group that it does not name.
    """

    strategy: Strategy
    setting: Mapping[str, Any]

    def __post_init__(self) -> None:
        setting = check_setting("quota", self.setting, ("by", "shares"))
        if not isinstance(setting.get("by"), str):
            raise SelectionError(f"quota.by must be the name of a column; found {setting.get('by')!r}.")
        if isinstance(self._shares, Mapping):
            bad = {group: share for group, share in self._shares.items() if not is_number(share) or share < 0}
            if bad or not any(self._shares.values()):
                raise SelectionError(
                    f"quota.shares must be numbers of at least 0, not all of them 0; found {bad or self._shares}."
                )
        elif self._shares not in KINDS:
            raise SelectionError(f"quota.shares must be {', '.join(KINDS)} or a mapping of groups; found {self._shares!r}.")

    @property
    def _shares(self) -> Any:  # noqa: ANN401  checked above
        return self.setting.get("shares", "equal")

    @property
    def needs(self) -> frozenset[str]:
        """What the strategy needs, and the column."""
        return self.strategy.needs | {self.setting["by"]}

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        """Pick group by group, in the order of their names; a group's picks count as chosen for the groups after it.

        Quotas are whole numbers by the largest remainder; a group that runs out gives its rest to the others. The picks are merged so
        that each beginning of them keeps to the shares; `nearest_row` may therefore be a row that stands later.

        Returns:
            The strategy's picks and columns, and the column `group` (text; empty for rows without a value).

        Raises:
            PoolExhaustedError: the groups with a share have fewer than `n_new` selectable rows left.
            SelectionError: the column or a group of `shares` is not there, or another argument is unusable.
        """
        chosen = check_chosen_rows(chosen_rows, signals.n_rows)
        candidates = candidate_rows(signals, chosen, n_new)
        names, group_N = _groups(column_of(signals, self.setting["by"], "quota"))
        room_G = np.bincount(group_N[candidates], minlength=len(names))
        quota_G = self._quotas(names, room_G, n_new)
        parts: list[Selection] = []
        for group in np.flatnonzero(quota_G):
            selectable = np.zeros(signals.n_rows, dtype=bool)
            selectable[candidates[group_N[candidates] == group]] = True
            so_far = np.concatenate([chosen, *(part.rows for part in parts)])
            parts.append(self.strategy.select(replace(signals, selectable=selectable), so_far, int(quota_G[group]), rng))
        picks = _merged(parts)
        picks.columns["group"] = np.array(names)[group_N[picks.rows]]
        return picks

    def _quotas(self, names: list[str], room_G: np.ndarray, n_new: int) -> np.ndarray:
        """How many to pick from each group."""
        shares_G = room_G.astype(np.float64) if self._shares == "proportional" else np.ones(len(names))
        if isinstance(self._shares, Mapping):
            given = {str(name): float(share) for name, share in self._shares.items()}
            unknown = sorted(set(given) - set(names))
            if unknown:
                known = some_of(names, N_SHOWN)
                raise SelectionError(f"quota.shares names the group {unknown[0]!r}; {self.setting['by']!r} has: {known}.")
            shares_G = np.array([given.get(name, 0.0) for name in names])
        n_left = int(room_G[shares_G > 0].sum())
        if n_left < n_new:
            raise PoolExhaustedError(
                f"cannot select {n_new} new samples: the groups with a share have {n_left} left. Lower n_new, or give others a share."
            )
        return share_out(n_new, shares_G, room_G)


def _groups(column: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The groups' names, sorted, and each row's group by its number."""
    values = column if column.dtype.kind in "fiub" else np.array([_text(value) for value in column])
    distinct, group_N = np.unique(values, return_inverse=True)
    names, same = np.unique([_text(value) for value in distinct], return_inverse=True)
    return names.tolist(), same[group_N]


def _text(value: Any) -> str:  # noqa: ANN401  whatever a record holds
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _merged(parts: list[Selection]) -> Selection:
    """Deal out the parts' picks, so that each part is spread evenly over the whole."""
    place = np.concatenate([(np.arange(len(part.rows)) + 0.5) / len(part.rows) for part in parts])
    order = np.argsort(place, kind="stable")
    columns = {name: np.concatenate([part.columns[name] for part in parts])[order] for name in parts[0].columns}
    skipped = {name: np.unique(np.concatenate([part.skipped[name] for part in parts])) for name in parts[0].skipped}
    return Selection(np.concatenate([part.rows for part in parts])[order], columns, skipped)
