"""From a preset, a YAML file, options and `key=value` words to a checked `RunConfig`.

Later layers win: preset, file, options, overrides. Every error names the dotted key, the value found and what
would be right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ..base.files import expanded
from ..errors import ConfigError
from .explain import explain
from .presets import PRESETS
from .schema import RunConfig, TrainConfig
from .train_keys import check_train_keys

DATA = (".jsonl", ".csv", ".parquet", ".gz", ".zst")
"""How files end that are no configuration."""


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
    name = preset or given.pop("preset", None) or "paper"
    is_whole = "fingerprint" in given  # a run folder's own config.yaml: no preset says more
    for key in (
        "preset",
        "versions",
        "fingerprint",
    ):  # the last two: a run folder's own config.yaml is a config, too
        given.pop(key, None)
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name!r}. Known: {', '.join(PRESETS)}.")
    if isinstance(given.get("pool"), str):
        given["pool"] = {"path": given["pool"]}  # a path alone does not undo what the preset says of the pool
    values = merge(
        {"n_new": 100, **(defaults or {})}, merge({} if is_whole else deepcopy(PRESETS[name]), given)
    )
    for key, value in [*(options or {}).items(), *map(_key_and_value, overrides)]:
        key = "pool.path" if key == "pool" and isinstance(value, str) else key
        put(values, key, value)
        put(given, key, value)
    _forget_adapter(values, given)
    config = validate(values)
    for train in (config.train, config.for_rounds().train, config.for_final().train):
        if not _is_presets_own(train):
            check_train_keys(train)
    return config


def _is_presets_own(train: TrainConfig) -> bool:
    """Whether every key that is passed on is a preset's, with its value: then nothing is wrong with them."""
    presets = [preset["train"] for preset in PRESETS.values()]
    return any(train.sft.items() <= own.items() for own in presets) and train.lora in (
        {},
        *(own.get("lora") for own in presets),
    )


def _key_and_value(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise ConfigError(
            f"override {word!r} is not of the form key=value, such as train.learning_rate=1e-4."
        )
    if key.strip() == "preset":
        raise ConfigError(
            f"{word} is too late, for other keys change what a preset sets: give --preset {text}."
        )
    # A shell command is full of what YAML would take apart.
    return key.strip(), text if key.strip() == "train.command" else parse_yaml(text, f"the value of {key}")


def _forget_adapter(values: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Where full tuning was asked for, leave out the adapter's keys that only the preset had named."""
    train, asked = values.get("train"), given.get("train")
    if (
        isinstance(train, dict)
        and isinstance(asked, Mapping)
        and asked.get("method") == "full"
        and "lora" not in asked
    ):
        train.pop("lora", None)


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
    try:
        if file.suffix in DATA or (file.suffix == ".json" and _begins_a_list(file)):
            raise ConfigError(f"{str(file)!r} is data, not a config file. Give it as --pool {file}.")
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no config file {str(file)!r}. `diverseevol init {file}` writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read config file {str(file)!r}: {error}.") from None
    values = parse_yaml(text, f"config file {str(file)!r}")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"config file {str(file)!r} holds a {type(values).__name__}, not `key: value` lines."
        )
    return values


def _begins_a_list(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(100).lstrip().startswith(b"[")


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
            raise ConfigError(
                f"cannot set {dotted}: {'.'.join(path[: index + 1])} is {values!r}, not a section."
            )
    values[last] = value


def parse_yaml(text: str, what: str) -> Any:  # noqa: ANN401 - any YAML value
    """Read YAML text safely, scalars by YAML 1.2's core schema: `010` is 10, `no` a word.

    A key given twice is an error.

    Raises:
        ConfigError: with the line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{what} is not valid YAML: {' '.join(str(error).split())}") from None


def yaml_text(value: Any, **style: Any) -> str:  # noqa: ANN401 - any YAML value
    """YAML that `parse_yaml` and readers of YAML 1.1 read back as the same value.

    What one of them takes for no text is quoted.
    """
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **style))


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the core schema of YAML 1.2.2 (section 10.3.2) in place of 1.1's."""


class _Dumper(yaml.SafeDumper):
    """Knows the numbers and words of both versions."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Escape the line ends that only YAML 1.1 knows: as they are they would come back as a plain one."""
        style = '"' if {"\x85", "\u2028", "\u2029"} & set(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


# Kind, pattern, characters that it can begin with.
_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
)
_Loader.yaml_implicit_resolvers = {}  # PyYAML copies the base class's table where a class has none of its own
for _kind, _pattern, _first in _CORE_SCHEMA:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    """A number, and neither infinity nor NaN: no key means them, and JSON does not know them."""
    text = str(node.value)
    try:
        value = (
            int(text, 0 if text.startswith(("0o", "0x")) else 10)
            if node.tag.endswith(":int")
            else float(text)
        )
    except ValueError:  # .inf and .nan, `!!int word`, thousands of digits
        value = math.nan
    if not math.isfinite(value):
        raise yaml.constructor.ConstructorError(
            None, None, f"{text[:40]} is no number that a key takes", node.start_mark
        )
    return value


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is given twice", node.start_mark
            )
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Dumper.add_representer(str, _Dumper.represent_text)
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
