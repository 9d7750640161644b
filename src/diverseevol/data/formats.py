"""From a record to a `Sample`: alpaca, dolly, sharegpt, messages, prompt/completion and what is like them.

How a record is read is decided by its keys alone (layouts.py). Every assistant turn is trained on, unless the
record says otherwise (train_flags.py), or it is on the prompt side of prompt/completion. A null column is as
good as none. Nothing is repaired: what cannot be taken as it is raises `RowError` with the reason.

A dialogue can be trained on when it goes: an optional system turn, then a user's, then the assistant's; from
there on each user's and each tool's turn is answered by the assistant, tools (one or several) answer only the
assistant, whose call may be in its text, and nobody else speaks twice in a row. This is what LLaMA-Factory
and most chat templates demand, but that a tool never speaks first. A last turn that nobody answers is read
but never trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..config import SourceConfig
from .layouts import OLDER_OFFER, Layout, fixed_layout, recognise
from .messages import are_tools, check_has_text_only, read_history, read_messages, read_tools
from .sample import RowError, Sample, Turn, UnknownRowError
from .tool_calls import in_call_order
from .train_flags import SEVERAL, check_is_chosen, check_is_wanted, check_row_is_on, describe_preferences

AFTER: dict[str, tuple[str, ...]] = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "call": ("tool", "user"),
    "tool": ("tool", "assistant"),
}
"""Who may speak after whom; `call` is an assistant's turn that calls tools."""


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
        """The reader that a source's `format`, `columns` and `tags` ask for."""
        return cls(fixed_layout(source), tuple(source.tags.items()), bool(source.columns))

    def read(self, record: Any) -> tuple[str, Sample]:  # noqa: ANN401 - any JSON value
        """The name of a record's format, and the record as a sample.

        Raises:
            RowError: the record has no known format, wrong types, no response, or turns that cannot be
                trained on.
        """
        if not isinstance(record, dict):
            raise RowError(f"not an object but {_kind(record)}")
        keys, layout = tuple(record), self.layout(record)
        if layout is None:
            shown = ", ".join(keys[:8]) + (", …" if len(keys) > 8 else "")
            raise UnknownRowError(f"unknown format{looks_like_other(record)}: keys {shown or 'none'}")
        check_row_is_on(record, keys)
        check_is_wanted(record, keys)
        if not self.is_mapped:
            check_has_text_only(record, "it")
        turns = _dialogue(record, layout) if layout.messages else _single(record, layout)
        sample = Sample(tuple(in_call_order(turns)), read_tools(record, layout))
        if not self.is_mapped:
            check_is_chosen(record, keys, sample)
        _check_turns(sample.turns)
        return layout.format, sample

    def layout(self, record: dict[str, Any]) -> Layout | None:
        """How a record is read: by the columns that are filled, else by all it has."""
        if self.fixed:
            return self.fixed
        filled = tuple(key for key, value in record.items() if value is not None)
        layout = recognise(filled, self.tags) or recognise(tuple(record), self.tags)
        is_other = layout is not None and layout.tools == OLDER_OFFER and not are_tools(record[OLDER_OFFER])
        return replace(layout, tools="") if layout and is_other else layout


def looks_like_other(record: dict[str, Any]) -> str:
    """What a record seems to be instead of instruction data, in brackets; empty where nothing is known."""
    if said := describe_preferences(record):
        return f" ({said})"
    return " (plain text does not tell the prompt from the response)" if "text" in record else ""


def _check_turns(turns: tuple[Turn, ...]) -> None:
    """Check that a dialogue can be trained on."""
    before = ""
    for number, turn in enumerate(turns):
        if turn.role not in AFTER[before]:
            raise RowError(f"role order: {_order(turn, number, before)}")
        if "\0" in turn.text or "\0" in f"{turn.input}{turn.thinking}{turn.call_id}{turn.name}":
            raise RowError(f"a NUL character in the {turn.role}'s turn")
        before, is_empty = turn.role, not turn.text or turn.text.isspace()
        if before == "assistant" and turn.tool_calls:
            before = "call"
        elif before == "assistant" and is_empty:
            is_last = number == len(turns) - 1
            raise RowError("no response" if is_last else f"empty: turn {number}, the assistant's")
        elif before == "user" and is_empty:
            raise RowError(f"empty: turn {number}, the user's")
    if not any(turn.role == "assistant" for turn in turns):
        raise RowError("no response: the assistant never speaks")
    if not any(turn.is_trained for turn in turns):
        raise RowError("nothing to train on: the loss of every assistant turn is switched off")


def _order(turn: Turn, number: int, before: str) -> str:
    if turn.role == "system":
        return f"turn {number} is a system turn, but not the first"
    if before in ("", "system"):
        return f"the {turn.role} speaks before the user; take that turn out, or put a user's before it"
    last = "a call of tools" if before == "call" else f"the {before}'s"
    return f"turn {number} is the {turn.role}'s behind {last}"


def _single(record: dict[str, Any], layout: Layout) -> list[Turn]:
    """One question and its answer, with what may stand before them."""
    prompt, response = record.get(layout.prompt), record.get(layout.response)
    if response is None:
        lacks = "" if layout.response in record else f": there is no column {layout.response!r}"
        raise RowError(f"no response{lacks}")
    if isinstance(prompt, (list, dict)) or isinstance(response, (list, dict)):
        turns = _both_sides(record, layout)
    else:
        query, instruction = _text(record, layout.query), _text(record, layout.prompt)
        if not instruction.strip():
            only = f", only {layout.query!r} is filled" if query.strip() else ""
            raise RowError(f"empty {layout.prompt!r}{only}")
        answer = Turn("assistant", _text(record, layout.response), is_trained=True)
        turns = [Turn("user", instruction, query), answer]
    before = [Turn("system", system)] if (system := _text(record, layout.system)) else []
    history = read_history(record.get(layout.history)) if layout.history else []
    return [*before, *history, *turns]


def _both_sides(record: dict[str, Any], layout: Layout) -> list[Turn]:
    """Prompt and completion, at least one of them as messages; only the completion's turns are trained on."""
    response, query = record[layout.response], _text(record, layout.query)
    if isinstance(response, list) and len(response) > 1 and all(isinstance(one, str) for one in response):
        raise RowError(f"wrong type: {layout.response!r} holds {SEVERAL}")
    if query and not isinstance(record[layout.prompt], str):
        no_place = f"so {layout.query!r} has no place: put {query[:40]!r} into one of them"
        raise RowError(f"{layout.prompt!r} holds messages, {no_place}")
    sides = []
    for column in (layout.prompt, layout.response):
        value, is_response = record[column], column == layout.response
        if isinstance(value, str):
            said = Turn("assistant", value, is_trained=True) if is_response else Turn("user", value, query)
            sides.append([said])
        elif isinstance(value, (list, dict)):
            sides.append(read_messages(value if isinstance(value, list) else [value], layout))
        else:
            raise RowError(f"wrong type: {column!r} is {_kind(value)}; expected text or messages")
    asked, answered = sides
    return [*(replace(turn, is_trained=False) for turn in asked), *answered]


def _dialogue(record: dict[str, Any], layout: Layout) -> list[Turn]:
    turns, system = read_messages(record.get(layout.messages), layout), _text(record, layout.system)
    if system and turns[0].role != "system":
        turns = [Turn("system", system), *turns]
    if system and turns[0].text != system:
        raise RowError(f"two system prompts: the column {layout.system!r} and the first turn")
    return turns


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
