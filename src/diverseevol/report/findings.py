"""What was wrong with a run's data, by kinds, and what judges said of its rounds, answers side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..data.left_out import left_out_lines
from ..errors import DiverseEvolError
from ..evaluation.scoring import FileScore, QuestionScore, score_file
from ..evaluation.verdict_files import Verdicts, read_verdicts
from .runs import RunData

N_KINDS = 12
CHANGING = re.compile(r"\d[\d,]*|'[^']*'|\"[^\"]*\"")
"""What differs between two reasons of one kind: numbers and quoted values."""
MATCH = "{id}, like question {question_id}: {matched}"
LISTS = {
    "quarantine": ("{reason}", "row {row}: {text}"),
    "duplicates": ("{kind}, {fate}", "{id}, like {kept_id} ({similarity})"),
    "contamination": ("a question of {benchmark}", MATCH),
}
"""The pool folder's lists: the kind of a line, and what is shown of the first of a kind."""
VERDICTS = re.compile(r"round-(?P<round>\d+)(?:-vs-(?P<opponent>[\w.-]+?))?\.jsonl")
N_EACH = 2
Example = tuple[QuestionScore, Mapping[str, Any]]


@dataclass(frozen=True)
class Problem:
    """A list of `n` lines, whether anybody looked, and its most frequent kinds: how many, kind, the first."""

    name: str
    is_known: bool
    n: int
    rows: list[tuple[str, str, str]]


def problems_of(run: RunData) -> Iterator[Problem]:
    """Everything that the run's pool folder says was wrong, also that nothing was."""
    for name, (kind, example) in LISTS.items():
        file = run.folder.pool_dir / f"{name}.jsonl"
        first: dict[str, dict[str, Any]] = {}
        for line in left_out_lines(file):
            line["fate"] = "left out" if line.get("is_dropped") else "kept (pool.dedup drops them)"
            text = kind.format_map(line)
            first.setdefault(CHANGING.sub("…", text), line | {"what": text, "n": 0})["n"] += 1
        kinds = sorted(first.values(), key=lambda line: -line["n"])
        rows = [(f"{line['n']:,}", line["what"], example.format_map(line)) for line in kinds[:N_KINDS]]
        yield Problem(name, file.exists(), sum(line["n"] for line in kinds), rows)


@dataclass(frozen=True)
class Judged:
    """A round's verdicts: benchmark and opponent in words, and the round's place among the finished ones."""

    name: str
    at: int
    verdicts: Verdicts
    score: FileScore

    def examples(self) -> list[Example]:
        """Questions with their records: the best two, the most even one of the rest, the worst two."""

        def margin(pair: Example) -> float:
            return (pair[0].score or 0.0) - (pair[0].opponent_score or 0.0)

        pairs = zip(self.score.questions, self.verdicts.records, strict=True)
        known = [
            pair for pair in pairs if pair[0].score is not None and isinstance(pair[1].get("answer"), str)
        ]
        known.sort(key=margin, reverse=True)
        best, middle, worst = known[:N_EACH], known[N_EACH:-N_EACH], known[N_EACH:][-N_EACH:]
        return [*best, *sorted(middle, key=lambda pair: abs(margin(pair)))[:1], *reversed(worst)]


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
