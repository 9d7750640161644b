"""From kept replies to the file of verdicts, a line a judgement, in the order of the questions.

    {"question_id", "order", "score", "opponent_score", "reply", "question", "category", "answer",
    "opponent_answer",
     "judge", "answered_by", "template", "ours", "opponent"}
Scores are ours first, whatever the order shown; null with "problem" where the reply is unreadable. Judgements
without a reply have no line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.files import write_jsonl
from .api import Reply
from .judge_ask import Judge
from .judge_pairs import Judgement
from .judge_parse import Unreadable, read_scores


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement with its reply, and its scores, ours first."""

    judgement: Judgement
    reply: Reply
    scores: tuple[float, float] | Unreadable


def verdicts_of(judge: Judge, judgements: Iterable[Judgement], kept: Mapping[str, Reply]) -> list[Verdict]:
    """The verdicts that there are, in the judgements' order."""
    return [
        _verdict(judgement, reply) for judgement in judgements if (reply := kept.get(judge.key(judgement)))
    ]


def _verdict(judgement: Judgement, reply: Reply) -> Verdict:
    scores = read_scores(reply.text)
    if isinstance(scores, Unreadable):
        return Verdict(judgement, reply, scores.because(reply.finish))
    return Verdict(judgement, reply, judgement.ours_first(scores))


def write_verdicts(file: Path, verdicts: Iterable[Verdict], judge: Judge, ours: str, opponent: str) -> None:
    """Write the file at once or not at all."""
    write_jsonl(file, (_line(verdict, judge, ours, opponent) for verdict in verdicts))


def _line(verdict: Verdict, judge: Judge, ours: str, opponent: str) -> dict[str, Any]:
    judgement, reply = verdict.judgement, verdict.reply
    scores = (None, None) if isinstance(verdict.scores, Unreadable) else verdict.scores
    problem = {"problem": verdict.scores.reason} if isinstance(verdict.scores, Unreadable) else {}
    return {
        "question_id": judgement.question_id,
        "order": judgement.order,
        "score": scores[0],
        "opponent_score": scores[1],
        **problem,
        "reply": reply.text,
        "question": judgement.question,
        "category": judgement.category,
        "answer": judgement.answer,
        "opponent_answer": judgement.opponent_answer,
        "judge": judge.model,
        "answered_by": reply.answered_by,
        "template": judge.template.name,
        "ours": ours,
        "opponent": opponent,
    }
