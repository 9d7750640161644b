"""Random: a uniform draw from the unchosen rows, the baseline every other strategy has to beat.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), the random baseline.
Cost: O(N) time and memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import Selection, Signals


@dataclass(frozen=True, slots=True)
class RandomDraw:
    """Adds rows drawn uniformly, without replacement, in random order."""

    needs: ClassVar[frozenset[str]] = frozenset()

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """Draw `n_new` rows with `rng`; the order of the picks is random too.

        Raises:
            PoolExhaustedError: fewer than `n_new` selectable rows are left.
            SelectionError: `chosen_rows` or `n_new` is unusable.
        """
        return Selection(rng.choice(signals.free(chosen_rows, n_new), size=n_new, replace=False))
