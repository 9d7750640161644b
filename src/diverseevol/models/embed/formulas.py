"""From the statistics of positions to the signals of rows.

The `paper_*` signals are DiverseEvol's (Wu et al., 2023, https://arxiv.org/abs/2311.08182): raw logits, averaged over all positions
of a row, whose last predicts nothing. The others look at the positions that predict the trained tokens: the token at place i is
predicted at place i − 1, so a trained token at a row's very beginning is not counted.
Cost: a few numbers a position; sums over a row in float64, in the order of its positions.
Shape letters: B rows of a batch, T tokens, P positions, S signals, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...selection import Signal
from .head import Head
from .shards import NO_TARGET, Batch
from .statistics import Statistics, position_statistics


@dataclass(frozen=True, slots=True)
class _Formula:
    parts: frozenset[str]
    """The statistics that `value` reads besides the largest logit."""
    value: Callable[[Statistics], Tensor]
    """A position's value."""


def _entropy(s: Statistics) -> Tensor:
    return s.total.log() - s.weighted / s.total


_PAPER = {
    Signal.PAPER_CONFIDENCE: _Formula(frozenset(), lambda s: s.largest),
    Signal.PAPER_MARGIN: _Formula(frozenset({"second"}), lambda s: s.largest - s.second),
    Signal.PAPER_ENTROPY: _Formula(frozenset({"total", "weighted"}), _entropy),
}
_TRAINED = {
    Signal.CONFIDENCE: _Formula(frozenset({"total"}), lambda s: 1 / s.total),
    Signal.MARGIN: _Formula(
        frozenset({"total", "second"}), lambda s: -torch.expm1(s.second - s.largest) / s.total
    ),
    Signal.ENTROPY: _Formula(frozenset({"total", "weighted"}), _entropy),
    Signal.LOSS: _Formula(frozenset({"total", "target"}), lambda s: s.total.log() + (s.largest - s.target)),
}
_FORMULAS = _PAPER | _TRAINED


def columns_of(signals: Iterable[str]) -> list[Signal]:
    """Those signals that are one number a row, in their fixed order."""
    return [signal for signal in Signal if signal in set(signals) and signal is not Signal.EMBEDDING]


def need_targets(signals: Iterable[str]) -> bool:
    """Whether some signal looks at the trained tokens alone."""
    return bool(_TRAINED.keys() & set(signals))


def row_signals(head: Head, hidden_BTD: Tensor, batch: Batch, signals: frozenset[Signal]) -> np.ndarray:
    """The signals of a batch's rows, float64[B, S], S as `columns_of` orders them."""
    columns = columns_of(signals)
    targets_BT = (
        batch.targets_BT if batch.targets_BT is not None else torch.full_like(batch.ids_BT, NO_TARGET)
    )
    is_token_BT = torch.arange(batch.ids_BT.shape[1]) < batch.lengths_B[:, None]
    is_read_BT = is_token_BT if _PAPER.keys() & signals else targets_BT != NO_TARGET
    positions_P = is_read_BT.flatten().nonzero()[:, 0]
    targets_P = targets_BT.flatten()[positions_P]
    parts = frozenset().union(*(_FORMULAS[signal].parts for signal in columns))
    found = position_statistics(
        head, hidden_BTD.flatten(0, 1), positions_P.to(hidden_BTD.device), targets_P, parts
    )
    rows_P, is_trained_P = (positions_P // batch.ids_BT.shape[1]).numpy(), (targets_P != NO_TARGET).numpy()
    values = [_FORMULAS[signal].value(found).double().cpu().numpy() for signal in columns]
    return np.stack(
        [
            _row_means(
                value_P,
                rows_P,
                is_trained_P if signal in _TRAINED else np.ones_like(is_trained_P),
                len(batch.rows),
            )
            for signal, value_P in zip(columns, values, strict=True)
        ],
        axis=1,
    )


def _row_means(values_P: np.ndarray, rows_P: np.ndarray, is_counted_P: np.ndarray, n_rows: int) -> np.ndarray:
    rows_P = rows_P[is_counted_P]
    means: np.ndarray = np.bincount(rows_P, values_P[is_counted_P], n_rows) / np.bincount(
        rows_P, minlength=n_rows
    )
    return means
