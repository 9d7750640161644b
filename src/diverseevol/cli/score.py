"""`score`: what files of verdicts add up to, without a model and without torch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .settings import read_settings

FILES = "Verdict files, folders of them, or run folders: our layout or DiverseEvol's published one."
ANSWERS = (
    "Our answers, for lengths that the verdicts do not hold: a file, or a folder with MODEL.jsonl. May be "
    "repeated, one a verdict file."
)
AGAINST = (
    "Take every other file's difference from this one. (Of two files or two folders it is taken by itself.)"
)

Files = Annotated[list[str], typer.Argument(metavar="FILE…", help=FILES)]
Answers = Annotated[list[Path] | None, typer.Option("--answers", help=ANSWERS)]
OpponentAnswers = Annotated[
    list[Path] | None, typer.Option("--opponent-answers", help="The opponent's, likewise.")
]
Against = Annotated[Path | None, typer.Option("--against", help=AGAINST)]
Scale = Annotated[
    tuple[float, float],
    typer.Option(
        "--scale", help="The scale that the judge was given; scores from 0 up to it count as given."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts: everything, question by question.")]


def score(
    files: Files,
    answers: Answers = None,
    opponent_answers: OpponentAnswers = None,
    against: Against = None,
    scale: Scale = (1.0, 10.0),
    as_json: AsJson = False,
) -> None:
    """Add up verdicts: Relative Score, wins, order effect, intervals, differences, equal lengths."""
    from ..base.files import expanded
    from ..base.text import printable
    from ..config.verbs import ScoreConfig
    from ..evaluation.scoring import score as score_verdicts
    from .score_text import report_lines

    given, names = read_settings(ScoreConfig, files)
    report = score_verdicts(
        *(Path(expanded(name)) for name in names),
        answers=answers or (),
        opponent_answers=opponent_answers or (),
        against=against,
        n_questions=given.n_questions,
        scale=scale,
        seed=given.seed,
    )
    if as_json:
        typer.echo(json.dumps(asdict(report), allow_nan=False))
        return
    for line in report_lines(report):
        typer.echo(printable(line))
