"""Files of verdicts of any layout, read into arrays, with a note of everything that does not count.

Own layout, a line a judgement: {"question_id", "order": 0|1, "score", "opponent_score", …}, ours first
whatever the order.
Wins and losses, likewise: {"question_id", "winner": "ours"|"opponent"|"tie", …}: a point to the winner, half
a point each in a tie.
Either says lengths by `answer` and `opponent_answer`, or in characters by `length` and `opponent_length`.
Published layout (DiverseEvol's), a line a question with both orders: {"question_id", "eval_QUERY0",
"eval_QUERY1", "assistant1_QUERY0", …}. There, `eval_QUERY1` is stored as [ours, opponent] like `eval_QUERY0`,
although the reply beside it names the opponent's score first: exchanging it again would be wrong.
Cost: one pass over the file. Shape letters: Q questions, O orders, S sides (ours, the opponent's).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..data.files_in import kind_of
from ..data.json_files import json_rows
from ..errors import EvaluationError, PoolError
from ..run import RunFolder

SCALE = (1.0, 10.0)
UNREADABLE = -1.0
"""What FastChat's judges, and those that grew from it, store for a reply without scores."""
NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")
NO_JSON = "is not JSON"
"""How the problem of a record ends that holds NaN: only the scores that are NaN are unreadable."""
POINTS = {"ours": (1.0, 0.0), "opponent": (0.0, 1.0), "tie": (0.5, 0.5)}
ORDERS = ("ours first", "ours second")
ProblemKind = Literal[
    "bad_line",
    "unreadable",
    "off_scale",
    "below_scale",
    "duplicate",
    "missing_order",
    "missing_question",
    "empty_answer",
]
Scores = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a verdict file that does not count, or counts with a doubt.

    Attributes:
        kind: `bad_line` (no judgement to be read in it), `unreadable` (a score missing, or the mark of a
            reply without scores), `off_scale` (above the scale, or negative), `below_scale` (such as a 0
            where 1 is the lowest: counts as given), `duplicate` (question and order judged before: the first
            readable one counts), `missing_order` (judged in one order only), `missing_question`,
            `empty_answer` (counts as it was judged).
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
        opponent: Name of the opponent, likewise.
        question_ids: In the file's order.
        questions: Their texts, empty where unknown.
        orders: Which orders the file holds, ascending: 0 ours first, 1 second.
        scores_QOS: (Q, O, S) as judged, NaN in every side of a judgement that does not count.
        lengths_QS: (Q, S) characters of the answers, NaN where unknown.
        records: Each question's first record that counts, or its first, as the file has it.
        problems: What does not count, and doubts.
    """

    name: str
    ours: str
    opponent: str
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


def find_verdict_files(path: Path) -> list[Path]:
    """The files that a path stands for: itself, or all JSON files below a folder, rd_2 before rd_10.

    A run folder stands for its verdicts.

    Raises:
        PoolError: the path is not there, or a folder holds no such file.
    """
    if not path.exists():
        raise PoolError(f"there are no verdicts at {str(path)!r}: no such file or folder. Correct the path.")
    if not path.is_dir():
        return [path]
    run = RunFolder(path)
    is_run = run.config_file.exists()
    below = (run.all_verdicts_dir if is_run else path).rglob("*")
    found = [file for file in below if kind_of(file) in (".jsonl", ".json") and file.is_file()]
    if not found and is_run:
        raise PoolError(
            f"{path} has no verdicts yet. Have its answers judged: diverseevol judge {path} --benchmark NAME."
        )
    if not found:
        raise PoolError(f"{path} holds no .jsonl or .json file. Give a verdict file or a folder of them.")
    return sorted(
        found, key=lambda file: [(int(part), "") if part.isdecimal() else (-1, part) for part in _parts(file)]
    )


def _parts(file: Path) -> list[str]:
    return re.split(r"(\d+)", str(file))


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a record says of one order; a score is None where it is not to be read."""

    order: int
    scores: Scores
    detail: str
    record: Mapping[str, Any]


