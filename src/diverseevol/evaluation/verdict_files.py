"""Reading verdict files: this project's own layout and the one DiverseEvol published.

Own layout, a line a judgement: {"question_id", "order": 0|1, "score", "opponent_score", …}, ours first whatever the order; without
`opponent_score` it is a single answer's score. Published layout, a line a question with both orders: {"question_id", "eval_QUERY0",
"eval_QUERY1", "assistant1_QUERY0", …}. There, `eval_QUERY1` is stored as [ours, opponent] like `eval_QUERY0`, although the reply beside
it names the opponent's score first: exchanging it again would be wrong. The first line of every reply is compared with the stored
scores, so a file that was stored the other way round does not pass unnoticed.
Cost: one pass over the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SourceNotFoundError, VerdictError
from ..pool.files_in import kind_of
from ..pool.json_files import json_rows
from ..run_folder import RunFolder
from .judgements import Problem, ProblemKind, Verdicts

SCALE = (1.0, 10.0)
UNREADABLE = -1.0
"""What FastChat's judges, and those that grew from it, store for a reply without scores."""
KINDS = (".jsonl", ".json")
MISSING = ".missing.jsonl"
"""Beside a file of verdicts: the questions that only one side answered."""
NUMBER = r"-?\d+(?:\.\d+)?"
NUMBERS = re.compile(NUMBER)
SCORE_LINE = re.compile(rf"\W*({NUMBER})(?:/10)?[\s,;]+({NUMBER})(?:/10)?\W*")
ORDERS = {0: "ours first", 1: "ours second"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """One record's scores (ours, and the opponent's if there is one; None: not to be read) in one order."""

    question_id: str
    order: int
    scores: tuple[float | None, ...]
    detail: str
    record: Mapping[str, Any]


@dataclass(slots=True)
class _Reading:
    """What has been read of a file so far."""

    name: str
    judgements: dict[tuple[str, int], Judgement] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    n_sides: int = 0
    models: tuple[str, str] | None = None

    def note(self, kind: ProblemKind, question_id: str | None, order: int | None, detail: str) -> None:
        self.problems.append(Problem(kind, question_id, order, detail))


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sort key by which rd_2 comes before rd_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def find_verdict_files(paths: Sequence[Path]) -> list[Path]:
    """The files that paths stand for: a file for itself, a folder for all JSON files below it, in natural order.

    A run folder stands for its verdicts.

    Raises:
        SourceNotFoundError: a path is not there, or a folder holds no such file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise SourceNotFoundError(f"there are no verdicts at {str(path)!r}: no such file or folder. Correct the path.")
        inside = _inside(path) if path.is_dir() else [path]
        if not inside:
            raise SourceNotFoundError(f"{path} holds no .jsonl or .json file. Give a verdict file or a folder of them.")
        found += inside
    return found


def _inside(folder: Path) -> list[Path]:
    run = RunFolder(folder)
    below = run.all_verdicts_dir if run.config_file.exists() else folder
    files = [file for file in below.rglob("*") if kind_of(file) in KINDS and not file.name.endswith(MISSING) and file.is_file()]
    return sorted(files, key=lambda file: natural_key(str(file)))


def read_verdicts(path: Path, scale: tuple[float, float] = SCALE) -> Verdicts:
    """Read one file of either layout.

    Args:
        path: JSON lines or an array, packed or not.
        scale: the lowest and the highest score that a judge may give.

    Raises:
        PoolError: the file cannot be read.
        VerdictError: it holds no verdicts, or those of several models, or both pairs and single answers.
    """
    reading = _Reading(str(path))
    for row in json_rows(path, str(path)):
        place = f"line {row.line}" if row.line is not None else f"record {row.number}"
        if row.problem or not isinstance(row.record, dict) or row.record.get("question_id") is None:
            reading.note("bad_line", None, None, f"{place}: {row.problem or 'no object with a question_id'}")
            continue
        if not is_published(row.record) and "score" not in row.record:
            keys = ", ".join(list(row.record)[:6])
            raise VerdictError(f"{path} {place} is no verdict: it has the keys {keys}. A verdict has `score`, or `eval_QUERY0`.")
        for judgement in _published(row.record) if is_published(row.record) else _own(row.record, place, reading):
            _take(judgement, place, scale, reading)
    if not reading.judgements:
        raise VerdictError(f"{path} holds no verdicts{_first(reading.problems)}. Give the file that `judge` wrote.")
    _note_missing(path, reading)
    return _arrays(path, reading)


def is_published(record: Mapping[str, Any]) -> bool:
    """Whether a record is of the published layout."""
    return any(key in record for key in ("eval_QUERY0", "eval_QUERY1", "assistant1_QUERY0"))


def _published(record: Mapping[str, Any]) -> Iterator[Judgement]:
    for order in ORDERS:
        if any(key.endswith(f"_QUERY{order}") for key in record):  # else this order was not asked for
            stored = record.get(f"eval_QUERY{order}")
            yield Judgement(str(record["question_id"]), order, _pair(stored), f"eval_QUERY{order} is {stored!r}", record)


def _own(record: Mapping[str, Any], place: str, reading: _Reading) -> Iterator[Judgement]:
    order, stored = record.get("order", 0), [record["score"]]
    if "opponent_score" in record:
        stored.append(record["opponent_score"])
    if order not in (0, 1) or isinstance(order, bool):
        reading.note("bad_line", str(record["question_id"]), None, f"{place}: order is {order!r}, not 0 or 1")
        return
    detail = " and ".join(f"{key} {value!r}" for key, value in zip(("score", "opponent_score"), stored, strict=False))
    detail += f" ({record['problem']})" if record.get("problem") else ""
    yield Judgement(str(record["question_id"]), int(order), tuple(_number(value) for value in stored), detail, record)


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


def _take(judgement: Judgement, place: str, scale: tuple[float, float], reading: _Reading) -> None:
    """Add a judgement, unless the same question was judged in the same order before, and note what is odd about it."""
    question_id, order = judgement.question_id, judgement.order
    _agree(judgement, place, reading)
    earlier, scores = reading.judgements.get((question_id, order)), judgement.scores
    if earlier is not None:
        # A judge that was asked again after an unreadable reply may have appended the second one.
        is_better = None in earlier.scores and None not in scores
        unused = earlier if is_better else judgement
        reading.note("duplicate", question_id, order, f"{place}: judged before; {unused.detail} does not count")
        if not is_better:
            return
    if None in scores:
        reading.note("unreadable", question_id, order, f"{place}: {judgement.detail}")
    elif any(not scale[0] <= score <= scale[1] for score in scores if score is not None):
        reading.note("off_scale", question_id, order, f"{place}: {judgement.detail}, outside {scale[0]:g} to {scale[1]:g}")
        scores = (None,) * len(scores)
    elif is_published(judgement.record):
        _compare_reply(judgement, place, reading)
    reading.judgements[question_id, order] = Judgement(question_id, order, scores, judgement.detail, judgement.record)


def _agree(judgement: Judgement, place: str, reading: _Reading) -> None:
    """A file is about one model, against one opponent or against none."""
    n_sides, models = len(judgement.scores), _models(judgement.record)
    if reading.n_sides not in (0, n_sides):
        raise VerdictError(f"{reading.name} {place}: pairs and single answers in one file. Split it in two.")
    if reading.models is not None and reading.models != models:
        one, other = (" against ".join(filter(None, pair)) for pair in (reading.models, models))
        raise VerdictError(f"{reading.name} {place}: verdicts on {other!r}, those before on {one!r}. Split the file.")
    reading.n_sides, reading.models = n_sides, models


def _models(record: Mapping[str, Any]) -> tuple[str, str]:
    keys = ("assistant1_QUERY0", "assistant2_QUERY0") if is_published(record) else ("ours", "opponent")
    return str(record.get(keys[0]) or ""), str(record.get(keys[1]) or "")


def _compare_reply(judgement: Judgement, place: str, reading: _Reading) -> None:
    """Note where the reply's own first line, which names what was shown first, says something else than the stored scores."""
    first_line = str(judgement.record.get(f"response_QUERY{judgement.order}") or "").partition("\n")[0]
    match = SCORE_LINE.fullmatch(first_line)
    if match is None:
        return
    said = (float(match[1]), float(match[2])) if judgement.order == 0 else (float(match[2]), float(match[1]))
    if said != judgement.scores:
        detail = f"{place}: {judgement.detail}, but the reply begins {first_line.strip()!r}"
        hint = "; stored as shown, not ours first?" if said[::-1] == judgement.scores else ""
        reading.note("reply_differs", judgement.question_id, judgement.order, detail + hint)


def _note_missing(path: Path, reading: _Reading) -> None:
    beside = path.with_suffix(MISSING)
    for row in json_rows(beside, str(beside)) if beside.is_file() else ():
        if isinstance(row.record, dict):
            side = row.record.get("missing", "one side")
            reading.note("missing_question", str(row.record.get("question_id")), None, f"not judged: no answer of {side}")


def _arrays(path: Path, reading: _Reading) -> Verdicts:
    judgements = reading.judgements
    question_ids = tuple(dict.fromkeys(question_id for question_id, _ in judgements))
    orders = tuple(sorted({order for _, order in judgements}))
    scores_QOS = np.full((len(question_ids), len(orders), reading.n_sides), np.nan)
    lengths_QS = np.full((len(question_ids), reading.n_sides), np.nan)
    records: list[Mapping[str, Any]] = []
    for row, question_id in enumerate(question_ids):
        found = [judgements.get((question_id, order)) for order in orders]
        for order_pos, judgement in enumerate(found):
            if judgement is None:
                reading.note("missing_order", question_id, orders[order_pos], f"not judged with {ORDERS[orders[order_pos]]}")
            elif None not in judgement.scores:
                scores_QOS[row, order_pos] = judgement.scores
        records.append(next(judgement.record for judgement in found if judgement is not None))
        for side, key in enumerate(("answer", "opponent_answer")[: reading.n_sides]):
            text = records[row].get(key)
            if isinstance(text, str):
                lengths_QS[row, side] = len(text)
                if not text.strip():
                    reading.note("empty_answer", question_id, None, f"{key} is empty; its scores count as judged")
    ours, opponent = reading.models or ("", "")
    return Verdicts(
        name=str(path),
        ours=ours,
        opponent=opponent if reading.n_sides == 2 else None,
        question_ids=question_ids,
        questions=tuple(str(record.get("question", record.get("question_text")) or "") for record in records),
        categories=tuple(None if record.get("category") is None else str(record["category"]) for record in records),
        orders=orders,
        scores_QOS=scores_QOS,
        lengths_QS=lengths_QS,
        problems=tuple(reading.problems),
    )


def _first(problems: Sequence[Problem]) -> str:
    return f": {problems[0].detail}" if problems else ""
