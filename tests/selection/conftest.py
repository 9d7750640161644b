"""The oracle and the made data that the selection tests share."""

import threading

import numpy as np
import pytest

from diverseevol.base import dist
from diverseevol.errors import DiverseEvolError


def farthest_first(embeddings, chosen_rows, n_new, selectable=None):
    """Greedy K-Center by the definition, word for word: float64, direct differences, ties to the lowest row."""
    points = np.asarray(embeddings, dtype=np.float64)
    centres = sorted(int(row) for row in chosen_rows)
    may_be_picked = np.ones(len(points), dtype=bool) if selectable is None else selectable.copy()
    may_be_picked[centres] = False
    picks = []
    if not centres:
        squared = np.square(points - points[may_be_picked].mean(axis=0)).sum(axis=1)
        row = int(np.flatnonzero(may_be_picked)[squared[may_be_picked].argmax()])
        picks.append((row, np.sqrt(squared[row]), -1))
        centres, may_be_picked[row] = [row], False
    while len(picks) < n_new:
        squared = np.stack([np.square(points - points[centre]).sum(axis=1) for centre in sorted(centres)])
        to_nearest = np.where(may_be_picked, squared.min(axis=0), -1)
        row = int(to_nearest.argmax())
        picks.append((row, np.sqrt(to_nearest[row]), sorted(centres)[squared[:, row].argmin()]))
        centres.append(row)
        may_be_picked[row] = False
    return picks


def triples(selection):
    columns = selection.columns
    return list(zip(selection.rows.tolist(), columns["distance"].tolist(), columns["nearest_row"].tolist(), strict=True))


def made(kind, n, width, rng):
    """Points of one kind in float32: the hard ones are those on which fast formulas fail."""
    points = rng.normal(size=(n, width)).astype(np.float32)
    half = n - n // 2
    if kind == "duplicates":
        points[n // 2 :] = points[rng.integers(0, n // 2 + 1, half)]
    elif kind == "near_duplicates":
        points[n // 2 :] = points[:half] * (1 + 1e-4 * rng.normal(size=(half, width)).astype(np.float32))
    elif kind == "huge_offset":
        points[:, 0] += 1e6
    elif kind == "huge_scale":
        points[:, 0] *= 1e6
    elif kind == "lattice":  # many exact ties
        points = rng.integers(0, 3, size=(n, width)).astype(np.float32)
    return points


@pytest.fixture
def on_ranks(monkeypatch):
    """Run `work` as n ranks of one program, each in a thread of this process; return what each returned or raised."""

    def run(n, work):
        here, barrier, box = threading.local(), threading.Barrier(n, timeout=10), [None] * n
        results = [None] * n

        def gather(value):
            box[here.rank] = value
            barrier.wait()
            values = list(box)
            barrier.wait()
            return values

        def start(rank):
            here.rank = rank
            try:
                results[rank] = work()
            except DiverseEvolError as error:
                results[rank] = error

        with monkeypatch.context() as patch:
            patch.setattr(dist, "world_size", lambda: n)
            patch.setattr(dist, "rank", lambda: here.rank)
            patch.setattr(dist, "gather", gather)
            patch.setattr(dist, "broadcast", lambda value: gather(value)[0])
            patch.setattr(dist, "gather_numbers", lambda values: np.stack(gather(values)))
            threads = [threading.Thread(target=start, args=(rank,)) for rank in range(n)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return results

    return run


@pytest.fixture
def oracle():
    return farthest_first


@pytest.fixture
def make_points():
    return made


@pytest.fixture
def as_triples():
    return triples
