"""From a record to a `Sample`: alpaca, dolly, sharegpt, messages, prompt/completion and what is like them.

How a record is read is decided by its keys alone (layouts.py). Every assistant turn is trained on, unless the record says
otherwise: a switch of its message (switches.py), or the prompt side of prompt/completion. A null column is
as good as none. Nothing is repaired on the way: what cannot be taken as it is raises `RowError` with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..config import SourceConfig
from .checks import RowError, UnknownRowError, check_sample
from .dialogue import are_tools, check_has_text_only, read_history, read_messages, read_tools
from .layouts import OLDER_OFFER, Layout, fixed_layout, recognise
from .preference import SEVERAL, check_is_chosen, check_is_wanted, describe
from .sample import Sample, Turn
from .switches import row_switched_off_by
from .tool_results import in_call_order
from .unread import unread_keys


@dataclass(frozen=True)
class Reader:
    """Turns the records of one source into samples.

    Attributes:
        fixed: How all of them are read; None: each by its keys.
        tags: What their dialogues name otherwise, in the words of `pool.tags`.
        is_mapped: Whether the user said which columns count.
    """

    fixed: Layout | None = None
    tags: tuple[tuple[str, str], ...] = ()
    is_mapped: bool = False

    @classmethod
    def of(cls, source: SourceConfig) -> Reader:
        """The reader that a source's `format`, `columns` and `tags` ask for.

        Raises:
            ConfigError: an unknown word, two parts in one column, or words that do not go together.
        """
        return cls(fixed_layout(source), tuple(source.tags.items()), bool(source.columns))

    def read(self, record: Any) -> tuple[str, Sample]:  # noqa: ANN401 - any JSON value
        """The name of a record's format, and the record as a sample.

        Raises:
            RowError: the record has no known format, wrong types, no response, or turns that cannot be trained on.
        """
        if not isinstance(record, dict):
            raise RowError(f"not an object but {_kind(record)}")
        layout = self.layout(record)
        if layout is None:
            raise UnknownRowError(unknown_format(record))
        keys = tuple(record)
        if off := row_switched_off_by(record, keys):
            what = (
                "parts of the row off; write train: true or false in its turns"
                if isinstance(record[off], list)
                else "the row off"
            )
            raise RowError(f"{off} {str(record[off])[:40]} switches {what}")
        check_is_wanted(record, keys)
        if not self.is_mapped:
            check_has_text_only(record, "it")
        sample = _dialogue(record, layout) if layout.messages else _single(record, layout)
        if not self.is_mapped:
            check_is_chosen(record, keys, sample)
        check_sample(sample)
        return layout.format, sample

    def layout(self, record: dict[str, Any]) -> Layout | None:
        """How a record is read: by the columns that are filled, else by all it has."""
        filled = tuple(key for key, value in record.items() if value is not None)
        layout = self.fixed or recognise(filled, self.tags) or recognise(tuple(record), self.tags)
        is_other = (
            layout is not None
            and layout.tools == OLDER_OFFER
            and not self.fixed
            and not are_tools(record[OLDER_OFFER])
        )
        return replace(layout, tools="") if layout and is_other else layout

    def unread(self, record: dict[str, Any]) -> list[str]:
        """The filled columns of a good record, and the keys of its messages, that are in no prompt."""
        layout = self.layout(record)
        return unread_keys(record, layout) if layout else []


def unknown_format(record: dict[str, Any]) -> str:
    """Why a record is not understood, in a few words."""
    keys = tuple(record)
    shown = ", ".join(keys[:8]) + (", …" if len(keys) > 8 else "")
    return f"unknown format{looks_like_other(record)}: keys {shown or 'none'}"


def looks_like_other(record: dict[str, Any]) -> str:
    """What a record seems to be instead of instruction data, in brackets; empty where nothing is known."""
    if said := describe(record):
        return f" ({said})"
    return " (plain text does not tell the prompt from the response)" if "text" in record else ""


def _single(record: dict[str, Any], layout: Layout) -> Sample:
    """One question and its answer, with what may stand before them."""
    prompt, response = record.get(layout.prompt), record.get(layout.response)
    if response is None:
        raise RowError(
            "no response"
            if layout.response in record
            else f"no response: there is no column {layout.response!r}"
        )
    if isinstance(prompt, (list, dict)) or isinstance(response, (list, dict)):
        turns = _both_sides(record, layout)
    else:
        query = _text(record, layout.query)
        instruction = _text(record, layout.prompt)
        if not instruction.strip():
            raise RowError(
                f"empty {layout.prompt!r}" + (f", only {layout.query!r} is filled" if query.strip() else "")
            )
        turns = [
            Turn("user", instruction, query),
            Turn("assistant", _text(record, layout.response), is_trained=True),
        ]
    before = [Turn("system", system)] if (system := _text(record, layout.system)) else []
    history = read_history(record.get(layout.history)) if layout.history else []
    return Sample(tuple(in_call_order([*before, *history, *turns])), read_tools(record, layout))


def _both_sides(record: dict[str, Any], layout: Layout) -> list[Turn]:
    """Prompt and completion, at least one of them as messages; only the completion's turns are trained on."""
    prompt, response = record[layout.prompt], record[layout.response]
    if (
        isinstance(response, list)
        and len(response) > 1
        and all(isinstance(answer, str) for answer in response)
    ):
        raise RowError(f"wrong type: {layout.response!r} holds {SEVERAL}")
    if (query := _text(record, layout.query)) and not isinstance(prompt, str):
        raise RowError(
            f"{layout.prompt!r} holds messages, so {layout.query!r} has no place: put {query[:40]!r} into one of them"
        )
    asked = (
        [Turn("user", prompt, query)] if isinstance(prompt, str) else _messages(prompt, layout.prompt, layout)
    )
    answered = (
        [Turn("assistant", response, is_trained=True)]
        if isinstance(response, str)
        else _messages(response, layout.response, layout)
    )
    return [*(replace(turn, is_trained=False) for turn in asked), *answered]


def _messages(value: Any, column: str, layout: Layout) -> list[Turn]:  # noqa: ANN401 - any JSON value
    if not isinstance(value, (list, dict)):
        raise RowError(f"wrong type: {column!r} is {_kind(value)}; expected text or messages")
    return read_messages(value if isinstance(value, list) else [value], layout)


def _dialogue(record: dict[str, Any], layout: Layout) -> Sample:
    turns = read_messages(record.get(layout.messages), layout)
    system = _text(record, layout.system)
    if system:
        if turns and turns[0].role == "system" and turns[0].text != system:
            raise RowError(f"two system prompts: the column {layout.system!r} and the first turn")
        if not turns or turns[0].role != "system":
            turns = [Turn("system", system), *turns]
    return Sample(tuple(in_call_order(turns)), read_tools(record, layout))


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
