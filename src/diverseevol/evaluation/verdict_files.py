"""Reading verdict files of either layout into arrays, with a note of everything that does not count.

The first line of every published reply is compared with the stored scores, so that a file stored the other way round does not pass unnoticed.
Cost: one pass over the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..data.files_in import kind_of
from ..data.json_files import json_rows
from ..errors import EvaluationError, PoolError
from ..run import RunFolder
from .judgements import Problem, ProblemKind, Verdicts
from .verdict_layouts import (
    StoredScores,
    id_of,
    is_published,
    is_verdict,
    judgements_of,
    length_of,
    models_of,
    question_of,
    said_in_reply,
)

SCALE = (1.0, 10.0)
NO_JSON = "is not JSON"
"""How the problem of a record ends that holds NaN: only the scores that are NaN are unreadable."""
KINDS = (".jsonl", ".json")
MISSING = ".missing.jsonl"
"""Beside a file of verdicts: the questions that only one side answered."""
SHOWN = ("ours first", "ours second")


@dataclass(slots=True)
class _Reading:
    """What has been read of a file so far."""

    name: str
    judgements: dict[tuple[str, int], StoredScores] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    n_sides: int = 0
    models: tuple[str, str] = ("", "")

    def note(self, kind: ProblemKind, question_id: str | None, order: int | None, detail: str) -> None:
        self.problems.append(Problem(kind, question_id, order, detail))


def natural_key(text: str) -> list[tuple[int, str]]:
    """Sort key by which rd_2 comes before rd_10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def find_verdict_files(paths: Sequence[Path]) -> list[Path]:
    """The files that paths stand for: a file for itself, a folder for all JSON files below it, in natural order.

    A run folder stands for its verdicts.

    Raises:
        PoolError: a path is not there, or a folder holds no such file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise PoolError(
                f"there are no verdicts at {str(path)!r}: no such file or folder. Correct the path."
            )
        inside = _inside(path) if path.is_dir() else [path]
        if not inside:
            if RunFolder(path).config_file.exists():
                raise PoolError(
                    f"{path} has no verdicts yet. Have its answers judged: diverseevol judge {path} --benchmark NAME."
                )
            raise PoolError(f"{path} holds no .jsonl or .json file. Give a verdict file or a folder of them.")
        found += inside
    return found


def _inside(folder: Path) -> list[Path]:
    run = RunFolder(folder)
    below = run.all_verdicts_dir if run.config_file.exists() else folder
    files = [
        file
        for file in below.rglob("*")
        if kind_of(file) in KINDS and not file.name.endswith(MISSING) and file.is_file()
    ]
    return sorted(files, key=lambda file: natural_key(str(file)))


def read_verdicts(path: Path, scale: tuple[float, float] = SCALE) -> Verdicts:
    """Read one file of either layout.

    Args:
        path: JSON lines or an array, packed or not.
        scale: the lowest and the highest score that a judge is asked for; lower ones down to 0 count as given.

    Raises:
        PoolError: the file cannot be read.
        EvaluationError: it holds no verdicts, or those of several models, or both pairs and single answers; the scale is upside down.
    """
    if not scale[0] < scale[1]:
        raise EvaluationError(
            f"the scale goes from {scale[0]:g} to {scale[1]:g}. Give the lowest score first, then the highest."
        )
    reading = _Reading(str(path))
    for row in json_rows(path, str(path), split=None):
        place = f"line {row.line}" if row.line is not None else f"record {row.number}"
        problem = "" if row.problem.endswith(NO_JSON) else row.problem
        if problem or not isinstance(row.record, dict) or not id_of(row.record):
            reading.note("bad_line", None, None, f"{place}: {problem or 'no object with a question_id'}")
            continue
        if not is_verdict(row.record):
            keys = ", ".join(list(row.record)[:6])
            raise EvaluationError(
                f"{path} {place} is no verdict: it has the keys {keys}. A verdict has `score`, `winner`, or `eval_QUERY0`."
            )
        try:
            found = list(judgements_of(row.record))
        except ValueError as error:
            reading.note("bad_line", id_of(row.record), None, f"{place}: {error}")
            continue
        for judgement in found:
            _take(judgement, place, scale, reading)
    if not reading.judgements:
        first = f": {reading.problems[0].detail}" if reading.problems else ""
        raise EvaluationError(f"{path} holds no verdicts{first}. Give the file that `judge` wrote.")
    _note_missing(path, reading)
    return _arrays(path, reading)


def _take(judgement: StoredScores, place: str, scale: tuple[float, float], reading: _Reading) -> None:
    """Add a judgement, unless the same question was judged in the same order before, and note what is odd about it."""
    question_id, order = judgement.question_id, judgement.order
    _agree(judgement, place, reading)
    earlier, scores = reading.judgements.get((question_id, order)), judgement.scores
    if earlier is not None:
        # A judge that was asked again after an unreadable reply may have appended the second one.
        is_better = None in earlier.scores and None not in scores
        unused = earlier if is_better else judgement
        reading.note(
            "duplicate", question_id, order, f"{place}: judged before; {unused.detail} does not count"
        )
        if not is_better:
            return
    if None in scores:
        reading.note("unreadable", question_id, order, f"{place}: {judgement.detail}")
    elif "score" not in judgement.record and not is_published(judgement.record):
        pass  # a point to the winner is on no scale
    elif any(not min(scale[0], 0) <= score <= scale[1] for score in scores if score is not None):
        reading.note(
            "off_scale",
            question_id,
            order,
            f"{place}: {judgement.detail}, outside {scale[0]:g} to {scale[1]:g}",
        )
        scores = (None,) * len(scores)
    else:
        if any(score < scale[0] for score in scores if score is not None):
            detail = f"{place}: {judgement.detail}, below {scale[0]:g}; counts as given"
            reading.note("below_scale", question_id, order, detail)
        if is_published(judgement.record):
            _compare_reply(judgement, place, reading)
    reading.judgements[question_id, order] = replace(judgement, scores=scores)


def _agree(judgement: StoredScores, place: str, reading: _Reading) -> None:
    """A file is about one model, against one opponent or against none."""
    n_sides, models = len(judgement.scores), models_of(judgement.record)
    if reading.n_sides not in (0, n_sides):
        raise EvaluationError(
            f"{reading.name} {place}: pairs and single answers in one file. Split it in two."
        )
    for known, name in zip(reading.models, models, strict=True):
        if known and name and known != name:
            raise EvaluationError(
                f"{reading.name} {place}: verdicts on {name!r}, those before on {known!r}. Split the file."
            )
    reading.n_sides, reading.models = (
        n_sides,
        (reading.models[0] or models[0], reading.models[1] or models[1]),
    )


def _compare_reply(judgement: StoredScores, place: str, reading: _Reading) -> None:
    """Note where the reply's own first line says something else than the stored scores."""
    line, said = said_in_reply(judgement) or ("", judgement.scores)
    if said != judgement.scores:
        hint = "; stored as shown, not ours first?" if said[::-1] == judgement.scores else ""
        detail = f"{place}: {judgement.detail}, but the reply begins {line!r}{hint}"
        reading.note("reply_differs", judgement.question_id, judgement.order, detail)


