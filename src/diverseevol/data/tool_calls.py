"""Calls of tools and their results: read from a message, and brought together.

A result belongs to the call of its id, else to the first of its tool's name, else to the first that is left:
calls and results name each other by `tool_call_id` (OpenAI, transformers), or by nothing but their places.
Behind a turn that calls several tools the results are put into the order of its calls, so that they are told
apart where no id is written. What cannot be brought together raises `RowError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

from .sample import RowError, Turn, as_list, parsed
from .train_flags import switch_kind

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
    """The calls of an assistant's message, under tool_calls or OpenAI's older function_call, as JSON text."""
    found = []
    for key in ("tool_calls", "function_call"):
        value = message.get(key)
        value = parsed(value, f"{key} of turn {number}") if value and isinstance(value, str) else value
        if value and not isinstance(value, (list, dict)):
            raise RowError(f"wrong type: {key} of turn {number} is no list")
        found.append(value)
    for key in message:
        if message[key] and key not in ("tool_calls", "function_call") and _is_call(key):
            raise RowError(f"turn {number} calls tools under {key!r}, which is not read; write tool_calls")
    calls, older = found
    if calls and older:
        functions = [call.get("function") for call in as_list(calls) if isinstance(call, dict)]
        if older not in functions:
            found_both = f"turn {number} calls tools under tool_calls and, another, under function_call"
            raise RowError(f"{found_both}; keep one of them")
    return with_ids(calls or [older], number) if calls or older else ""


@lru_cache(maxsize=1024)
def _is_call(key: str) -> bool:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower().split("_")
    return ("call" in words or "calls" in words) and not {"id", "ids"} & set(words)


def with_ids(calls: Any, number: int) -> str:  # noqa: ANN401 - any JSON value
    """Calls as JSON text, the id of each under `id`, as text."""
    made = list(as_list(calls))
    for place, call in enumerate(made):
        if not isinstance(call, dict):
            continue
        function = call.get("function", call)
        if isinstance(function, dict) and not {"arguments", "parameters"} & function.keys():
            for key, value in {**call, **function}.items():
                if value and key not in IN_CALLS and not switch_kind(key):
                    found = f"turn {number} calls a tool with {key!r}, which is not read"
                    raise RowError(f"{found}; write arguments")
        if call_id := first_text(call, ("id", *CALL_IDS)):
            made[place] = {**call, "id": call_id}
    return json.dumps(made if isinstance(calls, list) else made[0], ensure_ascii=False)


def joined_calls(turns: list[Turn]) -> list[Turn]:
    """Calls in turns of their own, as one turn that makes them all: ms-swift's parallel calls."""
    joined: list[Turn] = []
    for turn in turns:
        before = joined[-1] if joined else turn
        is_bare = bool(turn.tool_calls) and not turn.text and not turn.thinking
        if joined and is_bare and before.tool_calls and before.is_trained == turn.is_trained:
            texts = (before.tool_calls, turn.tool_calls)
            calls = [call for text in texts for call in as_list(json.loads(text))]
            joined[-1] = replace(before, tool_calls=json.dumps(calls, ensure_ascii=False))
        else:
            joined.append(turn)
    return joined


def calls_of(turn: Turn, number: int = 0) -> list[Call]:
    """The calls that a turn makes; `number` is the turn's."""
    made = []
    for place, call in enumerate(as_list(json.loads(turn.tool_calls)) if turn.tool_calls else []):
        own = call if isinstance(call, dict) else {}
        function = own.get("function", own)
        name = function.get("name") if isinstance(function, dict) else None
        made.append(Call(number, place, str(own.get("id") or ""), str(name or "")))
    return made


def answered_calls(turns: Sequence[Turn]) -> dict[int, Call]:
    """The call that each tool's turn answers, by the turn's number; no entry where it could be none."""
    found: dict[int, Call] = {}
    made: list[Call] = []
    for is_tool, numbers in _groups(turns):
        if not is_tool:
            made += [call for number in numbers for call in calls_of(turns[number], number)]
            continue
        # By id among all calls so far, else by name, else by place, among those of the turn before.
        free = [call for call in made if call.turn == numbers[0] - 1]
        for way in ("id", "name", "place"):
            for number in [number for number in numbers if number not in found]:
                asked, name = turns[number].call_id, turns[number].name
                if way == "id":
                    fitting = [call for call in [*free, *reversed(made)] if asked and call.id == asked]
                    is_unknown = bool(asked) and any(call.id for call in made) and not fitting
                elif way == "name":
                    fitting, is_unknown = [call for call in free if name and call.name == name], False
                else:
                    fitting, is_unknown = free, bool(asked) and len(free) > 1
                if is_unknown:
                    answers = f"turn {number} answers the call {asked!r}"
                    raise RowError(f"{answers}, and no call before it has that id")
                if fitting:
                    found[number] = fitting[0]
                    free = [call for call in free if call is not fitting[0]]
    return found


def in_call_order(turns: list[Turn]) -> list[Turn]:
    """The turns, with the results behind each turn that calls tools in the order of its calls."""
    if not any(turn.role == "tool" for turn in turns):
        return turns
    ordered, calls = list(turns), answered_calls(turns)
    for is_tool, numbers in _groups(turns):
        before = numbers[0] - 1
        own = [one for one in numbers if is_tool and one in calls and calls[one].turn == before]
        for place, number in zip(own, sorted(own, key=lambda number: calls[number].place), strict=True):
            ordered[place] = turns[number]
    return ordered


def _groups(turns: Sequence[Turn]) -> list[tuple[bool, list[int]]]:
    """The numbers of turns that stand together and are all of tools, or none of them."""
    groups = groupby(range(len(turns)), key=lambda number: turns[number].role == "tool")
    return [(is_tool, list(numbers)) for is_tool, numbers in groups]
