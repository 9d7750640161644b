"""From a preset, a YAML file, options and `key=value` words to a checked `RunConfig`.

Later layers win: preset, file, options, overrides. Every error names the dotted key, the value found and what
would be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ..base.files import expanded
from ..base.text import nearest
from ..errors import ConfigError
from .presets import PAPER, PRESETS
from .schema import RunConfig
from .train_keys import check_train_keys
from .yaml12 import parse_yaml

DATA = (".jsonl", ".csv", ".parquet", ".gz", ".zst")
"""How files end that are no configuration."""
MOST_LINES = 5
UNIONS = ("function-", "literal[", "tuple[", "constrained-")
"""How pydantic's names for a union's alternatives begin."""


def load_config(
    file: str | Path | None = None,
    overrides: Iterable[str] = (),
    preset: str | None = None,
    options: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Build a run's configuration.

    Args:
        file: A YAML file; its own key `preset` chooses the preset when the argument does not.
        overrides: Words like `train.learning_rate=1e-4`; values are read as YAML.
        preset: paper (the default), modern or thrifty.
        options: Dotted keys and ready values, such as those of the command line's options.
        defaults: Keys and values that hold where nothing else sets them, the file included.

    Raises:
        ConfigError: a missing or unreadable file, an unknown key, a wrong value, a combination that cannot
            work.
    """
    given = read_yaml(Path(expanded(str(file)))) if file is not None else {}
    name = preset or given.get("preset") or "paper"
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name!r}. Known: {', '.join(PRESETS)}.")
    # A run folder's own config.yaml is a config, too, and whole: no preset says more.
    below = {} if "fingerprint" in given else PRESETS[name]
    given = {key: given[key] for key in given if key not in ("preset", "versions", "fingerprint")}
    if isinstance(given.get("pool"), str):
        given["pool"] = {"path": given["pool"]}  # a path alone does not undo what the preset says of the pool
    values = merge({"n_new": 100, **(defaults or {})}, merge(below, given))
    for key, value in [*(options or {}).items(), *map(_key_and_value, overrides)]:
        key = "pool.path" if key == "pool" and isinstance(value, str) else key
        put(values, key, value)
        put(given, key, value)
    asked = given.get("train")
    if isinstance(asked, Mapping) and asked.get("method") == "full" and "lora" not in asked:
        values["train"].pop("lora", None)  # the adapter that only the preset had named
    config = validate(values)
    own = [preset["train"] for preset in PRESETS.values()]
    for train in (config.train, config.for_rounds().train, config.for_final().train):
        # To check keys takes seconds (train_keys.py); nothing is wrong with the presets' own.
        is_own = any(train.sft.items() <= each.items() for each in own)
        if not is_own or train.lora not in ({}, *(each.get("lora") for each in own)):
            check_train_keys(train)
    return config


def _key_and_value(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(
            f"override {word!r} is not of the form key=value, such as train.learning_rate=1e-4."
        )
    if key == "preset":
        raise ConfigError(
            f"{word} is too late, for other keys change what a preset sets: give --preset {text}."
        )
    # A shell command is full of what YAML would take apart.
    return key, text if key == "train.command" else parse_yaml(text, f"the value of {key}")


def validate(values: Mapping[str, Any]) -> RunConfig:
    """Check plain values against the models.

    Raises:
        ConfigError: naming every wrong key, one a line, five at most.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error)) from None


def read_yaml(file: Path) -> dict[str, Any]:
    """A YAML file's mapping.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML, a key given twice, or something else than a mapping.
    """
    name = f"config file {str(file)!r}"
    try:
        text = "[" if file.suffix in DATA else file.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no {name}. `diverseevol init {file}` writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {name}: {error}.") from None
    if file.suffix in (*DATA, ".json") and text.lstrip().startswith("["):
        raise ConfigError(f"{str(file)!r} is data, not a config file. Give it as --pool {file}.")
    values = parse_yaml(text, name) or {}
    if not isinstance(values, dict):
        raise ConfigError(f"{name} holds a {type(values).__name__}, not `key: value` lines.")
    return values


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with `above` laid over it, section by section; neither is changed, now or by what is put in."""
    merged = {key: merge(value, {}) if isinstance(value, Mapping) else value for key, value in below.items()}
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(value, Mapping):
            value = merge(old if isinstance(old, Mapping) else {}, value)
        merged[key] = value
    return merged


def put(values: dict[str, Any], dotted: str, value: Any) -> None:  # noqa: ANN401 - any YAML value
    """Set a dotted key in nested mappings, making sections on the way.

    Raises:
        ConfigError: a part of the key is a plain value already, so nothing can lie below it.
    """
    *path, last = dotted.split(".")
    section: Any = values
    for index, part in enumerate(path, 1):
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            found = f"{'.'.join(path[:index])} is {section!r}"
            raise ConfigError(f"cannot set {dotted}: {found}, not a section.")
    section[last] = value


def explain(error: ValidationError) -> str:
    """Pydantic's errors in a user's words: the dotted key, the value found, what would be right.

    Every wrong key has a line of its own, five at most.
    """
    by_key: dict[str, list[Any]] = {}
    # Unknown keys first: a key is often missing because it is misspelt.
    for item in sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden"):
        parts = (part for part in map(str, item["loc"]) if part not in ("int", "str", "float", "bool"))
        key = ".".join(part for part in parts if not part.startswith(UNIONS))
        by_key.setdefault(key, []).append(item)
    lines = [_line(key, items) for key, items in by_key.items()]
    return "\n".join([*lines[:MOST_LINES], f"({len(lines) - MOST_LINES} more)"][: len(lines)])


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
    wanted = [str(item["msg"]).removeprefix("Input should be ") for item in items]
    text = " or ".join(dict.fromkeys(wanted)).replace("False", "false")
    if any(item["type"] != "literal_error" for item in items):
        return f"{key} is {found}: it should be {text}."
    return f"{key} is {found}: give {text}. {nearest(str(value).lower(), text.split(chr(39)))}".rstrip()


def _unknown(path: Sequence[str]) -> str:
    known = _keys_below(path[:-1])
    hint = nearest(path[-1], known)
    if len(path) == 1:  # it may be a section's
        below = {name: {*_keys_below([name]), *(PAPER["train"] if name == "train" else ())} for name in known}
        hint = next((f"Did you mean {name}.{path[0]}? " for name in known if path[0] in below[name]), hint)
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
