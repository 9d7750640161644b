"""Which call a tool's answer belongs to: the one of its id, else the first of its tool's name, else the first that is left.

Calls and their answers name each other by `tool_call_id` (OpenAI, transformers), or by nothing but their places. Behind a turn that
calls several tools the answers are put into the order of its calls, so that they are told apart where no id is written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from .checks import RowError
from .sample import Turn

NO_SUCH_CALL = "turn {number} answers the call {asked!r}, and no call before it has that id"


class Call(NamedTuple):
    """A call: the turn that makes it, its place among that turn's calls, its id and its tool's name (empty where it has none)."""

    turn: int
    place: int
    id: str
    name: str


def answered_calls(turns: Sequence[Turn]) -> dict[int, Call]:
    """The call that each tool's turn answers, by the turn's number; no entry where there is none that it could be.

    Raises:
        RowError: an answer's id is no call's, and there is more than one call that it could answer.
    """
    found: dict[int, Call] = {}
    made: list[Call] = []
    for is_tool, group in groupby(range(len(turns)), key=lambda number: turns[number].role == "tool"):
        numbers = list(group)
        if is_tool:
            found |= _answered(turns, numbers, made)
        else:
            made += [call for number in numbers for call in calls_of(turns[number], number)]
    return found


def in_call_order(turns: list[Turn]) -> list[Turn]:
    """The turns, with the answers behind each turn that calls tools in the order of its calls; others stay in their places.

    Raises:
        RowError: as in `answered_calls`.
    """
    if not any(turn.role == "tool" for turn in turns):
        return turns
    ordered, calls = list(turns), answered_calls(turns)
    for is_tool, group in groupby(range(len(turns)), key=lambda number: turns[number].role == "tool"):
        numbers = list(group) if is_tool else []
        places = [number for number in numbers if number in calls and calls[number].turn == numbers[0] - 1]
        for place, number in zip(places, sorted(places, key=lambda number: calls[number].place), strict=True):
            ordered[place] = turns[number]
    return ordered


def calls_of(turn: Turn, number: int = 0) -> list[Call]:
    """The calls that a turn makes; `number` is the turn's."""
    value = json.loads(turn.tool_calls) if turn.tool_calls else []
    calls = value if isinstance(value, list) else [value]
    return [Call(number, place, *_named(call)) for place, call in enumerate(calls)]


def _answered(turns: Sequence[Turn], numbers: list[int], made: list[Call]) -> dict[int, Call]:
    """The calls that tools' turns which stand together answer; `made` are all calls before them."""
    found: dict[int, Call] = {}
    free = [call for call in made if call.turn == numbers[0] - 1]

    def take(number: int, calls: list[Call]) -> None:
        if calls:
            found[number] = calls[0]
            free[:] = [call for call in free if call is not calls[0]]

    for number in numbers:
        asked = turns[number].call_id
        if asked and any(call.id for call in made):
            take(number, [call for call in [*free, *reversed(made)] if call.id == asked])
            if number not in found:
                raise RowError(NO_SUCH_CALL.format(number=number, asked=asked))
    for number in numbers:
        if number not in found:
            take(number, [call for call in free if turns[number].name and call.name == turns[number].name])
    for number in numbers:
        if number not in found:
            if turns[number].call_id and len(free) > 1:
                raise RowError(NO_SUCH_CALL.format(number=number, asked=turns[number].call_id))
            take(number, free)
    return found


def _named(call: Any) -> tuple[str, str]:  # noqa: ANN401 - any JSON value
    if not isinstance(call, dict):
        return "", ""
    function = call.get("function", call)
    name = function.get("name") if isinstance(function, dict) else None
    return str(call.get("id") or ""), str(name or "")
