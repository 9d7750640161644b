"""Write the pages of docs/reference/ that nobody writes by hand: configuration, command line, Python.

They come from the models' field docstrings, the command line's own help and the public names, before every build of the site
(`make docs`). Only these three files are made; the site's builder needs no plugin of ours.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.cli import get_docs_for_click  # what `typer … utils docs` prints
from typer.main import get_command
from typer.models import Context

import diverseevol
from diverseevol.cli.app import app
from diverseevol.cli.options import SettingsCommand
from diverseevol.config import PRESETS, RunConfig, SourceConfig

FOLDER = Path(__file__).parent / "reference"
WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
WORDS |= {"array": "list", "object": "mapping"}
BOUNDS = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "up to {}", "exclusiveMaximum": "below {}"}
GROUPS = {  # what belongs together on the page of the Python API
    "The loop": ("load_config", "RunConfig", "evolve", "Round"),
    "Choosing": ("select", "make_strategy", "Strategy", "Signals", "Signal", "Selection"),
    "Data and vectors": ("Pool", "open_vectors", "embed_pool"),
    "Measuring": (
        "vendi_score",
        "covering_radius",
        "diversity",
        "DiversityReport",
        "answer",
        "judge",
        "score",
        "heldout",
    ),
    "Errors": ("DiverseEvolError",),
}


def main() -> None:
    """Write the three pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in (("configuration", configuration()), ("cli", command_line()), ("python", python_api())):
        (FOLDER / f"{name}.md").write_text(text, "utf-8")


def configuration() -> str:
    """The page of every key: where it stands, what it takes, its default, and what it does."""
    schema = RunConfig.model_json_schema()
    sections = [
        "# Configuration",
        "Every key of a run, as a YAML file, as `key=value` behind a verb, or in `load_config` has it. A config file needs `pool`, "
        "`model` and `out`; everything else has the default below, or the preset's value. Values are YAML 1.2 (`010` is 10, `1e-5` a "
        "number, `no` a word); `~` and `$VARIABLES` are expanded in every path. "
        "`diverseevol init` writes a file with the same explanations.",
        "## Presets",
        "`preset: NAME` in a file, or `--preset NAME`; `paper` where nothing is said. Whatever is not listed keeps its default.",
        _preset_table(),
        "## Top level",
        *_keys(RunConfig, "", schema),
    ]
    for name, model in _sections():
        sections += [f"## {name}", str(RunConfig.model_fields[name].description), *_keys(model, f"{name}.", schema)]
        if name == "pool":
            sections += ["## pool.sources", "The keys of one source.", *_keys(SourceConfig, "pool.sources[].", schema)]
        if model.model_config.get("extra") == "allow":
            further = {"train": "every key of TRL's `SFTConfig` under its own name", "selection": "the strategy's options"}[name]
            sections.append(f"Further keys of `{name}`: {further}.")
    return "\n\n".join(sections) + "\n"


def command_line() -> str:
    """The page of every verb and option, as typer documents it, with what reads badly there put right."""
    group = get_command(app)
    group.commands = {name: verb for name, verb in group.commands.items() if not verb.hidden}
    text = get_docs_for_click(obj=group, ctx=Context(group), name="diverseevol")
    text = text.replace("# `diverseevol`", "# Command line", 1).replace("[[CONFIG] [KEY=VALUE]…]...", "[CONFIG] [KEY=VALUE]...")
    text = re.sub(r"^Example: (.*)$", r"**Example**:\n\n```console\n$ \1\n```", text, flags=re.MULTILINE)
    text = text.replace("[CONFIG] [KEY=VALUE]… <list[str]>", "[CONFIG] [KEY=VALUE]...").replace("&#x27;", "'")
    text = text.replace("<list[str]>", "<str>")
    for name, verb in group.commands.items():  # typer's list of verbs is cut off, and leads nowhere
        text = re.sub(rf"^\* `{name}`: .*$", f"* [`{name}`](#diverseevol-{name}): {verb.help}", text, flags=re.MULTILINE)
    text = re.sub(r"^First steps:.*\n\n", "", text, flags=re.MULTILINE)
    text += (
        "\n## Settings\n\nAlso as `KEY=VALUE`; every key of the configuration's first level is one of `run`, `plan`, `compare`.\n"
    )
    for name, verb in group.commands.items():
        if isinstance(verb, SettingsCommand):
            lines = (f"* `--{key.replace('_', '-')}`: {_prose(field.description)}" for key, field in verb.explained().items())
            text += "\n".join([f"\n**`{name}`**\n", *lines, ""])
    return text.replace("```console", "```text")


