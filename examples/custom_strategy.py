"""A strategy of one's own: the most typical rows, those nearest to the mean of what is not chosen yet.

    python examples/custom_strategy.py embeddings.npy 100

In a package of your own, these lines of its pyproject.toml make it known by name, to `diverseevol run` and `select --strategy typical`:

    [project.entry-points."diverseevol.strategies"]
    typical = "your_package:Typical"
"""

import sys
from dataclasses import dataclass

import numpy as np

from diverseevol import Selection, Signal, Signals, select


@dataclass(frozen=True)
class Typical:
    power: float = 2.0  # its fields are its options: typical takes power=1

    needs = frozenset({Signal.EMBEDDING})

    def select(self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator) -> Selection:
        may_be_picked = np.ones(signals.n_rows, bool) if signals.selectable is None else signals.selectable.copy()
        may_be_picked[chosen_rows] = False
        rows = np.flatnonzero(may_be_picked)
        points = np.asarray(signals.embeddings[rows], dtype=np.float64)
        distance = (np.abs(points - points.mean(axis=0)) ** self.power).sum(axis=1)
        nearest = np.argsort(distance, kind="stable")[:n_new]
        return Selection(rows[nearest], columns={"distance": distance[nearest]})


picks = select(np.load(sys.argv[1], mmap_mode="r"), [], int(sys.argv[2]), strategy=Typical())
print(*picks.rows)
