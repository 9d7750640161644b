"""The page's samples: picks with their reasons and what was left out near each, and texts.

Neighbours cost C × N × D multiplications.
Shape letters: N rows with a vector, P shown rows, C picks, D embedding width, K neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from ..base.files import load_array
from ..data import Pool
from ..run import BASE
from .runs import RunData
from .text import shortened

Rows = NDArray[np.int64]
N_NEAREST = 3
MOST_NUMBERS = 1 << 28
"""Of the vectors among which neighbours are looked for, 1 GB in float32; of more, a random part is taken."""
N_TABLE = 5_000
N_SAMPLES = 20_000
TEXT_BYTES = 5_000_000
"""Of all samples together, so that the page stays below 10 MB."""
LONGEST, LONGEST_OTHER = 1_200, 200
KNOWN = frozenset({"id", "row", "round", "rank", "distance", "nearest_id", "source", "source_row"})


@dataclass(frozen=True)
class PoolVectors:
    """Vectors of some pool rows, ascending, memory-mapped; `whose` is the model, in words."""

    vectors_ND: NDArray[Any]
    rows_N: Rows
    whose: str

    def known(self, rows: Rows) -> Rows:
        """Those of some pool rows that have a vector, in their order."""
        return rows[np.isin(rows, self.rows_N)]

    def read(self, rows: Rows) -> NDArray[np.float32]:
        """The vectors of pool rows that have one; all numbers are finite, for embedding refuses others."""
        return np.asarray(self.vectors_ND[np.searchsorted(self.rows_N, rows)], dtype=np.float32)


def find_vectors(run: RunData) -> PoolVectors | None:
    """The base model's vectors, else the outer model's, else those of the last round whose were kept."""
    folder, everything = run.folder, np.arange(len(run.pool))
    places = [(folder.fixed_file(BASE), everything, "the untuned base model")]
    places += [(folder.outer_dir / "embeddings.npy", everything, "the outer model")]
    for index in reversed(run.rounds):
        seen, file = folder.seen_rows(index), folder.signals_dir(index) / "embeddings.npy"
        places.append((file, everything if seen is None else seen, f"round {index}'s model"))
    for file, rows, whose in places:
        if file.exists() and len(vectors_ND := load_array(file)) == len(rows) and vectors_ND.ndim == 2:
            return PoolVectors(vectors_ND, rows, whose)
    return None


def nearest_unchosen(
    vectors: PoolVectors, picks_C: Rows, barred_rows: Rows
) -> tuple[Rows, NDArray[np.float32]]:
    """Find the rows nearest to picks, all with a vector, but not chosen ones and those that could not be.

    Returns:
        int64[C, K] pool rows, nearest first, float32[C, K] distances; K is 3, or as many rows as are left.
    """
    open_rows = np.setdiff1d(vectors.rows_N, barred_rows)
    most = MOST_NUMBERS // vectors.vectors_ND.shape[1]
    if len(open_rows) > most:
        open_rows = np.sort(np.random.default_rng(0).choice(open_rows, most, replace=False))
    n_found = min(N_NEAREST, len(open_rows))
    if not n_found or not len(picks_C):
        return np.zeros((len(picks_C), n_found), np.int64), np.zeros((len(picks_C), n_found), np.float32)
    picks_CD = vectors.read(picks_C)
    search = NearestNeighbors(n_neighbors=n_found, algorithm="brute").fit(vectors.read(open_rows))
    rows_CK = open_rows[search.kneighbors(picks_CD, return_distance=False)]
    # The search multiplies squares out, which leaves a remainder between equal vectors; a copy shall be at 0.
    distances = [np.linalg.norm(vectors.read(rows_C) - picks_CD, axis=1) for rows_C in rows_CK.T]
    return rows_CK, np.stack(distances, axis=1)


def table_of_picks(runs: Sequence[RunData], vectors: PoolVectors | None) -> list[dict[str, Any]]:
    """The first so many picks of each run over one pool; samples are named by their pool rows."""
    found = []
    for number, run in enumerate(runs):
        lines = [line for picks in run.picks for line in picks][: N_TABLE // len(runs)]
        left_out: dict[int, list[tuple[int, float]]] = {}
        if vectors is not None:
            asked = vectors.known(np.array([line["row"] for line in lines], dtype=np.int64))
            barred = np.concatenate([run.chosen_rows, run.unchoosable_rows])
            rows_CK, distances_CK = nearest_unchosen(vectors, asked, barred)
            for row, rows, distances in zip(
                asked.tolist(), rows_CK.tolist(), distances_CK.tolist(), strict=True
            ):
                left_out[row] = list(zip(rows, distances, strict=True))
        ids = [line["nearest_id"] for line in lines if line.get("nearest_id")]
        row_of = dict(zip(ids, run.pool.rows_of(ids).tolist(), strict=True))
        for line in lines:
            pick = {name: line.get(name) for name in ("round", "id", "row", "distance")}
            pick |= {"run": number, "pick": line["rank"] + 1, "reason": reason_of(line)}
            pick |= {"nearest": row_of.get(line.get("nearest_id")), "left_out": left_out.get(line["row"], [])}
            found.append(pick)
    return found


def reason_of(line: dict[str, Any]) -> str:
    """Why a sample was picked, in a few words, from its line of chosen.jsonl."""
    numbers = {name: line[name] for name in line if name not in KNOWN and type(line[name]) in (int, float)}
    reasons = [f"{name.replace('_', ' ')} {value:.4g}" for name, value in numbers.items()]
    if line.get("distance") is not None and line.get("nearest_id"):
        reasons.insert(0, f"{line['distance']:.4g} from its nearest chosen sample")
    drawn = "first draw" if line["round"] == 0 else "drawn; the strategy gives no figures"
    return ", ".join(reasons) or drawn


def gather_samples(pool: Pool, picks: Sequence[dict[str, Any]], chosen: Rows, others: Rows) -> dict[str, Any]:
    """The samples of the page by columns: pool rows, ascending, tokens, questions, answers of named ones.

    There is room for `N_SAMPLES`: the `chosen` rows, then what the table's picks name beside them, then a
    random part of the `others`.
    """
    nearest = [pick["nearest"] for pick in picks if pick["nearest"] is not None]
    beside = [row for pick in picks for row, _ in pick["left_out"]]
    named = np.array(list(dict.fromkeys([*chosen.tolist(), *nearest, *beside]))[:N_SAMPLES], dtype=np.int64)
    rest = np.random.default_rng(0).permutation(np.setdiff1d(others, named))[: N_SAMPLES - len(named)]
    rows_P = np.sort(np.concatenate([named, rest]))
    limit = min(LONGEST, TEXT_BYTES // 4 // max(1, len(named)))
    limit_other = min(LONGEST_OTHER, TEXT_BYTES // 2 // max(1, len(rest)))
    asked, answered = [], []
    for row, is_named in zip(rows_P.tolist(), np.isin(rows_P, named).tolist(), strict=True):
        question, answer = texts_of(pool, row)
        asked.append(shortened(question, limit if is_named else limit_other))
        answered.append(shortened(answer, limit) if is_named else "")
    tokens = pool.n_tokens[rows_P].tolist()
    return {"rows": rows_P.tolist(), "tokens": tokens, "asked": asked, "answered": answered}


def texts_of(pool: Pool, row: int) -> tuple[str, str]:
    """What a sample asks, and its last answer."""
    turns = [turn for turn in pool.sample(row).turns if turn.role != "system"]
    last = max((at for at, turn in enumerate(turns) if turn.role == "assistant"), default=len(turns))
    asked = [piece for turn in turns[:last] for piece in (turn.text, turn.input) if piece]
    return "\n".join(asked), "\n".join(piece for turn in turns[last : last + 1] for piece in turn.texts)