def _note_missing(path: Path, reading: _Reading) -> None:
    beside = path.with_suffix(MISSING)
    for row in json_rows(beside, str(beside)) if beside.is_file() else ():
        if isinstance(row.record, dict):
            side = row.record.get("missing", "one side")
            reading.note(
                "missing_question",
                str(row.record.get("question_id")),
                None,
                f"not judged: no answer of {side}",
            )


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
                reading.note(
                    "missing_order",
                    question_id,
                    orders[order_pos],
                    f"not judged with {SHOWN[orders[order_pos]]}",
                )
            elif None not in judgement.scores:
                scores_QOS[row, order_pos] = judgement.scores
        there = [judgement for judgement in found if judgement is not None]
        records.append(
            next((judgement for judgement in there if None not in judgement.scores), there[0]).record
        )
        for side, key in enumerate(("answer", "opponent_answer")[: reading.n_sides]):
            length, text = length_of(records[row], side), records[row].get(key)
            lengths_QS[row, side] = np.nan if length is None else length
            if isinstance(text, str) and not text.strip():
                reading.note("empty_answer", question_id, None, f"{key} is empty; its scores count as judged")
    questions = tuple(question_of(record) for record in records)
    _note_same(question_ids, questions, reading)
    return Verdicts(
        name=str(path),
        ours=reading.models[0],
        opponent=reading.models[1] if reading.n_sides == 2 else None,
        question_ids=question_ids,
        questions=questions,
        orders=orders,
        scores_QOS=scores_QOS,
        lengths_QS=lengths_QS,
        records=tuple(records),
        problems=tuple(reading.problems),
    )


def _note_same(question_ids: Sequence[str], questions: Sequence[str], reading: _Reading) -> None:
    first_of: dict[str, str] = {}
    for question_id, text in zip(question_ids, questions, strict=True):
        if text and first_of.setdefault(text, question_id) != question_id:
            reading.note(
                "same_question", question_id, None, f"the text of question {first_of[text]}; both count"
            )
