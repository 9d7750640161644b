"""What a stopping rule can look at beside the held-out loss: how far, and how diversely, the chosen rows cover what a round's model sees.

The covering radius is the distance at which K-Center's next pick would lie, so its engine is asked for that one pick: exact, on all ranks
together, for any strategy, and without the distances of all rows to all chosen ones. Where K-Center itself chooses, the next round's first
pick says the same, but only after the decision. The Vendi score reads the chosen rows alone.
Both are of each round's own embeddings: their scale may drift with the models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from . import dist
from .errors import SelectionError
from .selection import Signals, select
from .vendi import vendi_score


def radius(signals: Signals, chosen: NDArray[np.int64]) -> float:
    """Euclidean distance of the worst-covered row that may be chosen from its nearest chosen row; 0 where none may be."""
    selectable = np.ones(signals.n_rows, dtype=bool) if signals.selectable is None else signals.selectable.copy()
    selectable[chosen] = False
    if not selectable.any():
        return 0.0
    picks = select(_embeddings(signals), chosen, 1, selectable=selectable)
    return float(picks.columns["distance"][0])


def vendi(signals: Signals, chosen: NDArray[np.int64]) -> float:
    """Vendi score (order 1) of the chosen rows; computed on rank 0, so that every rank has the same."""
    return dist.on_main(lambda: vendi_score(_embeddings(signals)[np.sort(chosen)]))


def _embeddings(signals: Signals) -> NDArray[np.float32]:
    if not isinstance(signals.embeddings, np.ndarray):
        raise SelectionError("the covering radius and the Vendi score need embeddings and got none.")
    return signals.embeddings


GAUGES: dict[str, Callable[[Signals, NDArray[np.int64]], float]] = {"covering_radius": radius, "vendi": vendi}
"""By the name that `stop.measure` gives them."""
