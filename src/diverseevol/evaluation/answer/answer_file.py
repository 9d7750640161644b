"""The answers to one benchmark by one model, on disk: appended a line a question, resumed after any kill, finished in the benchmark's order.

    round-03.settings.json     what the answers depend on; the same command with another setting is refused
    round-03.unfinished/       a file of lines for each process and start; a line that a kill cut off is left out and asked again
    round-03.jsonl             the whole, written at the end and atomically
Every line is flushed when it is written, and synced to the disk every few seconds.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...base import dist
from ...base.files import read_json, remove, write_json, write_jsonl
from ...data.sample import Sample
from ...errors import EvaluationError
from ...run import flat, locked
from ..questions import Question

SYNC_SECONDS = 5.0
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """One turn's answer.

    Attributes:
        text: What was generated, special tokens left out.
        n_tokens: Its tokens, without the one that ended it; None where a server does not say.
        finish: eos, length, or content_filter where a server refused the question.
        asked: The dialogue as it was asked, if it had to be shortened.
    """

    text: str
    n_tokens: int | None
    finish: str
    asked: Sample | None


class AnswerFile:
    """One file of answers; every rank has one."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._settings_file = file.with_suffix(".settings.json")
        self._parts_dir = file.with_suffix(".unfinished")

    def begin(self, settings: Mapping[str, Any], overwrite: bool) -> bool:
        """Start or go on; False if everything is answered already.

        Raises:
            EvaluationError: what is there was answered with other settings, or is not ours.
        """
        return dist.on_main(lambda: self._begin(settings, overwrite))

    def _begin(self, settings: Mapping[str, Any], overwrite: bool) -> bool:
        if overwrite:
            for old in (self.file, self._parts_dir, self._settings_file):
                remove(old)
        elif self._settings_file.exists():
            self._compare(read_json(self._settings_file), settings)
        elif self.file.exists():
            raise EvaluationError(
                f"{self.file} is there already and says nothing of how it was made. Give --overwrite to replace it."
            )
        if self.file.exists():
            return False
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._settings_file, dict(settings))
        return True

    def _compare(self, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        before, after = flat(then), flat(json.loads(json.dumps(now)))
        changed = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
        if changed:
            said = ", ".join(
                f"{key} ({before.get(key)!r} then, {after.get(key)!r} now)" for key in changed[:5]
            )
            raise EvaluationError(
                f"{self.file} was answered with another {said}. Give --overwrite to answer again, or another place."
            )

    @contextmanager
    def writing(self) -> Iterator[Callable[[Line], None]]:
        """Hold the file for this program alone, and hand out what appends this process's lines.

        Raises:
            RunFolderError: another program answers into it.
        """
        with locked(self._parts_dir):
            number = dist.broadcast(len(list(self._parts_dir.glob("*.jsonl")))) + dist.rank()
            dist.barrier()  # every rank has the number before any file is made
            synced = time.monotonic()
            with (self._parts_dir / f"{number:04d}.jsonl").open("a", encoding="utf-8") as out:

                def add(line: Line) -> None:
                    nonlocal synced
                    out.write(json.dumps(line, ensure_ascii=False) + "\n")
                    out.flush()
                    if time.monotonic() - synced > SYNC_SECONDS:
                        os.fsync(out.fileno())
                        synced = time.monotonic()

                yield add

    def answered(self) -> dict[str, Line]:
        """The lines so far, by `key_of` their questions; the same on every rank."""
        return dist.on_main(self._read)

    def _read(self) -> dict[str, Line]:
        found: dict[str, Line] = {}
        for part in sorted(self._parts_dir.glob("*.jsonl")):
            *whole, _ = part.read_text("utf-8", errors="replace").split("\n")
            for text in whole:
                try:
                    line = json.loads(text)
                except ValueError:
                    continue  # blocks of zeros, which some file systems leave behind a power cut: asked again
                found[key_of(line["question_id"])] = line
        return found

    def finish(self, question_ids: Iterable[int | str]) -> dict[str, Line]:
        """Write the whole in the benchmark's order, once every rank is here; return its lines by `key_of` their questions.

        Raises:
            EvaluationError: a question is not answered.
        """
        dist.barrier()
        return dist.on_main(lambda: self._finish([key_of(name) for name in question_ids]))

    def _finish(self, keys: list[str]) -> dict[str, Line]:
        lines = self._read()
        missing = [key for key in keys if key not in lines]
        if missing:
            raise EvaluationError(
                f"{len(missing)} questions have no answer, first {missing[0]}. Give the same command again."
            )
        write_jsonl(self.file, (lines[key] for key in keys))
        remove(self._parts_dir)
        return {key: lines[key] for key in keys}


def key_of(question_id: int | str) -> str:
    """A question's id as a key: 1 and "1" are two questions."""
    return json.dumps(question_id)


def answer_line(question: Question, said: Sequence[Said], model: str) -> Line:
    """The line of a question; of several turns the last one's question, answer and end are the line's."""
    last = said[-1]
    line: Line = {
        "question_id": question.id,
        "question": _text(question, len(said) - 1),
        "category": question.category,
        "answer": last.text,
    }
    if len(said) > 1:
        line |= {"questions": list(question.turns[: len(said)]), "turns": [turn.text for turn in said]}
    line |= {
        "n_tokens": last.n_tokens,
        "finish": last.finish,
        "is_cut": any(turn.asked for turn in said),
        "model": model,
    }
    if last.asked:
        line["asked"] = [
            {"role": turn.role, "content": turn.text, **({"input": turn.input} if turn.input else {})}
            for turn in last.asked.turns
        ]
    return line


def _text(question: Question, turn: int) -> str:
    text = question.turns[turn]
    return f"{text}\n{question.input}" if question.input and turn == 0 else text
