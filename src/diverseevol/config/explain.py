"""Pydantic's errors in a user's words: the dotted key, the value found, what would be right; one line a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from .models import RunConfig
from .train_keys import OTHER_NAMES, nearest, sft_keys

MOST_LINES = 5
# A word given for a whole section most likely means this key of it.
USUAL_KEY = {
    "pool": "path",
    "prompt": "template",
    "train": "method",
    "embed": "pooling",
    "selection": "strategy",
    "selector": "model",
    "final": "train",
    "heldout": "path",
    "stop": "measure",
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "a word or text",
    "dict": "keys with values, such as {a: b}",
    "tuple": "a list, such as [a, b]",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "of at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "of at most"),
    "less_than": ("lt", "below"),
}


def explain(error: ValidationError) -> str:
    """Every wrong key on a line of its own, five at most."""
    by_key: dict[str, list[dict[str, Any]]] = {}
    # Unknown keys first: a key is often missing because it is misspelt.
    for item in sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden"):
        by_key.setdefault(_key(item), []).append(dict(item))
    lines = [_line(key, items) for key, items in by_key.items()]
    more = f"\n({len(lines) - MOST_LINES} more)" if len(lines) > MOST_LINES else ""
    return "\n".join(lines[:MOST_LINES]) + more


def _key(item: Mapping[str, Any]) -> str:
    """The dotted key of an error, without the names that pydantic gives to a union's alternatives."""
    alternatives = ("function-", "literal[", "tuple[", "constrained-")
    parts = map(str, item["loc"])
    return ".".join(part for part in parts if part not in ("int", "str", "float", "bool") and not part.startswith(alternatives))


def _line(key: str, items: Sequence[dict[str, Any]]) -> str:
    """One key's errors; several are those of a union's alternatives."""
    kind, value = items[0]["type"], items[0].get("input")
    if kind == "extra_forbidden":
        return _unknown(key)
    if kind == "missing":
        option = f"as --{key}, " if key in ("pool", "model", "out") else ""
        return f"{key} is not set. Set it in the config file, {option}or as {key}=…"
    if kind == "value_error":
        message = str(items[0]["msg"]).removeprefix("Value error, ")
        if key.endswith(".train"):  # the keys of `train` as another section has them
            message = message.replace("train.", f"{key}.", 1)
        return message if message.endswith((".", "…", "?")) else message + "."
    found = "empty" if value is None else repr(value)
    if kind in ("model_type", "model_attributes_type") and key in USUAL_KEY:
        usual = "sources" if isinstance(value, list) and key == "pool" else USUAL_KEY[key]
        return f"{key} is {found}, but it is a section of several keys. Give them by name, such as {key}.{usual}=…"
    if key == "n_new":
        return f"n_new is {found}: give one number, a list with one number a round, or geometric."
    wanted = list(dict.fromkeys(_wanted(item) for item in items))
    return f"{key} is {found}: give {' or '.join(wanted)}.{_meant(items)}"


def _wanted(item: Mapping[str, Any]) -> str:
    """What would be right, by one error."""
    kind = item["type"]
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"a number {words} {item['ctx'][name]:g}"
    if kind == "literal_error":
        return str(item["ctx"]["expected"]).replace("False", "false")
    return _KINDS.get(kind.split("_")[0], str(item["msg"]))


def _meant(items: Sequence[Mapping[str, Any]]) -> str:
    """The nearest of the words that would be right."""
    for item in items:
        if item["type"] == "literal_error" and isinstance(item["input"], str):
            words = {word.strip("' ") for word in str(item["ctx"]["expected"]).replace(" or ", ", ").split(",")}
            return f" {nearest(item['input'].lower(), words)}".rstrip()
    return ""


def _unknown(key: str) -> str:
    path = key.split(".")
    known = _known_keys(path[:-1])
    hint = nearest(path[-1], known)
    if len(path) == 1 and (section := _section_with(key)):
        hint = f"Did you mean {section}? "
    return f"unknown key {key}. {hint}Known here: {', '.join(known)}."


def _section_with(name: str) -> str | None:
    """The dotted key of a section's key that was given without its section."""
    for section, field in RunConfig.model_fields.items():
        model = _section_in(field.annotation)
        if model and name in model.model_fields:
            return f"{section}.{name}"
    name = OTHER_NAMES.get(name, name)
    return f"train.{name}" if name in sft_keys() or name == "lora" else None


def _known_keys(path: Sequence[str]) -> list[str]:
    """The keys that a section knows."""
    model: type[BaseModel] = RunConfig
    for part in path:
        field = model.model_fields.get(part)
        inner = _section_in(field.annotation) if field else None
        if inner is None:
            break
        model = inner
    return list(model.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    """The section's model in a field's type: alone, optional, or a list's."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)
