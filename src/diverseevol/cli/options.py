"""Options that several verbs share, and settings: the keys of a section, as KEY=VALUE or --key VALUE.

An option is declared where a verb cannot do without it; everything else that may be set is a key of a section
(config/verbs.py, config/schema.py), where its name, type, default and explanation stand once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from ..config import RunConfig
SectionT = TypeVar("SectionT", bound="BaseModel")

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
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
SIZES = ("rounds", "n_init", "n_new", "budget", "seed")
"""The keys of a run that --help explains; every other top-level key may be given in the same way."""
KEYS = {"pool": "pool.path", "strategy": "selection.strategy"}
"""Options whose key in the configuration has another name."""
NOWHERE = os.devnull
"""The run folder of what writes nothing, where none is named: nothing can lie in it."""


def config_from(
    words: Sequence[str] | None,
    preset: str | None,
    options: dict[str, Any],
    needs_out: bool = True,
    defaults: dict[str, Any] | None = None,
) -> RunConfig:
    """The configuration by the words `[CONFIG] key=value …` and options, by name or key; None: not given.

    Without `needs_out` a run folder need not be named.

    Raises:
        ConfigError: see `load_config`.
    """
    from ..config import load_config  # builds the models, which --help need not wait for

    files = [word for word in words or () if "=" not in word]
    if len(files) > 1:
        raise typer.BadParameter(f"one config file at most, found {files[0]!r} and {files[1]!r}")
    given = {KEYS.get(name, name): value for name, value in options.items() if value is not None}
    defaults = {**(defaults or {}), **({} if needs_out else {"out": NOWHERE})}
    keys = [word for word in words or () if "=" in word]
    return load_config(files[0] if files else None, keys, preset, given, defaults)


class SettingsCommand(TyperCommand):
    """A command whose settings are the keys of some sections, named here as their classes are."""

    sections: ClassVar[Sequence[str]]
    names: ClassVar[Sequence[str]] = ()
    """The keys that are explained in --help; all where none is named."""

    @classmethod
    def of(cls, *sections: str, names: Sequence[str] = ()) -> type[TyperCommand]:
        """Such a command of these sections."""
        return type(cls.__name__, (cls,), {"sections": sections, "names": names})

    def fields(self) -> dict[str, FieldInfo]:
        """The keys; looked up when the verb is used or explained, not when the program starts."""
        from ..config import schema, verbs

        models = [getattr(verbs, name, None) or getattr(schema, name) for name in self.sections]
        return {name: field for model in models for name, field in model.model_fields.items()}

    def explained(self) -> dict[str, FieldInfo]:
        """The keys that --help explains."""
        fields = self.fields()
        return {name: fields[name] for name in self.names or fields}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click or typer's own
        """Parse the arguments, with `--key VALUE` for a key of a section written as `key=VALUE`."""
        declared = {option for one in self.params for option in (*one.opts, *one.secondary_opts)}
        return list(super().parse_args(ctx, list(as_words(args, self.fields(), declared))))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the help, with the settings at its end as options are shown."""
        from rich.console import Console
        from rich.markup import escape
        from rich.panel import Panel
        from rich.table import Table

        super().format_help(ctx, formatter)
        table = Table.grid(padding=(0, 2))
        for name, field in self.explained().items():
            default = field.get_default(call_default_factory=True)
            is_shown = isinstance(default, str | int | float) and default is not False
            about = " ".join(str(field.description).split()) + (f" [default: {default}]" if is_shown else "")
            table.add_row(f"[bold cyan]--{name.replace('_', '-')}[/]", escape(about))
        title = "Settings, also as KEY=VALUE"
        Console().print(Panel(table, title=title, title_align="left", border_style="dim"))


def as_words(args: Sequence[str], fields: Mapping[str, FieldInfo], declared: set[str]) -> Iterator[str]:
    """The arguments, with `--key VALUE` for a key of a section written as `key=VALUE`."""
    rest = iter(args)
    for arg in rest:
        name, equals, text = arg.partition("=")
        key = name.removeprefix("--").replace("-", "_")
        if not name.startswith("--") or name in declared or key not in fields:
            yield arg
            continue
        if not equals:
            is_flag = fields[key].annotation is bool
            text = "true" if is_flag else next(rest, "")
            if not text:
                raise typer.BadParameter(f"{name} needs a value")
        yield f"{key}={text}"


def read_settings(section: type[SectionT], words: Sequence[str] | None) -> tuple[SectionT, list[str]]:
    """The section by its words among these, and the words that are none of its keys.

    Raises:
        ConfigError: a value is not of its key's type; names the key, what was found and what would be right.
    """
    from pydantic import ValidationError

    from ..config import explain, parse_yaml
    from ..errors import ConfigError

    values, others = dict[str, Any](), []
    for word in words or ():
        key, equals, text = word.partition("=")
        field = section.model_fields.get(key.strip())
        if not equals or field is None:
            others.append(word)
        elif _takes_text(field.annotation):
            values[key.strip()] = text
        else:
            values[key.strip()] = parse_yaml(text, f"the value of {key}")
    try:
        return section.model_validate(values), others
    except ValidationError as error:
        raise ConfigError(explain(error)) from None


def _takes_text(annotation: object) -> bool:
    """Whether a value of this type may be any text, as a path is, which YAML would take apart."""
    return annotation is str or any(map(_takes_text, get_args(annotation)))


def only_run(words: Sequence[str], are_words_left: bool = False) -> Path | None:
    """The one run folder among words; None where there is none.

    Other words are wrong, unless they are left to the verb.
    """
    runs = [word for word in words if "=" not in word or Path(word).is_dir()]
    if len(runs) > 1:
        raise typer.BadParameter(f"one run folder at most, found {runs[0]!r} and {runs[1]!r}")
    wrong = [word for word in words if word not in runs]
    if wrong and not are_words_left:
        raise typer.BadParameter(f"{wrong[0]!r} is no setting of this verb; --help lists them")
    return Path(runs[0]) if runs else None


def key_values(words: Sequence[str]) -> dict[str, Any]:
    """What `key=value` words say, as nested mappings of YAML values.

    Raises:
        ConfigError: a value is no YAML.
    """
    from ..config import parse_yaml
    from ..config.load import put

    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{word!r} is not of the form key=value, such as metric=cosine")
        put(values, key.strip(), parse_yaml(text, f"the value of {key}"))
    return values
