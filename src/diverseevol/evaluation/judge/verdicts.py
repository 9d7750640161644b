"""From stored replies to the file of verdicts, a line a judgement, in the order of the questions.

    {"question_id", "order", "score", "opponent_score", "reply", "question", "category", "answer", "opponent_answer",
     "judge", "answered_by", "template", "ours", "opponent"}
Scores are ours first, whatever the order shown; null with "problem" where the reply is unreadable. A single answer's line has neither
`order` nor `opponent…`. Judgements without a reply have no line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base.files import read_jsonl, remove, write_jsonl
from ...errors import ConfigError, RunFolderError
from ..api_client import FILTERED, Reply
from .pairs import Judgement, Missing
from .parse import Unreadable, read_scores
from .request import Judge


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement with its reply: the first readable one, else the last."""

    judgement: Judgement
    reply: Reply
    scores: tuple[float, ...] | Unreadable


def verdicts_of(
    judge: Judge, judgements: Iterable[Judgement], stored: Mapping[str, Sequence[Reply]]
) -> list[Verdict]:
    """The verdicts that there are, in the judgements' order."""
    return [
        _verdict(judge, judgement, replies)
        for judgement in judgements
        if (replies := stored.get(judge.key(judgement)))
    ]


def _verdict(judge: Judge, judgement: Judgement, replies: Sequence[Reply]) -> Verdict:
    read = [(reply, read_scores(reply.text, judge.template.n_answers)) for reply in replies]
    reply, scores = next(
        ((reply, scores) for reply, scores in read if not isinstance(scores, Unreadable)), read[-1]
    )
    if isinstance(scores, Unreadable):
        return Verdict(judgement, reply, why_unreadable(reply, scores))
    return Verdict(judgement, reply, judgement.ours_first(scores))


def why_unreadable(reply: Reply, found: Unreadable) -> Unreadable:
    """The reason, and how the reply ended where that explains it."""
    if reply.finish == FILTERED:
        return Unreadable("the server's content filter refused it")
    # Above all models that think until no token is left for the verdict.
    return (
        Unreadable(f"{found.reason}; it was cut at the longest reply") if reply.finish == "length" else found
    )


def write_verdicts(
    file: Path, verdicts: Iterable[Verdict], judge: Judge, ours: str, opponent: str | None
) -> None:
    """Write the file at once or not at all."""
    write_jsonl(file, (_line(verdict, judge, ours, opponent) for verdict in verdicts))


def missing_file(file: Path) -> Path:
    """Where the questions that only one side answered are listed."""
    return file.with_suffix(".missing.jsonl")


def write_missing(file: Path, missing: Sequence[Missing]) -> None:
    """List the questions without a counterpart beside the verdicts; no file where there are none."""
    remove(missing_file(file))
    if missing:
        lines = (
            {"question_id": item.question_id, "question": item.question, "missing": item.side}
            for item in missing
        )
        write_jsonl(missing_file(file), lines)


def n_replaced(file: Path, judgements: Iterable[Judgement], judge: Judge) -> int:
    """How many verdicts of a file are of another judge, or about other answers, than those that will replace it.

    Raises:
        ConfigError: the file holds something else than verdicts.
    """
    if not file.exists():
        return 0
    ours = {(judge.model, judge.template.name, each.answer, each.opponent_answer) for each in judgements}
    try:
        there = [
            (line["judge"], line["template"], line["answer"], line.get("opponent_answer"))
            for line in read_jsonl(file)
        ]
    except (RunFolderError, LookupError):
        raise ConfigError(f"{file} is there already and holds no verdicts. Give another place.") from None
    return sum(verdict not in ours for verdict in there)


def _line(verdict: Verdict, judge: Judge, ours: str, opponent: str | None) -> dict[str, Any]:
    judgement, reply = verdict.judgement, verdict.reply
    scores: tuple[float | None, ...] = (
        (None, None) if isinstance(verdict.scores, Unreadable) else verdict.scores
    )
    against = judgement.opponent_answer is not None
    line: dict[str, Any] = {"question_id": judgement.question_id}
    line |= (
        {"order": judgement.order, "score": scores[0], "opponent_score": scores[1]}
        if against
        else {"score": scores[0]}
    )
    if isinstance(verdict.scores, Unreadable):
        line["problem"] = verdict.scores.reason
    line |= {
        "reply": reply.text,
        "question": judgement.question,
        "category": judgement.category,
        "answer": judgement.answer,
    }
    line |= {"opponent_answer": judgement.opponent_answer} if against else {}
    line |= {
        "judge": judge.model,
        "answered_by": reply.answered_by,
        "template": judge.template.name,
        "ours": ours,
    }
    return {**line, "opponent": opponent} if against else line
