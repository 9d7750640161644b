"""Lengths of the judged answers from files of answers, for verdict files that hold none.

Shape letters: Q questions, S sides (ours, the opponent's).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import EvaluationError, PoolError
from .judge.answers import Answer, read_answers
from .judgements import Problem, Verdicts


def answers_file_of(model: str, path: Path) -> Path:
    """The file with a model's answers: `path` itself or, in a folder, MODEL.jsonl, or the model's last name .jsonl.

    Raises:
        PoolError: the folder has no such file.
    """
    if not path.is_dir():
        return path
    name = PurePosixPath(model)
    # The model's name comes out of a file: it must not lead out of the folder.
    names = (
        [name, PurePosixPath(name.name)]
        if model and not name.is_absolute() and ".." not in name.parts
        else []
    )
    for candidate in names:
        file = path / f"{candidate}.jsonl"
        if file.is_file():
            return file
    raise PoolError(f"{path} has no answers of {model!r}: no such .jsonl file in it. Give the file itself.")


def with_lengths(verdicts: Verdicts, files: Sequence[Path | None]) -> Verdicts:
    """Fill in the lengths that are not known, a file of answers a side; None for a side without one.

    Answers are matched by question id, those without one by the question's text. Empty answers are noted, and so are questions that our
    file answers and nobody judged.

    Raises:
        EvaluationError: a file cannot be read.
        EvaluationError: a file answers none of the judged questions.
    """
    lengths_QS = verdicts.lengths_QS.copy()
    problems = list(verdicts.problems)
    for side, file in enumerate(files[: lengths_QS.shape[1]]):
        if file is None:
            continue
        answers = {key: answer for answer in read_answers(file) for key in _keys(answer)}
        found = [answers.get(key) or answers.get(text) for key, text in _questions(verdicts)]
        if not any(found):
            raise EvaluationError(
                f"{file} answers none of the questions in {verdicts.name}. Give the answers that were judged."
            )
        for row, answer in enumerate(found):
            if answer is not None and np.isnan(lengths_QS[row, side]):
                text = answer.said(len(answer.turns))
                lengths_QS[row, side] = len(text)
                if not text.strip():
                    detail = f"{'ours' if side == 0 else 'the opponent'} answered nothing; its scores count as judged"
                    problems.append(Problem("empty_answer", verdicts.question_ids[row], None, detail))
        if side == 0:
            problems += _not_judged(answers, verdicts, file)
    return replace(verdicts, lengths_QS=lengths_QS, problems=tuple(problems))


def _keys(answer: Answer) -> list[tuple[str, str]]:
    if answer.question_id is not None:
        return [("id", str(answer.question_id))]
    return [("text", answer.question)] if answer.question else []


def _questions(verdicts: Verdicts) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    return [
        (("id", name), ("text", text))
        for name, text in zip(verdicts.question_ids, verdicts.questions, strict=True)
    ]


def _not_judged(answers: dict[tuple[str, str], Answer], verdicts: Verdicts, file: Path) -> list[Problem]:
    judged = {key for keys in _questions(verdicts) for key in keys}
    return [
        Problem(
            "missing_question",
            key if kind == "id" else None,
            None,
            f"answered in {file}, not judged: {key[:60]!r}",
        )
        for kind, key in answers
        if (kind, key) not in judged
    ]