def python_api() -> str:
    """The page of the public names, whose docstrings mkdocstrings reads from the source."""
    grouped = {name for names in GROUPS.values() for name in names}
    missing = set(diverseevol.__all__) - grouped - {"__version__"}
    assert not missing, f"no group of docs/reference.py has {sorted(missing)}"
    parts = ["# Python", "The public names, all of them importable from `diverseevol`; they are loaded when first used."]
    for heading, names in GROUPS.items():
        parts += [f"## {heading}", *(_entry(name) for name in names)]
    return "\n\n".join(parts) + "\n"


def _entry(name: str) -> str:
    """Where mkdocstrings finds a public name; the keys of a configuration have a page of their own."""
    if name != "RunConfig":
        return f"::: {_home(name)}"
    return (
        f"::: {_home(name)}\n    options: {{members: false, show_bases: false}}\n\nIts fields: [Configuration](configuration.md)."
    )


def _home(name: str) -> str:
    """Where a public name is defined."""
    value = getattr(diverseevol, name)
    return f"{importlib.import_module(value.__module__).__name__}.{name}"


def _sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections of a configuration in its own order."""
    for name, field in RunConfig.model_fields.items():
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if model:
            yield name, model


def _keys(model: type[BaseModel], prefix: str, schema: Mapping[str, Any]) -> Iterator[str]:
    own = schema if model is RunConfig else schema["$defs"][model.__name__]
    for name, field in model.model_fields.items():
        is_section = model is RunConfig and name in dict(_sections())
        shape = own["properties"][name]
        facts = f"a section, [below](#{name})" if is_section else f"{_kind(shape, schema)} · {_default(field)}"
        yield f"### `{prefix}{name}` {{#{(prefix + name).replace('[]', '')}{'-key' if is_section else ''}}}"
        yield f"{facts}{_from_presets(prefix + name)}\n\n{_prose(field.description)}"


def _prose(text: str | None) -> str:
    """A field's docstring, in which braces and stars are text."""
    return re.sub(r"([*_{}<])", r"\\\1", str(text)) if "`" not in str(text) else str(text)


def _kind(shape: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(_kind(part, schema) for part in shape["anyOf"]))
    if "$ref" in shape:
        return "section"
    if "enum" in shape or "const" in shape:
        return ", ".join(f"`{_yaml(value)}`" for value in shape.get("enum", [shape.get("const")]))
    limits = " ".join(words.format(f"{shape[bound]:g}") for bound, words in BOUNDS.items() if bound in shape)
    words = WORDS[shape["type"]] + (f" {limits}" if limits else "")
    if shape["type"] == "array" and "items" in shape:
        words += f" of {_kind(shape['items'], schema)}s"
    return words


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return f"default `{_yaml(list(value) if isinstance(value, tuple) else value)}`"


def _yaml(value: Any) -> str:  # noqa: ANN401 - any YAML value
    return str(yaml.safe_dump(value, default_flow_style=True, width=1000)).removesuffix("...\n").strip()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        is_section = isinstance(value, dict) and prefix + key != "train.lora"
        flat |= _flat(value, f"{prefix}{key}.") if is_section else {prefix + key: value}
    return flat


def _from_presets(key: str) -> str:
    """What the presets set a key to, where they do."""
    values = {name: _flat(preset)[key] for name, preset in PRESETS.items() if key in _flat(preset)}
    return "".join(f" · {name} `{_yaml(value)}`" for name, value in values.items())


def _preset_table() -> str:
    flat = {name: _flat(preset) for name, preset in PRESETS.items()}
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    rows = [f"| `{key}` | " + " | ".join(f"`{_yaml(v[key])}`" if key in v else "" for v in flat.values()) + " |" for key in keys]
    return "\n".join([f"| key | {' | '.join(flat)} |", "|---|" + "---|" * len(flat), *rows])


if __name__ == "__main__":
    main()
