"""The layouts of verdict records, and what a record says in each.

Own layout, a line a judgement: {"question_id", "order": 0|1, "score", "opponent_score", …}, ours first whatever the order; without
`opponent_score` it is a single answer's score.
Wins and losses, likewise: {"question_id", "winner": "ours"|"opponent"|"tie", …}: a point to the winner, half a point each in a tie.
Either says lengths by `answer` and `opponent_answer`, or in characters by `length` and `opponent_length`.
Published layout (DiverseEvol's), a line a question with both orders: {"question_id", "eval_QUERY0", "eval_QUERY1", "assistant1_QUERY0",
…}. There, `eval_QUERY1` is stored as [ours, opponent] like `eval_QUERY0`, although the reply beside it names the opponent's score
first: exchanging it again would be wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

UNREADABLE = -1.0
"""What FastChat's judges, and those that grew from it, store for a reply without scores."""
NUMBER = r"-?\d+(?:\.\d+)?"
NUMBERS = re.compile(NUMBER)
SCORE_LINE = re.compile(rf"\W*({NUMBER})(?:/10)?[\s,;]+({NUMBER})(?:/10)?\W*")
ORDERS = (0, 1)
POINTS = {"ours": (1.0, 0.0), "opponent": (0.0, 1.0), "tie": (0.5, 0.5)}


@dataclass(frozen=True, slots=True)
class StoredScores:
    """What a record says of one order.

    Attributes:
        order: 0 ours shown first, 1 second.
        scores: Ours and, if there is one, the opponent's; None: not to be read.
        detail: What is stored, for people.
        record: All of it.
    """

    question_id: str
    order: int
    scores: tuple[float | None, ...]
    detail: str
    record: Mapping[str, Any]


def is_published(record: Mapping[str, Any]) -> bool:
    """Whether a record is of the published layout."""
    return any(key in record for key in ("eval_QUERY0", "eval_QUERY1", "assistant1_QUERY0"))


def is_verdict(record: Mapping[str, Any]) -> bool:
    """Whether a record is of either layout."""
    return "score" in record or "winner" in record or is_published(record)


def id_of(record: Mapping[str, Any]) -> str:
    """What tells a question from others; empty where a record does not say."""
    return next(
        (
            str(record[key])
            for key in ("question_id", "question", "instruction")
            if record.get(key) is not None
        ),
        "",
    )


def length_of(record: Mapping[str, Any], side: int) -> float | None:
    """Characters of our answer (side 0) or the opponent's; None where a record does not say."""
    prefix = ("", "opponent_")[side]
    text, length = record.get(f"{prefix}answer"), record.get(f"{prefix}length")
    if isinstance(text, str):
        return float(len(text))
    return (
        None
        if isinstance(length, bool) or not isinstance(length, int | float) or length < 0
        else float(length)
    )


def judgements_of(record: Mapping[str, Any]) -> Iterator[StoredScores]:
    """The judgements in a record, one an order.

    Raises:
        ValueError: its order is none of `ORDERS`; the message says what it is.
    """
    return _published(record) if is_published(record) else _own(record)


def models_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """Our model's name and the opponent's, empty where a record does not say."""
    keys = ("assistant1_QUERY0", "assistant2_QUERY0") if is_published(record) else ("ours", "opponent")
    return str(record.get(keys[0]) or ""), str(record.get(keys[1]) or "")


def question_of(record: Mapping[str, Any]) -> str:
    """The question's text, empty where a record does not say."""
    return next(
        (
            record[key]
            for key in ("question", "question_text", "instruction")
            if isinstance(record.get(key), str)
        ),
        "",
    )


def said_in_reply(judgement: StoredScores) -> tuple[str, tuple[float, float]] | None:
    """A published reply's first line and the scores in it, ours first; None where it has no such line or is not kept."""
    first_line = (
        str(judgement.record.get(f"response_QUERY{judgement.order}") or "").partition("\n")[0].strip()
    )
    match = SCORE_LINE.fullmatch(first_line)
    if match is None:
        return None
    shown = float(match[1]), float(match[2])
    return first_line, shown if judgement.order == 0 else shown[::-1]


def _published(record: Mapping[str, Any]) -> Iterator[StoredScores]:
    for order in ORDERS:
        if any(key.endswith(f"_QUERY{order}") for key in record):  # else this order was not asked for
            stored = record.get(f"eval_QUERY{order}")
            yield StoredScores(
                id_of(record), order, _pair(stored), f"eval_QUERY{order} is {stored!r}", record
            )


def _own(record: Mapping[str, Any]) -> Iterator[StoredScores]:
    order = record.get("order", 0)
    if order not in ORDERS or isinstance(order, bool):
        raise ValueError(f"order is {order!r}, not 0 or 1")
    if "score" not in record:
        points = POINTS.get(str(record["winner"]), (None, None))
        yield StoredScores(id_of(record), int(order), points, f"winner is {record['winner']!r}", record)
        return
    keys = [key for key in ("score", "opponent_score") if key in record]
    detail = " and ".join(f"{key} {record[key]!r}" for key in keys)
    detail += f" ({record['problem']})" if record.get("problem") else ""
    yield StoredScores(id_of(record), int(order), tuple(_number(record[key]) for key in keys), detail, record)


def _pair(stored: Any) -> tuple[float | None, float | None]:  # noqa: ANN401 - any JSON value
    if isinstance(stored, str):
        stored = NUMBERS.findall(stored)
    if isinstance(stored, list) and len(stored) == 2:
        return _number(stored[0]), _number(stored[1])
    return None, None


def _number(stored: Any) -> float | None:  # noqa: ANN401 - any JSON value
    if isinstance(stored, bool) or not isinstance(stored, int | float | str):
        return None
    try:
        number = float(stored)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number != UNREADABLE else None
