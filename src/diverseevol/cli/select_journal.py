"""The picks of a `select` under way, a line each as they are found.

A call that was killed goes on behind them.

K-Center alone, without guards or quotas: its picks so far, taken as chosen, lead to the same next picks. The
file's first line says which selection it is; how many picks are asked for is not part of that.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import dist
from ..base.files import remove, write_text
from ..selection.k_center import KCenter, Pick, selection_of

if TYPE_CHECKING:
    from ..selection import Selection, Signals, Strategy

N_HASHED = 256  # rows, evenly spread, by whose values the vectors are known again


@dataclass
class Journal:
    """K-Center with the picks found so far, those of killed calls included; made by `open_journal`."""

    strategy: KCenter
    file: Path
    header: dict[str, Any]
    picks: list[Pick]

    @property
    def needs(self) -> frozenset[str]:
        """The strategy's."""
        return self.strategy.needs

    def select(
        self, signals: Signals, chosen_rows: np.ndarray, n_new: int, rng: np.random.Generator
    ) -> Selection:
        """The strategy's first `n_new` picks; those that are not here yet are found now, and kept.

        Raises:
            DiverseEvolError: as the strategy.
        """
        so_far = np.concatenate([chosen_rows, np.array([row for _, row, _ in self.picks], dtype=np.int64)])
        n_left = n_new - len(self.picks)
        try:
            dist.on_main(
                lambda: write_text(
                    self.file, "".join(json.dumps(line) + "\n" for line in [self.header, *self.picks])
                )
            )
            with (
                self.file.open("a", encoding="utf-8", buffering=1)
                if dist.is_main()
                else nullcontext() as lines
            ):
                for pick in self.strategy.traverse(signals, so_far, n_left) if n_left > 0 else ():
                    self.picks.append(pick)
                    if lines:
                        lines.write(json.dumps(pick) + "\n")
        finally:
            if not self.picks and dist.is_main():
                self.forget()
        return selection_of(self.picks[:n_new])

    def forget(self) -> None:
        """Delete the file: the selection is written."""
        remove(self.file)


def open_journal(out: Path, signals: Signals, chosen_rows: np.ndarray, strategy: Strategy) -> Journal | None:
    """Find what a killed call with the same vectors, chosen rows and metric left beside `out`.

    None for other strategies.
    """
    if not isinstance(strategy, KCenter) or signals.embeddings is None:
        return None
    some = np.unique(np.linspace(0, signals.n_rows - 1, N_HASHED).astype(np.int64))
    header = {
        "shape": list(signals.embeddings.shape),
        "vectors": _hash(np.asarray(signals.embeddings[some])),
        "chosen": _hash(np.sort(chosen_rows)),
        "metric": strategy.metric,
    }
    file = out.with_name(out.name + ".unfinished")
    return Journal(strategy, file, header, dist.on_main(lambda: _read(file, header)))


def _read(file: Path, header: dict[str, Any]) -> list[Pick]:
    if not file.exists():
        return []
    first, *lines = file.read_text("utf-8").split("\n")[:-1] or [
        ""
    ]  # a line without its end was cut off by the kill
    if first != json.dumps(header):
        return []
    return [
        (float(distance), int(row), int(nearest_row)) for distance, row, nearest_row in map(json.loads, lines)
    ]


def _hash(values: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).tobytes(), digest_size=8).hexdigest()
