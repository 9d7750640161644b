"""YAML as its version 1.2 reads it (https://yaml.org/spec/1.2.2, section 10.3.2): `010` is 10, `no` a word.

PyYAML's safe loader and dumper with that core schema in place of 1.1's. Infinity and NaN, and a key given
twice, are errors.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from ..errors import ConfigError

# Kind, pattern, characters that it can begin with.
_CORE_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
)


def parse_yaml(text: str, what: str) -> Any:  # noqa: ANN401 - any YAML value
    """Read YAML text safely.

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
    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML copies its own where a class has none

    def number(self, node: yaml.ScalarNode) -> int | float:
        text = str(node.value)
        try:
            if node.tag.endswith(":float"):
                return float(text)
            return int(text, 0 if text.startswith(("0o", "0x")) else 10)
        except ValueError:  # .inf and .nan, which no key means, `!!int word`, thousands of digits
            problem = f"{text[:40]} is no number that a key takes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

    def mapping(self, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                problem = f"the key {key!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return self.construct_mapping(node, deep=True)


class _Dumper(yaml.SafeDumper):
    """Knows the numbers and words of both versions."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # Line ends that only YAML 1.1 knows would come back as a plain one.
        style = '"' if {"\x85", "\u2028", "\u2029"} & set(text) else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


for _kind, _pattern, _first in _CORE_SCHEMA:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first)
_Dumper.add_representer(str, _Dumper.represent_text)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.number)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _Loader.mapping)
