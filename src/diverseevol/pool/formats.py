"""From a record to a `Sample`: alpaca, dolly, sharegpt, messages, prompt/completion and what is like them.

How a record is read is decided by its keys alone (layouts.py). Every assistant turn is trained on, unless the record says
otherwise: a message's loss_weight, weight, train or loss of 0, or the prompt side of prompt/completion. A null column is
as good as none. Nothing is repaired on the way: what cannot be taken as it is raises `RowError` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..config import SourceConfig
from .checks import RowError, UnknownRowError, check_sample
from .dialogue import read_history, read_messages, read_tools
from .layouts import Layout, fixed_layout, recognise
from .sample import Sample, Turn


@dataclass(frozen=True)
class Reader:
    """Turns the records of one source into samples.

    Attributes:
        fixed: How all of them are read; None: each by its keys.
        tags: What their dialogues name otherwise, in the words of `pool.tags`.
    """

    fixed: Layout | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, source: SourceConfig) -> Reader:
        """The reader that a source's `format`, `columns` and `tags` ask for.

        Raises:
            ConfigError: an unknown word, two parts in one column, or words that do not go together.
        """
        return cls(fixed_layout(source), tuple(source.tags.items()))

    def read(self, record: Any) -> tuple[str, Sample]:  # noqa: ANN401 - any JSON value
        """The name of a record's format, and the record as a sample.

        Raises:
            RowError: the record has no known format, wrong types, no response, or turns that cannot be trained on.
        """
        if not isinstance(record, dict):
            raise RowError(f"not an object but {_kind(record)}")
        layout = self.layout(record)
        if layout is None:
            raise UnknownRowError(unknown_format(tuple(record)))
        sample = _dialogue(record, layout) if layout.messages else _single(record, layout)
        check_sample(sample)
        return layout.format, sample

    def layout(self, record: dict[str, Any]) -> Layout | None:
        """How a record is read: by the columns that are filled, else by all it has."""
        filled = tuple(key for key, value in record.items() if value is not None)
        return self.fixed or recognise(filled, self.tags) or recognise(tuple(record), self.tags)


def unknown_format(keys: tuple[str, ...]) -> str:
    """Why records with these keys are not understood, in a few words."""
    shown = ", ".join(keys[:8]) + (", …" if len(keys) > 8 else "")
    return f"unknown format{looks_like_other(keys)}: keys {shown or 'none'}"


def looks_like_other(keys: Iterable[str]) -> str:
    """What records with these keys seem to be instead of instruction data, in brackets; empty where nothing is known."""
    names = set(keys)
    if {"chosen", "rejected"} <= names:
        return " (they look like preference data; map response to the chosen one to use it)"
    return " (plain text does not tell the prompt from the response)" if "text" in names else ""


def _single(record: dict[str, Any], layout: Layout) -> Sample:
    """One question and its answer, with what may stand before them."""
    prompt, response = record.get(layout.prompt), record.get(layout.response)
    if response is None:
        raise RowError("no response" if layout.response in record else f"no response: there is no column {layout.response!r}")
    if isinstance(prompt, list) or isinstance(response, list):
        turns = _both_sides(prompt, response, layout)
    else:
        query = _text(record, layout.query)
        instruction = _text(record, layout.prompt)
        if not instruction.strip():
            raise RowError(f"empty {layout.prompt!r}" + (f", only {layout.query!r} is filled" if query.strip() else ""))
        turns = [Turn("user", instruction, query), Turn("assistant", _text(record, layout.response), is_trained=True)]
    before = [Turn("system", system)] if (system := _text(record, layout.system)) else []
    history = read_history(record.get(layout.history)) if layout.history else []
    return Sample((*before, *history, *turns), read_tools(record.get(layout.tools)))


def _both_sides(prompt: Any, response: Any, layout: Layout) -> list[Turn]:  # noqa: ANN401 - any JSON value
    """Prompt and completion as lists of messages; only the completion's turns are trained on."""
    if not (isinstance(prompt, list) and isinstance(response, list)):
        raise RowError(
            f"wrong type: {layout.prompt!r} is {_kind(prompt)}, {layout.response!r} is {_kind(response)}; "
            "expected two texts or two lists of messages"
        )
    asked = [replace(turn, is_trained=False) for turn in read_messages(prompt, layout)]
    return asked + read_messages(response, layout)


def _dialogue(record: dict[str, Any], layout: Layout) -> Sample:
    turns = read_messages(record.get(layout.messages), layout)
    system = _text(record, layout.system)
    if system:
        if turns and turns[0].role == "system" and turns[0].text != system:
            raise RowError(f"two system prompts: the column {layout.system!r} and the first turn")
        if not turns or turns[0].role != "system":
            turns = [Turn("system", system), *turns]
    return Sample(tuple(turns), read_tools(record.get(layout.tools)))


def _text(record: dict[str, Any], column: str) -> str:
    value = record.get(column) if column else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowError(f"wrong type: {column!r} is {_kind(value)}, not text")
    return value


def _kind(value: Any) -> str:  # noqa: ANN401 - any JSON value
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
