"""The picks with their reasons, and what was left out near each: the table of the page, and all of them as CSV.

Shape letters: P shown samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .neighbours import nearest_unchosen
from .runs import RunData
from .samples import Samples
from .vectors import PoolVectors

N_TABLE = 5_000
KNOWN = frozenset({"id", "row", "round", "rank", "distance", "nearest_id", "source", "source_row"})
HEADINGS = (
    "run",
    "round",
    "pick",
    "id",
    "row",
    "source",
    "source_row",
    "tokens",
    "reason",
    "distance",
    "nearest_id",
    "left_out_rows",
    "left_out_distances",
)


@dataclass(frozen=True)
class Pick:
    """One pick.

    Attributes:
        run: The name of its run.
        values: The line of chosen.jsonl.
        nearest_row: The pool row of the chosen sample that was nearest to it; None where the strategy gives none.
        left_out: Pool rows that were never chosen and lie nearest to it, nearest first, with their distances.
    """

    run: str
    values: dict[str, Any]
    nearest_row: int | None
    left_out: tuple[tuple[int, float], ...]

    @property
    def row(self) -> int:
        """Its pool row."""
        return int(self.values["row"])

    @property
    def reason(self) -> str:
        """Why it was picked, in a few words."""
        values = self.values
        scores = [
            f"{name.replace('_', ' ')} {values[name]:.4g}" for name in values if name not in KNOWN and _is_number(values[name])
        ]
        if values.get("distance") is not None and values.get("nearest_id"):
            return ", ".join([f"{values['distance']:.4g} from its nearest chosen sample", *scores])
        return ", ".join(scores) or ("first draw" if values["round"] == 0 else "drawn; the strategy gives no figures")


def gather_picks(runs: Sequence[RunData], vectors: PoolVectors | None) -> list[Pick]:
    """All picks of runs over one pool, run by run and in pick order; what was left out nearby is found for the first so many of each."""
    found: list[Pick] = []
    for run in runs:
        lines = [line for picks in run.picks for line in picks]
        left_out = _left_out(run, vectors, N_TABLE // len(runs))
        ids = [line["nearest_id"] for line in lines if line.get("nearest_id")]
        row_of = dict(zip(ids, run.pool.rows_of(ids).tolist(), strict=True))
        found += [Pick(run.name, line, row_of.get(line.get("nearest_id")), left_out.get(int(line["row"]), ())) for line in lines]
    return found


def _left_out(run: RunData, vectors: PoolVectors | None, n_asked: int) -> dict[int, tuple[tuple[int, float], ...]]:
    if vectors is None:
        return {}
    asked = vectors.known(run.chosen_rows[:n_asked])
    barred = np.concatenate([run.chosen_rows, run.unchoosable_rows])
    rows_CK, distances_CK = nearest_unchosen(vectors, asked, barred)
    pairs = zip(asked.tolist(), rows_CK.tolist(), distances_CK.tolist(), strict=True)
    return {row: tuple(zip(near_rows, far_rows, strict=True)) for row, near_rows, far_rows in pairs}


def for_table(picks: Sequence[Pick], samples: Samples, runs: Sequence[str]) -> list[dict[str, Any]]:
    """The first so many picks of each run for the page's script; samples are named by their places."""
    rows, place = [], samples.place
    for pick in first_of_each(picks, runs):
        if pick.row not in place:
            continue
        values = pick.values
        rows.append(
            {
                "run": runs.index(pick.run),
                "round": values["round"],
                "pick": values["rank"] + 1,
                "id": values["id"],
                "at": place[pick.row],
                "reason": pick.reason,
                "distance": values.get("distance"),
                "nearest": place.get(pick.nearest_row, -1) if pick.nearest_row is not None else -1,
                "left_out": [[place[row], float(f"{far:.4g}")] for row, far in pick.left_out if row in place],
            }
        )
    return rows


def first_of_each(picks: Sequence[Pick], runs: Sequence[str]) -> Iterator[Pick]:
    """As many of each run's picks, in pick order, as the table has room for."""
    for name in runs:
        yield from [pick for pick in picks if pick.run == name][: N_TABLE // len(runs)]


def csv_rows(picks: Sequence[Pick], tokens: Sequence[int]) -> Iterator[list[Any]]:
    """All picks, a row each under `HEADINGS`; `tokens` by pool row."""
    for pick in picks:
        values = pick.values
        yield [
            pick.run,
            values["round"],
            values["rank"] + 1,
            values["id"],
            pick.row,
            values.get("source"),
            values.get("source_row"),
            int(tokens[pick.row]),
            pick.reason,
            values.get("distance"),
            values.get("nearest_id"),
            " ".join(str(row) for row, _ in pick.left_out),
            " ".join(f"{far:.6g}" for _, far in pick.left_out),
        ]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
