"""Options that several verbs share, and the way from them to a configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..config import RunConfig

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CONFIG] [KEY=VALUE]…", help="A YAML file, and keys to override."),
]
PoolOption = Annotated[
    str | None, typer.Option("--pool", help="Instruction data: file, folder, `datasets` folder or Hub id.")
]
ModelOption = Annotated[str | None, typer.Option("--model", help="Base model: folder or Hub id.")]
OutOption = Annotated[str | None, typer.Option("--out", help="Run folder; the same command again resumes.")]
PresetOption = Annotated[str | None, typer.Option("--preset", help="paper (default), modern or thrifty.")]
StrategyOption = Annotated[str | None, typer.Option("--strategy", help="k_center (default), random, …")]
SIZES = ("rounds", "n_init", "n_new", "budget", "seed")
"""The keys of a run that --help explains; every other top-level key may be given in the same way."""


KEYS = {"pool": "pool.path", "strategy": "selection.strategy"}
"""Options whose key in the configuration has another name."""
NOWHERE = os.devnull
"""The run folder of what writes nothing, where none is named: nothing can lie in it."""


def config_from(
    words: list[str] | None,
    preset: str | None,
    options: dict[str, Any],
    needs_out: bool = True,
    defaults: dict[str, Any] | None = None,
) -> RunConfig:
    """Read the words `[CONFIG] key=value …` and the options that were given, by their names or keys.

    None: not given.

    Without `needs_out` a run folder need not be named.

    Raises:
        ConfigError: see `load_config`.
    """
    from ..config import load_config  # builds the models, which --help need not wait for

    words = words or []
    files = [word for word in words if "=" not in word]
    if len(files) > 1:
        raise typer.BadParameter(f"one config file at most, found {files[0]!r} and {files[1]!r}")
    given = {KEYS.get(name, name): value for name, value in options.items() if value is not None}
    defaults = {**(defaults or {}), **({} if needs_out else {"out": NOWHERE})}
    return load_config(
        files[0] if files else None, [word for word in words if "=" in word], preset, given, defaults
    )
