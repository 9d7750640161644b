"""Calls of tools and their results: read from a message, and brought together.

A result belongs to the call of its id, else to the first of its tool's name, else to the first that is left:
calls and results name each other by `tool_call_id` (OpenAI, transformers), or by nothing but their places.
Behind a turn that calls several tools the results are put into the order of its calls, so that they are told
apart where no id is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

from .row import RowError, as_list, parsed
from .sample import Turn
from .switches import switch_kind

CALL_IDS = ("tool_call_id", "call_id", "tool_use_id", "toolCallId")
TOOL_NAMES = ("name", "tool_name", "function_name", "tool", "toolName")
IN_CALLS = frozenset(("id", "type", "index", "function", "name", *CALL_IDS))


class Call(NamedTuple):
    """A call: its turn, its place among that turn's calls, its id and its tool's name, perhaps empty."""

    turn: int
    place: int
    id: str
    name: str


def first_text(message: dict[str, Any], keys: Iterable[str]) -> str:
    """The first of some keys that holds a text or a whole number, as text; empty where none does."""
    return next((str(message[key]) for key in keys if isinstance(message.get(key), (str, int))), "")


def calls_in(message: dict[str, Any], number: int) -> str:
    """The calls of an assistant's message, under tool_calls or OpenAI's older function_call, as JSON text.

    Raises:
        RowError: they are no JSON, stand under another key, or under both and differ.
    """
    calls, older = (_call_value(message.get(key), key, number) for key in ("tool_calls", "function_call"))
    for key in message:
        if message[key] and key not in ("tool_calls", "function_call") and _is_call(key):
            raise RowError(f"turn {number} calls tools under {key!r}, which is not read; write tool_calls")
    if (
        calls
        and older
        and older not in [call.get("function") for call in as_list(calls) if isinstance(call, dict)]
    ):
        raise RowError(
            f"turn {number} calls tools under tool_calls and, another, under function_call; keep one of them"
        )
    return with_ids(calls or [older], number) if calls or older else ""


def _call_value(value: Any, key: str, number: int) -> Any:  # noqa: ANN401 - any JSON value
    value = parsed(value, f"{key} of turn {number}") if value and isinstance(value, str) else value
    if value and not isinstance(value, (list, dict)):
        raise RowError(f"wrong type: {key} of turn {number} is no list")
    return value


@lru_cache(maxsize=1024)
def _is_call(key: str) -> bool:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower().split("_")
    return ("call" in words or "calls" in words) and not {"id", "ids"} & set(words)


def with_ids(calls: Any, number: int) -> str:  # noqa: ANN401 - any JSON value
    """Calls as JSON text, the id of each under `id`, as text.

    Raises:
        RowError: the arguments of one stand under a key that is not read.
    """
    made = list(as_list(calls))
    for place, call in enumerate(made):
        if not isinstance(call, dict):
            continue
        function = call.get("function", call)
        if isinstance(function, dict) and not {"arguments", "parameters"} & function.keys():
            for key, value in {**call, **function}.items():
                if value and key not in IN_CALLS and not switch_kind(key):
                    raise RowError(
                        f"turn {number} calls a tool with {key!r}, which is not read; write arguments"
                    )
        if call_id := first_text(call, ("id", *CALL_IDS)):
            made[place] = {**call, "id": call_id}
    return json.dumps(made if isinstance(calls, list) else made[0], ensure_ascii=False)


def joined_calls(turns: list[Turn]) -> list[Turn]:
    """Calls in turns of their own, as one turn that makes them all: ms-swift's parallel calls."""
    joined: list[Turn] = []
    for turn in turns:
        before = joined[-1] if joined else None
        is_bare = bool(turn.tool_calls) and not turn.text and not turn.thinking
        if before and is_bare and before.tool_calls and before.is_trained == turn.is_trained:
            calls = [
                call for text in (before.tool_calls, turn.tool_calls) for call in as_list(json.loads(text))
            ]
            joined[-1] = replace(before, tool_calls=json.dumps(calls, ensure_ascii=False))
        else:
            joined.append(turn)
    return joined


def calls_of(turn: Turn, number: int = 0) -> list[Call]:
    """The calls that a turn makes; `number` is the turn's."""
    calls = as_list(json.loads(turn.tool_calls)) if turn.tool_calls else []
    return [Call(number, place, *_id_and_name(call)) for place, call in enumerate(calls)]


def _id_and_name(call: Any) -> tuple[str, str]:  # noqa: ANN401 - any JSON value
    if not isinstance(call, dict):
        return "", ""
    function = call.get("function", call)
    name = function.get("name") if isinstance(function, dict) else None
    return str(call.get("id") or ""), str(name or "")


def answered_calls(turns: Sequence[Turn]) -> dict[int, Call]:
    """The call that each tool's turn answers, by the turn's number; no entry where it could be none.

    Raises:
        RowError: a result's id is no call's, and there is more than one call that it could answer.
    """
    found: dict[int, Call] = {}
    made: list[Call] = []
    for is_tool, numbers in _groups(turns):
        if is_tool:
            found |= _answered(turns, numbers, made)
        else:
            made += [call for number in numbers for call in calls_of(turns[number], number)]
    return found


def in_call_order(turns: list[Turn]) -> list[Turn]:
    """The turns, with the results behind each turn that calls tools in the order of its calls.

    Raises:
        RowError: as in `answered_calls`.
    """
    if not any(turn.role == "tool" for turn in turns):
        return turns
    ordered, calls = list(turns), answered_calls(turns)
    for is_tool, numbers in _groups(turns):
        own = [
            number
            for number in numbers
            if is_tool and number in calls and calls[number].turn == numbers[0] - 1
        ]
        for place, number in zip(own, sorted(own, key=lambda number: calls[number].place), strict=True):
            ordered[place] = turns[number]
    return ordered


def _groups(turns: Sequence[Turn]) -> list[tuple[bool, list[int]]]:
    """The numbers of turns that stand together and are all of tools, or none of them."""
    groups = groupby(range(len(turns)), key=lambda number: turns[number].role == "tool")
    return [(is_tool, list(numbers)) for is_tool, numbers in groups]


def _answered(turns: Sequence[Turn], numbers: list[int], made: list[Call]) -> dict[int, Call]:
    """The calls that tools' turns which stand together answer; `made` are all calls before them."""
    found: dict[int, Call] = {}
    free = [call for call in made if call.turn == numbers[0] - 1]

    def take(number: int, calls: list[Call]) -> None:
        if calls:
            found[number] = calls[0]
            free[:] = [call for call in free if call is not calls[0]]

    def no_such_call(number: int) -> RowError:
        asked = turns[number].call_id
        return RowError(f"turn {number} answers the call {asked!r}, and no call before it has that id")

    for number in numbers:
        asked = turns[number].call_id
        if asked and any(call.id for call in made):
            take(number, [call for call in [*free, *reversed(made)] if call.id == asked])
            if number not in found:
                raise no_such_call(number)
    for number in numbers:
        if number not in found and turns[number].name:
            take(number, [call for call in free if call.name == turns[number].name])
    for number in numbers:
        if number not in found:
            if turns[number].call_id and len(free) > 1:
                raise no_such_call(number)
            take(number, free)
    return found
