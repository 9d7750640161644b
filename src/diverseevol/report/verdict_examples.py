"""Answers side by side: where the last judged round did best and worst against its opponent, and what the judge said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ..errors import PoolError
from ..pool.json_files import json_rows
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
    by_question: dict[str, list[dict[str, Any]]] = {}
    try:
        records = [row.record for row in json_rows(file, str(file))]
    except PoolError:
        return []  # `score` says what is wrong with it
    for verdict in records:
        if isinstance(verdict, dict) and isinstance(verdict.get("score"), int | float) and isinstance(verdict.get("answer"), str):
            by_question.setdefault(str(verdict.get("question_id")), []).append(verdict)
    scored = sorted(by_question.values(), key=_margin, reverse=True)
    best, worst = scored[:N_EACH], scored[N_EACH:][-N_EACH:]
    middle = scored[N_EACH : len(scored) - N_EACH]
    nearest = sorted(middle, key=lambda verdicts: abs(_margin(verdicts)))[:1]
    return [_example(verdicts) for verdicts in [*best, *nearest, *reversed(worst)]]


def _points(verdicts: list[dict[str, Any]]) -> tuple[float, float]:
    """Each side's mean over the orders; 0 for an opponent that is not there."""
    ours, theirs = zip(*((verdict["score"], verdict.get("opponent_score") or 0.0) for verdict in verdicts), strict=True)
    return fmean(ours), fmean(theirs)


def _margin(verdicts: list[dict[str, Any]]) -> float:
    ours, theirs = _points(verdicts)
    return ours - theirs


def _example(verdicts: list[dict[str, Any]]) -> Example:
    first = verdicts[0]
    is_pair = isinstance(first.get("opponent_answer"), str)
    ours, theirs = _points(verdicts)
    outcome = "Won" if ours > theirs else "Lost" if ours < theirs else "Even"
    return Example(
        title=f"{outcome}, {ours:.3g} to {theirs:.3g}" if is_pair else f"{ours:.3g} points",
        question=plain(str(first.get("question", "")), LONGEST),
        ours=plain(first["answer"], LONGEST),
        opponent=plain(first["opponent_answer"], LONGEST) if is_pair else None,
        names=(plain(str(first.get("ours", "this run")), 80), plain(str(first.get("opponent", "opponent")), 80)),
        scores=(f"{ours:.3g}", f"{theirs:.3g}"),
        reply=plain(str(first.get("reply", "")), LONGEST),
    )
