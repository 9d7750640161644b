"""A model answers benchmarks, each into its file; what is answered already is not asked again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ...base import dist
from ...base.progress import Task, Watch
from ...base.text import duration
from ..questions import Question, Questions
from .answer_file import AnswerFile, Line, key_of


class Answerer(Protocol):
    """A model that can be asked."""

    def answer(self, questions: Sequence[Question], write: Callable[[Line], None], task: Task) -> None:
        """Answer this rank's part of the questions, and hand on each as it is done."""


def answer_benchmarks(
    title: str,
    files: Mapping[str, Path],
    settings: Mapping[str, Any],
    load: Callable[[], Answerer],
    benchmarks: Sequence[Questions],
    overwrite: bool,
    watch: Watch,
) -> None:
    """Answer every benchmark with one model.

    Args:
        title: The model's name for people, such as round 3.
        files: Where the answers to each benchmark go.
        settings: What the answers depend on beside the questions.
        load: Loads the model; called only if something is left to answer.
        benchmarks: Their questions.
        overwrite: Answer again what was answered with other settings.
        watch: sees the progress.

    Raises:
        EvaluationError: a file of answers was made with other settings.
        DiverseEvolError: the model cannot be loaded or asked.
    """
    answerer: Answerer | None = None
    for questions in benchmarks:
        file = AnswerFile(files[questions.name])
        own = {"benchmark": questions.name, "questions": questions.fingerprint, **settings}
        own["turns"] = min(own["turns"], max(len(question.turns) for question in questions.items))
        if not file.begin(own, overwrite):
            watch.note(f"{questions.name}, {title}: answered already, {file.file}")
            continue
        answerer = answerer or load()
        _answer(title, questions, file, answerer, watch)


def _answer(title: str, questions: Questions, file: AnswerFile, answerer: Answerer, watch: Watch) -> None:
    started = time.perf_counter()
    with file.writing() as add:
        known = file.answered()
        left = [question for question in questions.items if key_of(question.id) not in known]
        if known:
            watch.note(
                f"{questions.name}, {title}: {len(known)} of {len(questions.items)} questions are answered already"
            )
        with watch.task(f"answer {questions.name}, {title}", len(left), "questions") as task:
            answerer.answer(left, add, task)
        lines = file.finish([question.id for question in questions.items])
    new = [lines[key_of(question.id)] for question in left]
    seconds = time.perf_counter() - started
    n_tokens = sum(line["n_tokens"] or 0 for line in new)
    text = f"{questions.name}, {title}: {len(lines)} answers in {duration(seconds)}, {n_tokens / max(seconds, 1e-9):,.0f} tokens/s"
    for what, key, value in (
        ("stopped by their length", "finish", "length"),
        ("questions cut", "is_cut", True),
    ):
        n = sum(line[key] == value for line in lines.values())
        text += f"; {n} {what}" if n else ""
    watch.note(f"{text}; {file.file}")
    dist.barrier()
