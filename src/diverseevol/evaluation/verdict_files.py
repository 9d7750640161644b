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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.json_files import json_rows, kind_of
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

    kind: str
    question_id: str | None
    order: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The judgements of one file, as arrays.

    Attributes:
        name: What to call the file; `ours`, `opponent`: the models' names, empty where unknown.
        question_ids: In the file's order; `questions`: their texts, empty where unknown.
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
    """The files that a path stands for: itself, a run's verdicts, or all JSON files below a folder.

    Files of a folder come in natural order, rd_2 before rd_10.

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
    if not found:
        raise PoolError(
            f"{path} has no verdicts yet. Have its answers judged: diverseevol score {path} --benchmark NAME "
            "--opponent base --model JUDGE."
            if is_run
            else f"{path} holds no .jsonl or .json file. Give a verdict file or a folder of them."
        )
    parts = {file: re.split(r"(\d+)", str(file)) for file in found}
    return sorted(
        found, key=lambda file: [(int(part), "") if part.isdecimal() else (-1, part) for part in parts[file]]
    )


class _Judged(NamedTuple):
    """What a record says of one order; a score is None where it does not count."""

    scores: Scores
    detail: str
    record: Mapping[str, Any]


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
            f"the scale goes from {scale[0]:g} to {scale[1]:g}. Give the lowest score first."
        )
    judged: dict[tuple[str, int], _Judged] = {}
    problems: list[Problem] = []
    models = ["", ""]
    for row in json_rows(path, str(path), split=None):
        place = f"line {row.line}" if row.line is not None else f"record {row.number}"
        record: Mapping[str, Any] = row.record if isinstance(row.record, dict) else {}
        named = (record.get(key) for key in ("question_id", "question", "instruction"))
        question_id = next((str(name) for name in named if name is not None), "")
        problem = "" if row.problem.endswith(NO_JSON) else row.problem
        if problem or not question_id:
            detail = f"{place}: {problem or 'no object with a question_id'}"
            problems.append(Problem("bad_line", None, None, detail))
            continue
        order = record.get("order", 0)
        is_published = any(key in record for key in ("eval_QUERY0", "eval_QUERY1", "assistant1_QUERY0"))
        if not is_published and "score" not in record and "winner" not in record:
            raise EvaluationError(
                f"{path} {place} is no verdict: it has the keys {', '.join(list(record)[:6])}. A verdict has "
                "`score`, `winner`, or `eval_QUERY0`."
            )
        if not is_published and (order not in (0, 1) or isinstance(order, bool)):
            detail = f"{place}: order is {order!r}, not 0 or 1"
            problems.append(Problem("bad_line", question_id, None, detail))
            continue
        keys = ("assistant1_QUERY0", "assistant2_QUERY0") if is_published else ("ours", "opponent")
        for side, key in enumerate(keys):  # a file is about one model, against one opponent
            name = str(record.get(key) or "")
            if models[side] and name and models[side] != name:
                raise EvaluationError(
                    f"{path} {place}: verdicts on {name!r}, those before on {models[side]!r}. Split the file."
                )
            models[side] = models[side] or name
        on_scale = scale if is_published or "score" in record else None  # a point to the winner is on none
        for at, scores, detail in _published(record) if is_published else [_own(record, int(order))]:
            one = _Judged(scores, f"{place}: {detail}", record)
            problems += _taken(judged, (question_id, at), one, on_scale)
    if not judged:
        first = f": {problems[0].detail}" if problems else ""
        raise EvaluationError(
            f"{path} holds no verdicts{first}. Give a file of verdicts, as `score --model` writes it."
        )
    return _arrays(str(path), (models[0], models[1]), judged, problems)


def _published(record: Mapping[str, Any]) -> Iterator[tuple[int, Scores, str]]:
    for order in (0, 1):
        if any(key.endswith(f"_QUERY{order}") for key in record):  # else this order was not asked for
            stored = record.get(f"eval_QUERY{order}")
            scores: Any = NUMBERS.findall(stored) if isinstance(stored, str) else stored
            is_pair = isinstance(scores, list) and len(scores) == 2
            pair = (_number(scores[0]), _number(scores[1])) if is_pair else (None, None)
            yield order, pair, f"eval_QUERY{order} is {stored!r}"


def _own(record: Mapping[str, Any], order: int) -> tuple[int, Scores, str]:
    if "score" not in record:
        return order, POINTS.get(str(record["winner"]), (None, None)), f"winner is {record['winner']!r}"
    ours, opponent = record["score"], record.get("opponent_score")
    why = f" ({record['problem']})" if record.get("problem") else ""
    return order, (_number(ours), _number(opponent)), f"score {ours!r} and opponent_score {opponent!r}{why}"


def _number(stored: Any) -> float | None:  # noqa: ANN401 - any JSON value
    if isinstance(stored, bool) or not isinstance(stored, int | float | str):
        return None
    try:
        number = float(stored)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number != UNREADABLE else None


def _taken(
    judged: dict[tuple[str, int], _Judged],
    key: tuple[str, int],
    one: _Judged,
    scale: tuple[float, float] | None,
) -> list[Problem]:
    """Add a judgement, unless its question was judged in this order before; return what is odd about it."""
    problems, earlier = [], judged.get(key)
    if earlier is not None:
        # A judge that was asked again after an unreadable reply may have appended the second one.
        is_better = None in earlier.scores and None not in one.scores
        place, _, detail = one.detail.partition(": ")
        unused = earlier.detail.partition(": ")[2] if is_better else detail
        problems.append(Problem("duplicate", *key, f"{place}: judged before; {unused} does not count"))
        if not is_better:
            return problems
    known = [score for score in one.scores if score is not None]
    low, high = scale or (-math.inf, math.inf)
    if len(known) < len(one.scores):
        problems.append(Problem("unreadable", *key, one.detail))
    elif any(not min(low, 0) <= score <= high for score in known):
        problems.append(Problem("off_scale", *key, f"{one.detail}, outside {low:g} to {high:g}"))
        one = one._replace(scores=(None, None))
    elif any(score < low for score in known):
        problems.append(Problem("below_scale", *key, f"{one.detail}, below {low:g}; counts as given"))
    judged[key] = one
    return problems


def _arrays(
    name: str, models: tuple[str, str], judged: Mapping[tuple[str, int], _Judged], problems: list[Problem]
) -> Verdicts:
    question_ids = tuple(dict.fromkeys(question_id for question_id, _ in judged))
    orders = tuple(sorted({order for _, order in judged}))
    scores_QOS = np.full((len(question_ids), len(orders), 2), np.nan)
    lengths_QS = np.full((len(question_ids), 2), np.nan)
    records: list[Mapping[str, Any]] = []
    for row, question_id in enumerate(question_ids):
        found = {order: judged[question_id, order] for order in orders if (question_id, order) in judged}
        for order_pos, order in enumerate(orders):
            if order not in found:
                detail = f"not judged with {ORDERS[order]}"
                problems.append(Problem("missing_order", question_id, order, detail))
            elif None not in found[order].scores:
                scores_QOS[row, order_pos] = found[order].scores
        readable = [one for one in found.values() if None not in one.scores]
        record = (readable or list(found.values()))[0].record
        records.append(record)
        for side, prefix in enumerate(("", "opponent_")):
            text, length = record.get(f"{prefix}answer"), record.get(f"{prefix}length")
            if isinstance(text, str):
                lengths_QS[row, side] = len(text)
                if not text.strip():
                    detail = f"{prefix}answer is empty; its scores count as judged"
                    problems.append(Problem("empty_answer", question_id, None, detail))
            elif isinstance(length, int | float) and not isinstance(length, bool) and length >= 0:
                lengths_QS[row, side] = length
    keys = ("question", "question_text", "instruction")
    return Verdicts(
        name=name,
        ours=models[0],
        opponent=models[1],
        question_ids=question_ids,
        questions=tuple(
            next((one[key] for key in keys if isinstance(one.get(key), str)), "") for one in records
        ),
        orders=orders,
        scores_QOS=scores_QOS,
        lengths_QS=lengths_QS,
        records=tuple(records),
        problems=tuple(problems),
    )
