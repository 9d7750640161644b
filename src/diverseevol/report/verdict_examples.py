"""Answers side by side: where the last judged round did best and worst against its opponent, and what the judge said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DiverseEvolError
from ..evaluation.verdict import QuestionScore, question_scores
from ..evaluation.verdict_files import read_verdicts
from .runs import RunData
from .text import plain

N_EACH = 2
LONGEST = 2_000


@dataclass(frozen=True)
class Example:
    """One question with what both sides answered.

    Attributes:
        title: Whether it was won or lost, and by how much.
        question, ours, opponent: Texts; `opponent` is None for an answer that was judged by itself.
        names: Of both sides.
        scores: Each side's mean over the orders, as shown.
        reply: What the judge said first.
    """

    title: str
    question: str
    ours: str
    opponent: str | None
    names: tuple[str, str]
    scores: tuple[str, str]
    reply: str


def examples_of(run: RunData) -> dict[str, list[Example]]:
    """Examples by benchmark and opponent, of the last round that was judged."""
    last: dict[str, Path] = {}
    for benchmark, opponent, _, file in run.verdict_files:
        last[f"{benchmark} against {opponent}" if opponent else benchmark] = file
    return {name: found for name, file in last.items() if (found := _examples(file))}


def _examples(file: Path) -> list[Example]:
    try:
        verdicts = read_verdicts(file)
    except DiverseEvolError:
        return []  # `score` says what is wrong with it
    judged = [
        (score, record)
        for score, record in zip(question_scores(verdicts), verdicts.records, strict=True)
        if score.score is not None and isinstance(record.get("answer"), str)
    ]
    scored = sorted(judged, key=_margin, reverse=True)
    best, worst = scored[:N_EACH], scored[N_EACH:][-N_EACH:]
    middle = scored[N_EACH : len(scored) - N_EACH]
    nearest = sorted(middle, key=lambda one: abs(_margin(one)))[:1]
    return [_example(*one) for one in [*best, *nearest, *reversed(worst)]]


def _margin(judged: tuple[QuestionScore, Mapping[str, Any]]) -> float:
    return (judged[0].score or 0.0) - (judged[0].opponent_score or 0.0)


def _example(score: QuestionScore, record: Mapping[str, Any]) -> Example:
    is_pair = isinstance(record.get("opponent_answer"), str)
    ours, theirs = score.score or 0.0, score.opponent_score or 0.0
    outcome = "Won" if ours > theirs else "Lost" if ours < theirs else "Even"
    return Example(
        title=f"{outcome}, {ours:.3g} to {theirs:.3g}" if is_pair else f"{ours:.3g} points",
        question=plain(str(record.get("question", "")), LONGEST),
        ours=plain(record["answer"], LONGEST),
        opponent=plain(record["opponent_answer"], LONGEST) if is_pair else None,
        names=(plain(str(record.get("ours", "this run")), 80), plain(str(record.get("opponent", "opponent")), 80)),
        scores=(f"{ours:.3g}", f"{theirs:.3g}"),
        reply=plain(str(record.get("reply", "")), LONGEST),
    )
