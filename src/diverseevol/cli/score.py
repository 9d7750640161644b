"""`score`: what files of verdicts add up to, without a model and without torch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

FILES = "Verdict files, folders of them, or run folders: our layout or DiverseEvol's published one."
ANSWERS = "Our answers, for lengths that the verdicts do not hold: a file, or a folder with MODEL.jsonl. May be repeated, one a verdict file."
AGAINST = (
    "Take every other file's difference from this one. (Of two files or two folders it is taken by itself.)"
)

Files = Annotated[list[Path], typer.Argument(metavar="FILE…", help=FILES)]
Answers = Annotated[list[Path] | None, typer.Option("--answers", help=ANSWERS)]
OpponentAnswers = Annotated[
    list[Path] | None, typer.Option("--opponent-answers", help="The opponent's, likewise.")
]
Against = Annotated[Path | None, typer.Option("--against", help=AGAINST)]
Expected = Annotated[
    int | None, typer.Option("--n-questions", min=1, help="How many questions the benchmark has.")
]
Scale = Annotated[
    tuple[float, float],
    typer.Option(
        "--scale", help="The scale that the judge was given; scores from 0 up to it count as given."
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap's draws.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts: everything, question by question.")]


def score(
    files: Files,
    answers: Answers = None,
    opponent_answers: OpponentAnswers = None,
    against: Against = None,
    n_questions: Expected = None,
    scale: Scale = (1.0, 10.0),
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Add up verdicts: Relative Score, wins, order effect, intervals, differences, the score at equal lengths."""
    from ..base.text import printable
    from ..evaluation.scoring import score as score_verdicts
    from .score_text import report_lines

    report = score_verdicts(
        *files,
        answers=answers or (),
        opponent_answers=opponent_answers or (),
        against=against,
        n_questions=n_questions,
        scale=scale,
        seed=seed,
    )
    if as_json:
        typer.echo(json.dumps(asdict(report), allow_nan=False))
        return
    for line in report_lines(report):
        typer.echo(printable(line))
