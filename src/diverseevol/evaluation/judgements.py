"""The judgements of one file as arrays, and what is wrong with some of them.

Shape letters: Q questions, O orders, S sides (ours, the opponent's).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ProblemKind = Literal[
    "bad_line",
    "unreadable",
    "off_scale",
    "below_scale",
    "duplicate",
    "missing_order",
    "missing_question",
    "same_question",
    "empty_answer",
    "reply_differs",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a verdict file that does not count, or counts with a doubt.

    Attributes:
        kind: `bad_line` (no judgement to be read in it), `unreadable` (a score missing, or the mark of a reply without scores),
            `off_scale` (above the scale, or negative), `below_scale` (such as a 0 where 1 is the lowest: counts as given), `duplicate`
            (question and order judged before: the first readable one counts), `missing_order` (judged in one order only),
            `missing_question`, `same_question` (the text of another one; both count), `empty_answer` (counts as it was judged),
            `reply_differs` (the scores are not those of the reply's first line; they count as stored).
        question_id: None where it is no single question's.
        order: 0 ours shown first, 1 second; None where it is not about one order.
        detail: what was found.
    """

    kind: ProblemKind
    question_id: str | None
    order: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The judgements of one file, as arrays.

    Attributes:
        name: What to call the file.
        ours: Name of the judged model, empty where unknown.
        opponent: Name of the opponent; None for single-answer judgements.
        question_ids: In the file's order.
        questions: Their texts, empty where unknown.
        orders: Which orders the file holds, ascending: 0 ours first, 1 second.
        scores_QOS: (Q, O, S) as judged, NaN in every side of a judgement that does not count; S is 1 for single answers, else 2.
        lengths_QS: (Q, S) characters of the answers, NaN where unknown.
        records: Each question's first record that counts, or its first, as the file has it.
        problems: What does not count, and doubts.
    """

    name: str
    ours: str
    opponent: str | None
    question_ids: tuple[str, ...]
    questions: tuple[str, ...]
    orders: tuple[int, ...]
    scores_QOS: NDArray[np.float64]
    lengths_QS: NDArray[np.float64]
    records: tuple[Mapping[str, Any], ...]
    problems: tuple[Problem, ...]

    @property
    def counts_QO(self) -> NDArray[np.bool_]:
        """Which judgements count."""
        return np.asarray(np.isfinite(self.scores_QOS).all(axis=2))

    @property
    def sums_QS(self) -> NDArray[np.float64]:
        """Scores summed over the orders that count."""
        return np.asarray(np.where(self.counts_QO[:, :, None], self.scores_QOS, 0.0).sum(axis=1))
