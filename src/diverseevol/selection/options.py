"""Options of every strategy, each a strategy around another: guards, whitened vectors, quotas by group.

Guards only narrow what may be picked, and report what they kept out. The isolation of a row is a simple form
of the distance to the k-th nearest neighbour (Ramaswamy et al., 2000, https://doi.org/10.1145/342009.335437),
with a sample in the neighbours' place, so that the cost is linear in N. Whitening is an option of
DiverseEvol's published code (Wu et al., 2023, https://arxiv.org/abs/2311.08182), after Su et al., 2021,
https://arxiv.org/abs/2103.15316.
Cost: guards and quotas O(N); isolation one product of (M, D, L) in float64; whitening two passes of N·D² and
N·D·n multiplications in float64, and N × n float32 of memory; a quota asks its strategy once a group.
Shape letters: N pool rows, M rows that count, L landmarks, D embedding width, n kept directions, G groups, B
rows of a block.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, FiniteFloat, PositiveInt, SkipValidation
from pydantic.dataclasses import dataclass
from sklearn.neighbors import NearestNeighbors

from ..base import dist
from ..base.share_out import share_out
from ..base.text import some_of
from ..errors import PoolExhaustedError, SelectionError
from .base import STRICT, Embeddings, Selection, Signal, Signals, Strategy
from .rows import BLOCK_NUMBERS, RowReader, blocks

ISOLATION = "isolation"
N_LANDMARKS = 1024
N_NEAREST = 4  # a group counts as company from about N_NEAREST · N / N_LANDMARKS rows on
SEED = 0  # the landmarks are the same in every round and do not take from the strategy's random numbers


@dataclass(frozen=True, config=STRICT)
class Minimum:
    """The option `minimum: {column: value, …}`: rows below a value, or without one, are not picked."""

    strategy: SkipValidation[Strategy]
    least: Annotated[dict[str, FiniteFloat], Field(min_length=1)]

    @property
    def needs(self) -> frozenset[str]:
        """What the strategy needs, and the columns."""
        return self.strategy.needs | frozenset(self.least)

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick among the rows that reach every minimum; the others are in `skipped["minimum"]`.

        Raises:
            PoolExhaustedError: too few do.
            SelectionError: a column is not there or does not hold numbers, or another argument is unusable.
        """
        free = signals.free(chosen_rows, n_new)
        reaches = np.ones(len(free), dtype=bool)
        for name, least in self.least.items():
            reaches &= signals.numbers(name, "minimum")[free] >= least  # False for NaN
        return _select_without(free, ~reaches, "minimum", self.strategy, signals, chosen_rows, n_new, rng)


