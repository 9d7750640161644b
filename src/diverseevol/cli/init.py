"""`init`: a config file that explains every key it shows and runs as written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ConfigError
from .settings import read_settings

FILE = "diverseevol.yaml"
FURTHER = {
    "train.": "Every other key of TRL's SFTConfig may stand here, too.",
    "selection.": "The options of the strategy may stand here, too (docs/strategies.md).",
}


def init(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE] [KEY=VALUE]…", help=f"The file to write; {FILE} if none is named."),
    ] = None,
) -> None:
    """Write a commented configuration."""
    from ..base.files import expanded, write_text
    from ..config.verbs import InitConfig

    given, names = read_settings(InitConfig, words)
    if len(names) > 1:
        raise typer.BadParameter(f"one file at most, found {names[0]!r} and {names[1]!r}")
    file = Path(names[0] if names else FILE)
    if file.exists() and not given.force:
        raise ConfigError(f"{file} is there already. Give another name, or --force to overwrite it.")
    write_text(
        file, config_text(given.preset, {"pool.path": given.pool, "model": given.model, "out": given.out})
    )
    for key, value in (("pool.path", given.pool), ("model", given.model)):
        if not Path(expanded(value)).exists():
            typer.echo(
                f"{key} is {value!r}, which is not here: correct it in the file, unless it is a Hub id."
            )
    typer.echo(f"Wrote {file}. Next: diverseevol run {file}")


def config_text(preset: str, options: dict[str, Any]) -> str:
    """A whole configuration as commented YAML, from the models' own descriptions."""
    from ..config import load_config

    config = load_config(preset=preset, options=options)
    lines = [
        f"# diverseevol, preset {preset}. Keys that are commented out show their default.",
        "# Every key can also be given on the command line: diverseevol run FILE train.learning_rate=1e-4",
        f"preset: {preset}",
        "",
    ]
    return "\n".join(lines + _section(config, "")) + "\n"


def _section(model: Any, path: str) -> list[str]:  # noqa: ANN401 - a pydantic model
    from pydantic import BaseModel

    from ..config import ABOUT

    lines: list[str] = []
    indent = "  " * path.count(".")
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        lines.append(f"{indent}# {' '.join(str(field.description).split())}")
        if isinstance(value, BaseModel):
            lines += [f"{indent}{name}:", *_section(value, f"{path}{name}."), ""]
        else:
            is_shown = not (value is None or value in ((), {}))
            shown = f"{name}: {_yaml(list(value) if isinstance(value, tuple) else value)}"
            lines.append(f"{indent}{shown}" if is_shown else f"{indent}# {shown}")
            lines += [""] if not indent else []
    for name, value in (model.model_extra or {}).items():
        lines += [f"{indent}# {ABOUT[path + name]}", f"{indent}{name}: {_yaml(value)}"]
    if path in FURTHER:
        lines.append(f"{indent}# {FURTHER[path]}")
    return lines


def _yaml(value: Any) -> str:  # noqa: ANN401 - any YAML value
    from ..config import yaml_text

    return yaml_text(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
