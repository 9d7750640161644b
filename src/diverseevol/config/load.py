"""From a preset, a YAML file, options and `key=value` words to a checked `RunConfig`.

Later layers win: preset, file, options, overrides. Every error names the dotted key, the value found and what would be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from ..errors import ConfigError
from .models import RunConfig
from .presets import PRESETS
from .train_keys import nearest


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
        ConfigError: a missing or unreadable file, an unknown key, a wrong value, a combination that cannot work.
    """
    given = read_yaml(Path(file)) if file is not None else {}
    name = preset or given.pop("preset", None) or "paper"
    for key in ("preset", "versions", "fingerprint"):  # the last two: a run folder's own config.yaml is a config, too
        given.pop(key, None)
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name!r}. Known: {', '.join(PRESETS)}.")
    values = merge({"n_new": 100, **(defaults or {})}, merge(PRESETS[name], given))
    for key, value in (options or {}).items():
        put(values, key, value)
    for word in overrides:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"override {word!r} is not of the form key=value, such as train.learning_rate=1e-4.")
        # A shell command is full of what YAML would take apart.
        value = text if key.strip() == "train.command" else parse_yaml(text, f"the value of {key}")
        put(values, key.strip(), value)
    return validate(values)


def validate(values: Mapping[str, Any]) -> RunConfig:
    """Check plain values against the models.

    Raises:
        ConfigError: naming every wrong key, one a line, five at most.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        lines = list({_key(item): _explain(dict(item)) for item in error.errors()}.values())
        more = f"\n({len(lines) - 5} more)" if len(lines) > 5 else ""
        raise ConfigError("\n".join(lines[:5]) + more) from None


def read_yaml(file: Path) -> dict[str, Any]:
    """A YAML file's mapping.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML, a key given twice, or something else than a mapping.
    """
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no config file {str(file)!r}. `diverseevol init {file}` writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read config file {str(file)!r}: {error}.") from None
    values = parse_yaml(text, f"config file {str(file)!r}")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"config file {str(file)!r} holds a {type(values).__name__}, not `key: value` lines.")
    return values


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with `above` laid over it, section by section; neither is changed."""
    merged = {key: dict(value) if isinstance(value, Mapping) else value for key, value in below.items()}
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def put(values: dict[str, Any], dotted: str, value: Any) -> None:  # noqa: ANN401 - any YAML value
    """Set a dotted key in nested mappings, making sections on the way.

    Raises:
        ConfigError: a part of the key is a plain value already, so nothing can lie below it.
    """
    *path, last = dotted.split(".")
    for index, part in enumerate(path):
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise ConfigError(f"cannot set {dotted}: {'.'.join(path[: index + 1])} is {values!r}, not a section.")
    values[last] = value


def parse_yaml(text: str, what: str) -> Any:  # noqa: ANN401 - any YAML value
    """Read YAML text safely; `1e-4` is a number, a key given twice is an error.

    Raises:
        ConfigError: with the line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{what} is not valid YAML: {' '.join(str(error).split())}") from None


class _Loader(yaml.SafeLoader):
    """YAML's safe loader without two traps: `1e-4` read as text, and a repeated key that silently wins."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", node.start_mark)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def _key(item: Mapping[str, Any]) -> str:
    """The dotted key of a pydantic error, without the names of a union's alternatives."""
    return ".".join(
        str(part) for part in item["loc"] if not str(part).startswith(("function-", "literal[", "tuple[", "int", "str"))
    )


def _explain(item: dict[str, Any]) -> str:
    """One pydantic error as a line: key, value found, what would be right."""
    key = _key(item)
    path = key.split(".")
    if item["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        return f"unknown key {key}. {nearest(path[-1], known)}Known here: {', '.join(known)}."
    if item["type"] == "missing":
        return f"{key} is not set. Set it in the config file, as --{key}, or as {key}=…"
    if key == "n_new":
        return f"n_new is {item['input']!r}: give one number, a list with one number a round, or geometric."
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return message if message.endswith((".", "…")) else message + "."
    return f"{key} is {item['input']!r}: {message[0].lower() + message[1:]}."


def _known_keys(path: list[str]) -> list[str]:
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