@dataclass(frozen=True, config=STRICT)
class Outliers:
    """The option `outliers`: the share of rows that is highest by a measure is not picked.

    `{share: 0.02, by: isolation}`. The measure is isolation, or any signal or numeric column; a row without a
    value counts as the highest.
    """

    strategy: SkipValidation[Strategy]
    share: Annotated[float, Field(ge=0, lt=1)]
    by: str = ISOLATION

    @property
    def needs(self) -> frozenset[str]:
        """What the strategy needs, and the measure."""
        return self.strategy.needs | {Signal.EMBEDDING if self.by == ISOLATION else self.by}

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick among the others; those kept out, rounded down to whole rows, are in `skipped["outliers"]`.

        Of equal measures the lowest row is kept out first.

        Raises:
            PoolExhaustedError: too few rows are left.
            NonFiniteError: the measure is isolation, and a row that is chosen or may be picked holds NaN or
                infinite values.
            SelectionError: the column is not there or does not hold numbers, or another argument is unusable.
        """
        free = signals.free(chosen_rows, n_new)
        n_out = int(self.share * len(free) + 1e-9)  # 0.29 × 100 is a little below 29
        if self.by == ISOLATION:
            reader = RowReader.of(signals, "outliers")
            counted = np.union1d(free, signals.chosen(chosen_rows))
            measure_M = dist.on_main(lambda: isolation_of(reader, free, counted))
        else:
            measure_M = np.nan_to_num(signals.numbers(self.by, "outliers")[free], nan=np.inf, posinf=np.inf)
        is_out = np.zeros(len(free), dtype=bool)
        is_out[np.argsort(-measure_M, kind="stable")[:n_out]] = True
        return _select_without(free, is_out, "outliers", self.strategy, signals, chosen_rows, n_new, rng)


def _select_without(
    free: np.ndarray,
    is_out: np.ndarray,
    guard: str,
    strategy: Strategy,
    signals: Signals,
    *rest: Any,  # noqa: ANN401
) -> Selection:
    """Pick with the strategy among those of the `free` rows that are not `is_out`."""
    n_new, n_left = rest[1], int((~is_out).sum())
    if n_left < n_new:
        raise PoolExhaustedError(
            f"cannot select {n_new} new samples: {guard} keeps out {is_out.sum()} and leaves {n_left} of "
            f"{signals.n_rows}. Lower n_new, or loosen {guard}."
        )
    picks = strategy.select(signals.only(free[~is_out]), *rest)
    return replace(picks, skipped={**picks.skipped, guard: free[is_out]})


def isolation_of(reader: RowReader, rows: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Measure how isolated rows are: the distance to the `N_NEAREST`-th nearest of a sample of `counted`.

    Returns:
        float32[M], Euclidean, to landmarks other than the row itself; float32, so that rounding of the
        product does not tell equal distances apart.

    Raises:
        NonFiniteError: a row holds NaN or infinite values.
    """
    reader.check(np.union1d(rows, counted))
    n_landmarks = min(N_LANDMARKS, len(counted))
    landmarks = np.sort(np.random.default_rng(SEED).choice(counted, n_landmarks, replace=False))
    shift_D = reader.mean_of(landmarks)
    n_nearest = max(1, min(N_NEAREST, n_landmarks - 1))
    model = NearestNeighbors(n_neighbors=min(n_nearest + 1, n_landmarks), algorithm="brute")
    model.fit(reader.float64(landmarks) - shift_D)
    measure_M = np.empty(len(rows), dtype=np.float32)
    for block in blocks(len(rows), BLOCK_NUMBERS // (reader.width + n_landmarks)):
        distances_BL, _ = model.kneighbors(reader.float64(rows[block]) - shift_D)
        is_landmark_B = np.isin(rows[block], landmarks)  # such a row is its own nearest
        last_B = np.pad(distances_BL, ((0, 0), (0, 1)), constant_values=np.inf)[:, n_nearest]
        measure_M[block] = np.where(is_landmark_B, last_B, distances_BL[:, n_nearest - 1])
    return measure_M


def whiten(embeddings: Embeddings, n: int, rows: np.ndarray | None = None) -> np.ndarray:
    """Whiten rows: minus the mean, times the covariance's directions U · diag(1/√s), to unit length.

    Args:
        embeddings: (N, D).
        n: how many directions are kept, those of the largest variance.
        rows: (M,) the rows that count, in mean, covariance and result; None: all.

    Returns:
        float32 (N, n) of rows of unit length; rows that do not count, and one that is the mean itself, are
        zero.

    Raises:
        NonFiniteError: a row that counts holds NaN or infinite values.
        SelectionError: the rows vary in fewer than `n` directions.
    """
    reader = RowReader(embeddings)
    rows = np.arange(len(embeddings)) if rows is None else rows
    reader.check(rows)
    parts = [rows[block] for block in blocks(len(rows), BLOCK_NUMBERS // reader.width)]
    mean_D = np.zeros(reader.width)
    for part in parts:
        mean_D += reader.float64(part).sum(axis=0)
    mean_D /= max(1, len(rows))
    covariance_DD = np.zeros((reader.width, reader.width))
    for part in parts:
        centred_BD = reader.float64(part) - mean_D
        covariance_DD += centred_BD.T @ centred_BD / len(rows)
    variances_D, directions_DD = np.linalg.eigh(covariance_DD)  # ascending
    least = reader.width * np.finfo(np.float64).eps * max(variances_D[-1], np.square(mean_D).max())
    n_varying = int((variances_D > least).sum())
    if n > n_varying:
        raise SelectionError(
            f"whiten is {n}, but the {len(rows)} rows vary in {n_varying} directions only. Lower whiten."
        )
    matrix_Dn = directions_DD[:, ::-1][:, :n] / np.sqrt(variances_D[::-1][:n])
    whitened_Nn = np.zeros((len(embeddings), n), dtype=np.float32)
    for part in parts:
        whitened_Bn = (reader.float64(part) - mean_D) @ matrix_Dn
        length_B1 = np.linalg.norm(whitened_Bn, axis=1, keepdims=True)
        whitened_Nn[part] = whitened_Bn / np.where(length_B1 == 0, 1, length_B1)
    return whitened_Nn


@dataclass(frozen=True, config=STRICT)
class Whitened:
    """The option `whiten: n` of every strategy that needs embeddings: it sees them in `n` directions."""

    strategy: SkipValidation[Strategy]
    n: PositiveInt

    def __post_init__(self) -> None:
        if Signal.EMBEDDING not in self.strategy.needs:
            raise SelectionError(
                "whiten is for strategies that need embeddings; this one needs none. Leave whiten out."
            )

    @property
    def needs(self) -> frozenset[str]:
        """What the strategy needs."""
        return self.strategy.needs

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick with the strategy; the chosen rows and those that may be picked are whitened together."""
        embeddings = RowReader.of(signals, "whiten").embeddings
        may = np.arange(signals.n_rows) if signals.selectable is None else np.flatnonzero(signals.selectable)
        whitened_Nn = whiten(embeddings, self.n, np.union1d(may, signals.chosen(chosen_rows)))
        return self.strategy.select(replace(signals, embeddings=whitened_Nn), chosen_rows, n_new, rng)


@dataclass(frozen=True, config=STRICT)
class Quota:
    """The option `quota: {by: COLUMN, shares: equal | proportional | {group: share}}`.

    equal: as many picks from each group; proportional: as many as the group has rows that may be picked; a
    mapping: as it says, in proportion to its sum, and nothing from a group that it does not name.
    """

    strategy: SkipValidation[Strategy]
    by: str
    shares: Literal["equal", "proportional"] | dict[Any, Annotated[FiniteFloat, Field(ge=0)]] = "equal"

    @property
    def needs(self) -> frozenset[str]:
        """What the strategy needs, and the column."""
        return self.strategy.needs | {self.by}

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Pick group by group, in the order of their names; a group's picks count as chosen for the next.

        Quotas are whole numbers by the largest remainder; a group that runs out gives its rest to the others.
        The picks are merged so that each beginning of them keeps to the shares; `nearest_row` may therefore
        be a row that stands later.

        Returns:
            The strategy's picks and columns, and the column `group` (text; empty for rows without a value).

        Raises:
            PoolExhaustedError: the groups with a share have fewer than `n_new` selectable rows left.
            SelectionError: the column or a group of `shares` is not there, or another argument is unusable.
        """
        so_far, free = signals.chosen(chosen_rows), signals.free(chosen_rows, n_new)
        names_N = np.array([_text(value) for value in signals.column(self.by, "quota").tolist()])
        names, group_N = np.unique(names_N, return_inverse=True)
        room_G = np.bincount(group_N[free], minlength=len(names))
        parts: list[Selection] = []
        for group, n in enumerate(self._quotas(names.tolist(), room_G, n_new).tolist()):
            if n:
                part = self.strategy.select(signals.only(free[group_N[free] == group]), so_far, n, rng)
                so_far = np.concatenate([so_far, part.rows])
                parts.append(part)
        # Dealt out so that each part is spread evenly over the whole.
        place = np.concatenate([(np.arange(len(part.rows)) + 0.5) / len(part.rows) for part in parts])
        order = np.argsort(place, kind="stable")
        rows = np.concatenate([part.rows for part in parts])[order]
        columns = {
            name: np.concatenate([part.columns[name] for part in parts])[order] for name in parts[0].columns
        }
        skipped = {
            name: np.unique(np.concatenate([part.skipped[name] for part in parts]))
            for name in parts[0].skipped
        }
        return Selection(rows, {**columns, "group": names_N[rows]}, skipped)

    def _quotas(self, names: list[str], room_G: np.ndarray, n_new: int) -> np.ndarray:
        """How many to pick from each group."""
        shares_G = room_G.astype(np.float64) if self.shares == "proportional" else np.ones(len(names))
        if isinstance(self.shares, dict):
            given = {str(name): share for name, share in self.shares.items()}
            unknown = sorted(set(given) - set(names))
            if unknown:
                known = some_of(names, 20)
                raise SelectionError(
                    f"quota.shares names the group {unknown[0]!r}; {self.by!r} has: {known}."
                )
            shares_G = np.array([given.get(name, 0.0) for name in names])
        n_left = int(room_G[shares_G > 0].sum())
        if n_left < n_new:
            raise PoolExhaustedError(
                f"cannot select {n_new} new samples: the groups with a share have {n_left} left. "
                "Lower n_new, or give others a share."
            )
        return share_out(n_new, shares_G, room_G)


def _text(value: object) -> str:
    if value is None or value != value:  # NaN is the value that is not itself
        return ""
    return f"{value:.15g}" if isinstance(value, float) else str(value)
