"""The picks with their reasons and what was left out near each, and the page's samples with their texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import Pool
from .runs import RunData
from .text import shortened
from .vectors import PoolVectors, nearest_unchosen

N_TABLE = 5_000
N_SAMPLES = 20_000
TEXT_BYTES = 5_000_000
"""Of all samples together, so that the page stays below 10 MB."""
LONGEST, LONGEST_OTHER = 1_200, 200
Near = list[tuple[int, float]]
"""Pool rows with their distances, nearest first."""
KNOWN = frozenset({"id", "row", "round", "rank", "distance", "nearest_id", "source", "source_row"})


def table_of_picks(runs: Sequence[RunData], vectors: PoolVectors | None) -> list[dict[str, Any]]:
    """The first so many picks of each run over one pool; samples are named by their pool rows."""
    found = []
    for number, run in enumerate(runs):
        lines = [line for picks in run.picks for line in picks][: N_TABLE // len(runs)]
        left_out = _left_out(run, np.array([line["row"] for line in lines], dtype=np.int64), vectors)
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
    scores = {name: value for name, value in line.items() if name not in KNOWN}
    numbers = {name: value for name, value in scores.items() if type(value) in (int, float)}
    reasons = [f"{name.replace('_', ' ')} {value:.4g}" for name, value in numbers.items()]
    if line.get("distance") is not None and line.get("nearest_id"):
        reasons.insert(0, f"{line['distance']:.4g} from its nearest chosen sample")
    drawn = "first draw" if line["round"] == 0 else "drawn; the strategy gives no figures"
    return ", ".join(reasons) or drawn


def _left_out(run: RunData, picked: NDArray[np.int64], vectors: PoolVectors | None) -> dict[int, Near]:
    """For each pick the rows nearest to it that were never chosen."""
    if vectors is None:
        return {}
    asked, barred = vectors.known(picked), np.concatenate([run.chosen_rows, run.unchoosable_rows])
    rows_CK, distances_CK = nearest_unchosen(vectors, asked, barred)
    found = zip(asked.tolist(), rows_CK.tolist(), distances_CK.tolist(), strict=True)
    return {row: list(zip(rows, distances, strict=True)) for row, rows, distances in found}


def gather_samples(
    pool: Pool,
    picks: Sequence[dict[str, Any]],
    chosen: NDArray[np.int64],
    others: NDArray[np.int64],
    seed: int = 0,
) -> dict[str, Any]:
    """The samples of the page by columns: pool rows, ascending, tokens, questions, answers of named ones.

    There is room for `N_SAMPLES`: picks, then what is named beside them, then a random part of the rest.

    Args:
        pool: The pool.
        picks: The table's.
        chosen: Pool rows of all picks.
        others: What else may be shown.
        seed: Draws from it.
    """
    nearest = [pick["nearest"] for pick in picks if pick["nearest"] is not None]
    beside = [row for pick in picks for row, _ in pick["left_out"]]
    named = np.array(list(dict.fromkeys([*chosen.tolist(), *nearest, *beside]))[:N_SAMPLES], dtype=np.int64)
    rest = np.setdiff1d(others, named)
    rest = np.random.default_rng(seed).permutation(rest)[: N_SAMPLES - len(named)]
    rows_P = np.sort(np.concatenate([named, rest]))
    limit = min(LONGEST, TEXT_BYTES // 4 // max(1, len(named)))
    limit_other = min(LONGEST_OTHER, TEXT_BYTES // 2 // max(1, len(rest)))
    asked, answered = [], []
    for row, is_named in zip(rows_P.tolist(), np.isin(rows_P, named).tolist(), strict=True):
        question, answer = texts_of(pool, row)
        asked.append(shortened(question, limit if is_named else limit_other))
        answered.append(shortened(answer, limit) if is_named else "")
    return {
        "rows": rows_P.tolist(),
        "tokens": pool.n_tokens[rows_P].tolist(),
        "asked": asked,
        "answered": answered,
    }


def texts_of(pool: Pool, row: int) -> tuple[str, str]:
    """What a sample asks, and its last answer."""
    turns = [turn for turn in pool.sample(row).turns if turn.role != "system"]
    last = max((at for at, turn in enumerate(turns) if turn.role == "assistant"), default=len(turns))
    asked = [piece for turn in turns[:last] for piece in (turn.text, turn.input) if piece]
    return "\n".join(asked), "\n".join(piece for turn in turns[last : last + 1] for piece in turn.texts)
