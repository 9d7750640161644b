"""What a stopping rule can look at beside the held-out loss: how well the chosen rows cover the pool.

The covering radius is the distance at which K-Center's next pick would lie, so its engine is asked for that
one pick: exact, on all ranks together, for any strategy. The Vendi score reads the chosen rows alone. Both
are of each round's own embeddings: their scale may drift with the models. The rule itself is in
run/stopping.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..base import dist
from ..errors import PoolExhaustedError
from ..selection import Signals, make_strategy
from ..selection.vendi import vendi_score


def covering_radius(signals: Signals, chosen: NDArray[np.int64]) -> float:
    """Distance of the worst-covered row that may be chosen from its nearest chosen row; 0 where none may."""
    try:
        picks = make_strategy("k_center").select(signals, chosen, 1, np.random.default_rng(0))
    except PoolExhaustedError:
        return 0.0
    return float(picks.columns["distance"][0])


def vendi(signals: Signals, chosen: NDArray[np.int64]) -> float:
    """Vendi score (order 1) of the chosen rows; computed on rank 0, so that every rank has the same."""
    vectors_ND = signals.embeddings
    assert vectors_ND is not None, "these are measures of embeddings"
    return dist.on_main(lambda: vendi_score(np.asarray(vectors_ND[np.sort(chosen)])))


MEASURES: dict[str, Callable[[Signals, NDArray[np.int64]], float]]
MEASURES = {"covering_radius": covering_radius, "vendi": vendi}
"""By the name that `stop.measure` gives them."""
