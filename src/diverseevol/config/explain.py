"""Pydantic's errors in a user's words: the dotted key, the value found, what would be right.

One line a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ..base.text import nearest
from .presets import PAPER
from .schema import RunConfig

MOST_LINES = 5


def explain(error: ValidationError) -> str:
    """Every wrong key on a line of its own, five at most."""
    by_key: dict[str, list[Any]] = {}
    # Unknown keys first: a key is often missing because it is misspelt.
    for item in sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden"):
        by_key.setdefault(_key(item), []).append(item)
    lines = [_line(key, items) for key, items in by_key.items()]
    more = f"\n({len(lines) - MOST_LINES} more)" if len(lines) > MOST_LINES else ""
    return "\n".join(lines[:MOST_LINES]) + more


def _key(item: Any) -> str:  # noqa: ANN401 - pydantic's own dictionary
    """The dotted key of an error, without the names that pydantic gives to a union's alternatives."""
    alternatives = ("function-", "literal[", "tuple[", "constrained-")
    parts = (part for part in map(str, item["loc"]) if part not in ("int", "str", "float", "bool"))
    return ".".join(part for part in parts if not part.startswith(alternatives))


def _line(key: str, items: Sequence[Any]) -> str:
    """One key's errors; several are those of a union's alternatives."""
    kind, value = items[0]["type"], items[0].get("input")
    if kind == "extra_forbidden":
        return _unknown(key.split("."))
    if kind == "missing":
        option = f"as --{key}, " if key in ("pool", "model", "out") else ""
        return f"{key} is not set. Set it in the config file, {option}or as {key}=…"
    if kind == "value_error":
        return str(items[0]["msg"]).removeprefix("Value error, ").removesuffix(".") + "."
    found = "empty" if value is None else repr(value)
    if kind.startswith("model_"):
        known = ", ".join(_keys_below(key.split(".")))
        return f"{key} is {found}, but it is a section of several keys: {known}."
    if all(item["type"] == "literal_error" for item in items):
        wanted = [str(item["ctx"]["expected"]).replace("False", "false") for item in items]
        return f"{key} is {found}: give {' or '.join(wanted)}. {_meant(value, items)}".rstrip()
    wanted = [str(item["msg"]).removeprefix("Input should be ") for item in items]
    return f"{key} is {found}: it should be {' or '.join(dict.fromkeys(wanted))}."


def _meant(value: object, items: Sequence[Any]) -> str:
    """The nearest of the words that would be right."""
    words = [word for item in items for word in str(item["ctx"]["expected"]).split("'")]
    return nearest(value.lower(), words) if isinstance(value, str) else ""


def _unknown(path: Sequence[str]) -> str:
    known, hint = _keys_below(path[:-1]), nearest(path[-1], _keys_below(path[:-1]))
    if len(path) == 1:
        inside = [
            name
            for name in known
            if path[0] in {*_keys_below([name]), *(PAPER["train"] if name == "train" else ())}
        ]
        hint = f"Did you mean {inside[0]}.{path[0]}? " if inside else hint
    return f"unknown key {'.'.join(path)}. {hint}Known here: {', '.join(known)}."


def _keys_below(path: Sequence[str]) -> list[str]:
    """The keys that a section knows."""
    model: type[BaseModel] | None = RunConfig
    for part in path:
        field = model.model_fields.get(part) if model else None
        model = _section_in(field.annotation) if field else model if part.isdigit() else None
    return list(model.model_fields) if model else []


def _section_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    """The section's model in a field's type: alone, optional, or a list's."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)
