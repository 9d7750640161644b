"""The samples that the page speaks of, each with its text once: picks, what was left out near them, and some of the rest of the pool.

Shape letters: P shown samples, N pool rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..pool import Pool
from .text import plain, script_json

N_POINTS = 20_000
TEXT_BYTES = 5_000_000
"""Of all samples together, so that the page stays below 10 MB."""
LONGEST = 1_200
LONGEST_OTHER = 200


@dataclass(frozen=True)
class Samples:
    """Some of a pool's rows.

    Attributes:
        rows_P: Pool rows, ascending.
        asked, answered: What each asks, and what it answers (empty but for named ones), as they are shown.
        n_pool: Rows of the pool.
        n_named_left_out: Picks for which there was no room.
    """

    rows_P: NDArray[np.int64]
    asked: Sequence[str]
    answered: Sequence[str]
    n_pool: int
    n_named_left_out: int

    @cached_property
    def place(self) -> dict[int, int]:
        """Where each pool row stands among the samples."""
        return {row: at for at, row in enumerate(self.rows_P.tolist())}

    def as_values(self, pool: Pool) -> dict[str, Any]:
        """For the page's script."""
        return {
            "rows": self.rows_P.tolist(),
            "tokens": pool.n_tokens[self.rows_P].tolist(),
            "asked": list(self.asked),
            "answered": list(self.answered),
        }


def gather_samples(pool: Pool, named_rows: Sequence[int], other_rows: NDArray[np.int64], seed: int = 0) -> Samples:
    """Take the named rows and, as far as there is room, others.

    Args:
        pool: The pool.
        named_rows: Picks and what is shown beside them, the most important first.
        other_rows: What else may be shown.
        seed: Draws from it.
    """
    unique = list(dict.fromkeys(int(row) for row in named_rows))
    named = np.array(unique[:N_POINTS], dtype=np.int64)
    rest = np.setdiff1d(other_rows, named)
    room = N_POINTS - len(named)
    if len(rest) > room:
        rest = np.random.default_rng(seed).choice(rest, room, replace=False)
    rows_P = np.sort(np.concatenate([named, rest]))
    is_named = np.isin(rows_P, named)
    limits = (
        min(LONGEST, TEXT_BYTES // 4 // max(1, len(named))),
        min(LONGEST_OTHER, TEXT_BYTES // 2 // max(1, len(rest))),
    )
    texts = _texts(pool, rows_P, is_named, limits)
    while (size := len(script_json(texts).encode())) > TEXT_BYTES and max(limits) > 1:
        # What JSON must escape takes up to six times its place.
        limits = (limits[0] * TEXT_BYTES // size, limits[1] * TEXT_BYTES // size)
        texts = _texts(pool, rows_P, is_named, limits)
    return Samples(rows_P, texts[0], texts[1], len(pool), len(unique) - len(named))


def _texts(
    pool: Pool, rows_P: NDArray[np.int64], is_named: NDArray[np.bool_], limits: tuple[int, int]
) -> tuple[list[str], list[str]]:
    """What samples ask and answer, each cut to the limit of its kind; of those that are not named only what they ask."""
    asked, answered = [], []
    for row, is_one in zip(rows_P.tolist(), is_named.tolist(), strict=True):
        question, answer = texts_of(pool, row)
        asked.append(plain(question, limits[0] if is_one else limits[1]))
        answered.append(plain(answer, limits[0]) if is_one else "")
    return asked, answered


def texts_of(pool: Pool, row: int) -> tuple[str, str]:
    """What a sample asks, and its last answer."""
    turns = [turn for turn in pool.sample(row).turns if turn.role != "system"]
    last = max((at for at, turn in enumerate(turns) if turn.role == "assistant"), default=len(turns))
    asked = [piece for turn in turns[:last] for piece in (turn.text, turn.input) if piece]
    answer = turns[last] if last < len(turns) else None
    return "\n".join(asked), "\n".join(answer.texts) if answer else ""