@dataclass(slots=True)
class _Reading:
    """What has been read of a file so far."""

    name: str
    scale: tuple[float, float]
    judgements: dict[tuple[str, int], _Stored] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    models: tuple[str, str] = ("", "")

    def note(self, kind: ProblemKind, question_id: str | None, order: int | None, detail: str) -> None:
        self.problems.append(Problem(kind, question_id, order, detail))


def read_verdicts(path: Path, scale: tuple[float, float] = SCALE) -> Verdicts:
    """Read one file of any layout.

    Args:
        path: JSON lines or an array, packed or not.
        scale: the lowest and the highest score that a judge is asked for; lower ones down to 0 count as
            given.

    Raises:
        PoolError: the file cannot be read.
        EvaluationError: it holds no verdicts, or those of several models; the scale is upside down.
    """
    if not scale[0] < scale[1]:
        raise EvaluationError(
            f"the scale goes from {scale[0]:g} to {scale[1]:g}. Give the lowest score first, then the "
            f"highest."
        )
    reading = _Reading(str(path), scale)
    for row in json_rows(path, str(path), split=None):
        place = f"line {row.line}" if row.line is not None else f"record {row.number}"
        problem = "" if row.problem.endswith(NO_JSON) else row.problem
        if problem or not isinstance(row.record, dict) or not _id_of(row.record):
            reading.note("bad_line", None, None, f"{place}: {problem or 'no object with a question_id'}")
            continue
        record, question_id = row.record, _id_of(row.record)
        if not ("score" in record or "winner" in record or _is_published(record)):
            raise EvaluationError(
                f"{path} {place} is no verdict: it has the keys {', '.join(list(record)[:6])}. A verdict "
                f"has `score`, `winner`, or "
                "`eval_QUERY0`."
            )
        order = record.get("order", 0)
        if not _is_published(record) and (order not in (0, 1) or isinstance(order, bool)):
            reading.note("bad_line", question_id, None, f"{place}: order is {order!r}, not 0 or 1")
            continue
        for stored in _published(record) if _is_published(record) else [_own(record, int(order))]:
            _take(question_id, stored, place, reading)
    if not reading.judgements:
        first = f": {reading.problems[0].detail}" if reading.problems else ""
        raise EvaluationError(f"{path} holds no verdicts{first}. Give the file that `judge` wrote.")
    return _arrays(reading)


def _take(question_id: str, stored: _Stored, place: str, reading: _Reading) -> None:
    """Add a judgement, unless the question was judged in this order before, and note what is odd about it."""
    _agree(stored, place, reading)
    earlier, scores, order = reading.judgements.get((question_id, stored.order)), stored.scores, stored.order
    low, high = reading.scale
    if earlier is not None:
        # A judge that was asked again after an unreadable reply may have appended the second one.
        is_better = None in earlier.scores and None not in scores
        unused = earlier if is_better else stored
        reading.note(
            "duplicate", question_id, order, f"{place}: judged before; {unused.detail} does not count"
        )
        if not is_better:
            return
    known = [score for score in scores if score is not None]
    if len(known) < len(scores):
        reading.note("unreadable", question_id, order, f"{place}: {stored.detail}")
    elif "score" not in stored.record and not _is_published(stored.record):
        pass  # a point to the winner is on no scale
    elif any(not min(low, 0) <= score <= high for score in known):
        reading.note(
            "off_scale", question_id, order, f"{place}: {stored.detail}, outside {low:g} to {high:g}"
        )
        scores = (None, None)
    elif any(score < low for score in known):
        reading.note(
            "below_scale", question_id, order, f"{place}: {stored.detail}, below {low:g}; counts as given"
        )
    reading.judgements[question_id, order] = replace(stored, scores=scores)


def _agree(stored: _Stored, place: str, reading: _Reading) -> None:
    """A file is about one model, against one opponent."""
    models = _models_of(stored.record)
    for known, name in zip(reading.models, models, strict=True):
        if known and name and known != name:
            raise EvaluationError(
                f"{reading.name} {place}: verdicts on {name!r}, those before on {known!r}. Split the file."
            )
    reading.models = (reading.models[0] or models[0], reading.models[1] or models[1])


