"""A row as its source has it, and the dialogue that every format is turned into."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant", "tool"]
N_SHOWN = 200
"""Characters of a bad row that are kept to recognise it by."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a dialogue.

    Attributes:
        role: Who speaks; `tool` is the answer of a tool to an assistant's call.
        text: What is said, exactly as the record has it.
        input: A user turn's separate input, kept apart because the Alpaca template has a slot of its own for
            it.
        is_trained: Whether the loss counts this turn; only ever true for an assistant's.
        tool_calls: The calls an assistant turn makes, as JSON text; empty where there are none.
        thinking: What an assistant thinks before it speaks, where the record keeps it apart from the text.
        call_id: The id of the call that a tool's turn answers, where the record says it.
        name: The name of the tool that answers, where the record says it.
    """

    role: Role
    text: str
    input: str = ""
    is_trained: bool = False
    tool_calls: str = ""
    thinking: str = ""
    call_id: str = ""
    name: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is thought, said or called in it, in the order in which it is written; no empty text."""
        return tuple(part for part in (self.thinking, self.text, self.input, self.tool_calls) if part)


@dataclass(frozen=True, slots=True)
class Sample:
    """A whole dialogue; `tools` is the JSON text of the tools on offer, empty where there are none."""

    turns: tuple[Turn, ...]
    tools: str = ""


def plain_text(sample: Sample, between: str = "\n") -> str:
    """What is said in a sample, without a template: thinking, texts, inputs and calls, a line apart.

    System turns are left out: most pools repeat theirs in every row, and a model that reads few tokens would
    see nothing else.
    """
    turns = [turn for turn in sample.turns if turn.role != "system"]
    return between.join(part for turn in turns for part in turn.texts)


class RowError(Exception):
    """Why a row cannot be used; caught where rows are read and never seen outside."""


class UnknownRowError(RowError):
    """The row is of no known format."""


class Row(NamedTuple):
    """A record and where it stands, before anybody has looked at what it means.

    Attributes:
        text: The record's JSON text: the user's own characters where the source is JSON, else made of the
            record.
        record: What the text says; None where it says nothing readable.
        source: The file, folder or Hub id it came from.
        number: Its 0-based number among the source's records; headers and blank lines are not counted.
        line: Its 1-based first line in a text file, else None.
        problem: Why it cannot be used, empty where nothing is known against it.
    """

    text: str
    record: Any
    source: str
    number: int
    line: int | None = None
    problem: str = ""

    def place(self) -> str:
        """Where it stands, for people."""
        at = f" line {self.line}" if self.line is not None else ""
        return f"{self.source}{at} (row {self.number})"


def parsed(text: str, what: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a JSON text inside a record; a `RowError` says that `what` is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise RowError(f"{what} is not JSON") from None


def as_list(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    """A list as it is, anything else as the list of it alone."""
    return value if isinstance(value, list) else [value]


def short(text: str) -> str:
    """The first characters of a text, always writable as UTF-8."""
    return text[:N_SHOWN].encode("utf-8", "backslashreplace").decode("utf-8")
