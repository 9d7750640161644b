"""What judges said of a run's rounds: scores, and answers side by side where a round did best and worst."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DiverseEvolError
from ..evaluation.scoring import FileScore, QuestionScore, score_file
from ..evaluation.verdict_files import Verdicts, read_verdicts
from .runs import RunData

VERDICTS = re.compile(r"round-(?P<round>\d+)(?:-vs-(?P<opponent>[\w.-]+?))?\.jsonl")
N_EACH = 2


@dataclass(frozen=True)
class Judged:
    """A round's verdicts: benchmark and opponent in words, and the round's place among the finished ones."""

    name: str
    at: int
    verdicts: Verdicts
    score: FileScore


def judged_rounds(run: RunData) -> Iterator[Judged]:
    """Verdicts on finished rounds, in their order; `score` says what is wrong with a file passed over."""
    for file in sorted(run.folder.all_verdicts_dir.glob("*/*.jsonl")):
        match = VERDICTS.fullmatch(file.name)
        if not match or int(match["round"]) not in run.rounds:
            continue
        try:
            verdicts = read_verdicts(file)
        except DiverseEvolError:
            continue
        name = file.parent.name + (f" against {match['opponent']}" if match["opponent"] else "")
        yield Judged(name, run.rounds.index(int(match["round"])), verdicts, score_file(verdicts))


def examples_of(judged: Judged) -> list[tuple[QuestionScore, Mapping[str, Any]]]:
    """Questions with their records: the best two, the most even one of the rest, the worst two."""
    pairs = zip(judged.score.questions, judged.verdicts.records, strict=True)
    known = [pair for pair in pairs if pair[0].score is not None and isinstance(pair[1].get("answer"), str)]
    known.sort(key=lambda pair: _margin(pair[0]), reverse=True)
    best, middle, worst = known[:N_EACH], known[N_EACH:-N_EACH], known[N_EACH:][-N_EACH:]
    return [*best, *sorted(middle, key=lambda pair: abs(_margin(pair[0])))[:1], *reversed(worst)]


def _margin(score: QuestionScore) -> float:
    return (score.score or 0.0) - (score.opponent_score or 0.0)