def _arrays(reading: _Reading) -> Verdicts:
    judgements = reading.judgements
    question_ids = tuple(dict.fromkeys(question_id for question_id, _ in judgements))
    orders = tuple(sorted({order for _, order in judgements}))
    scores_QOS = np.full((len(question_ids), len(orders), 2), np.nan)
    lengths_QS = np.full((len(question_ids), 2), np.nan)
    records: list[Mapping[str, Any]] = []
    for row, question_id in enumerate(question_ids):
        found = [judgements.get((question_id, order)) for order in orders]
        for order_pos, stored in enumerate(found):
            if stored is None:
                reading.note(
                    "missing_order",
                    question_id,
                    orders[order_pos],
                    f"not judged with {ORDERS[orders[order_pos]]}",
                )
            elif None not in stored.scores:
                scores_QOS[row, order_pos] = stored.scores
        there = [stored for stored in found if stored is not None]
        records.append(next((stored for stored in there if None not in stored.scores), there[0]).record)
        for side, prefix in enumerate(("", "opponent_")):
            text, length = records[row].get(f"{prefix}answer"), records[row].get(f"{prefix}length")
            if isinstance(text, str):
                lengths_QS[row, side] = len(text)
                if not text.strip():
                    reading.note(
                        "empty_answer",
                        question_id,
                        None,
                        f"{prefix}answer is empty; its scores count as judged",
                    )
            elif isinstance(length, int | float) and not isinstance(length, bool) and length >= 0:
                lengths_QS[row, side] = length
    return Verdicts(
        name=reading.name,
        ours=reading.models[0],
        opponent=reading.models[1],
        question_ids=question_ids,
        questions=tuple(
            _first_text(record, ("question", "question_text", "instruction")) for record in records
        ),
        orders=orders,
        scores_QOS=scores_QOS,
        lengths_QS=lengths_QS,
        records=tuple(records),
        problems=tuple(reading.problems),
    )


def _is_published(record: Mapping[str, Any]) -> bool:
    return any(key in record for key in ("eval_QUERY0", "eval_QUERY1", "assistant1_QUERY0"))


def _id_of(record: Mapping[str, Any]) -> str:
    """What tells a question from others; empty where a record does not say."""
    return next(
        (
            str(record[key])
            for key in ("question_id", "question", "instruction")
            if record.get(key) is not None
        ),
        "",
    )


def _first_text(record: Mapping[str, Any], keys: Sequence[str]) -> str:
    return next((record[key] for key in keys if isinstance(record.get(key), str)), "")


def _models_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """Our model's name and the opponent's, empty where a record does not say."""
    keys = ("assistant1_QUERY0", "assistant2_QUERY0") if _is_published(record) else ("ours", "opponent")
    return str(record.get(keys[0]) or ""), str(record.get(keys[1]) or "")


def _published(record: Mapping[str, Any]) -> Iterator[_Stored]:
    for order in (0, 1):
        if any(key.endswith(f"_QUERY{order}") for key in record):  # else this order was not asked for
            stored = record.get(f"eval_QUERY{order}")
            scores: Any = NUMBERS.findall(stored) if isinstance(stored, str) else stored
            is_pair = isinstance(scores, list) and len(scores) == 2
            yield _Stored(
                order,
                (_number(scores[0]), _number(scores[1])) if is_pair else (None, None),
                f"eval_QUERY{order} is {stored!r}",
                record,
            )


def _own(record: Mapping[str, Any], order: int) -> _Stored:
    if "score" not in record:
        return _Stored(
            order, POINTS.get(str(record["winner"]), (None, None)), f"winner is {record['winner']!r}", record
        )
    detail = f"score {record['score']!r} and opponent_score {record.get('opponent_score')!r}"
    detail += f" ({record['problem']})" if record.get("problem") else ""
    return _Stored(order, (_number(record["score"]), _number(record.get("opponent_score"))), detail, record)


def _number(stored: Any) -> float | None:  # noqa: ANN401 - any JSON value
    if isinstance(stored, bool) or not isinstance(stored, int | float | str):
        return None
    try:
        number = float(stored)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number != UNREADABLE else None
