"""The answers to one benchmark by one model, on disk: appended a line a question, resumed after any kill.

round-03.settings.json     what the answers depend on; the same command with another setting is refused
round-03.unfinished/       a journal for each process
round-03.jsonl             the whole, written at the end and atomically
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..base import dist
from ..base.files import read_json, remove, write_json, write_jsonl
from ..errors import EvaluationError
from ..run import flat, locked
from .journal import Line, open_journal, read_lines
from .questions import Question


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
                f"{self.file} is there already and says nothing of how it was made. Give --overwrite to "
                f"replace it."
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
                f"{self.file} was answered with another {said}. Give --overwrite to answer again, or "
                f"another place."
            )

    @contextmanager
    def writing(self) -> Iterator[Callable[[Line], None]]:
        """Hold the file for this program alone, and hand out what appends this process's lines.

        Raises:
            RunFolderError: another program answers into it.
        """
        # A power cut may lose the last lines, which are then answered again: no answer waits for the disk.
        with (
            locked(self._parts_dir),
            open_journal(self._parts_dir / f"{dist.rank():04d}.jsonl", is_synced=False) as journal,
        ):
            dist.barrier()  # torn lines are gone before anybody reads
            yield journal.add

    def answered(self) -> dict[str, Line]:
        """The lines so far, by `key_of` their questions; the same on every rank."""
        return dist.on_main(self._read)

    def _read(self) -> dict[str, Line]:
        lines = (line for part in sorted(self._parts_dir.glob("*.jsonl")) for line in read_lines(part))
        return {key_of(line["question_id"]): line for line in lines}

    def finish(self, question_ids: Iterable[int | str]) -> dict[str, Line]:
        """Write the whole in the benchmark's order, once every rank is here; return its lines by their keys.

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


def answer_line(
    question: Question, text: str, n_tokens: int | None, finish: str, is_cut: bool, model: str
) -> Line:
    """The line of a question.

    Args:
        question: It.
        text: What was generated, without the tokens that frame a turn.
        n_tokens: Its tokens, without the one that ended it; None where a server does not say.
        finish: eos, length, or content_filter where a server refused the question.
        is_cut: Whether the question had to be shortened.
        model: Whose answer it is.
    """
    asked = f"{question.turns[0]}\n{question.input}" if question.input else question.turns[0]
    said = {"question_id": question.id, "question": asked, "category": question.category, "answer": text}
    return {**said, "n_tokens": n_tokens, "finish": finish, "is_cut": is_cut, "model": model}
