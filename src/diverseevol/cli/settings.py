"""Settings of a verb: the keys of a section, as KEY=VALUE or --key VALUE, explained by its docstrings.

An option is declared where a verb cannot do without it; everything else that may be set is a key of a
section, so that its name, type, default and explanation stand in one place (config/verbs.py,
config/schema.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_args

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    Section = type[BaseModel]
SectionT = TypeVar("SectionT", bound="BaseModel")


class SettingsCommand(TyperCommand):
    """A command whose settings are the keys of some sections."""

    sections: ClassVar[Callable[[], Sequence[Section]]]
    """Gives them; called when the verb is used or explained, not when the program starts."""
    names: ClassVar[Sequence[str]] = ()
    """Those that are explained in --help; all where none is named."""

    def explained(self) -> dict[str, FieldInfo]:
        """The keys that --help explains."""
        fields = _fields(type(self).sections())
        return {name: fields[name] for name in self.names or fields}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click or typer's own
        """Parse the arguments, with `--key VALUE` for a key of a section written as `key=VALUE`."""
        declared = {option for one in self.params for option in (*one.opts, *one.secondary_opts)}
        return list(super().parse_args(ctx, list(as_words(args, _fields(type(self).sections()), declared))))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the help, with the settings at its end."""
        super().format_help(ctx, formatter)
        _explain(self.explained())


def with_settings(sections: Callable[[], Sequence[Section]], names: Sequence[str] = ()) -> type[TyperCommand]:
    """A `SettingsCommand` of these sections."""
    return type("Command", (SettingsCommand,), {"sections": staticmethod(sections), "names": names})


def _fields(sections: Sequence[Section]) -> dict[str, FieldInfo]:
    return {name: field for one in sections for name, field in one.model_fields.items()}


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
            continue
        is_text = _takes_text(field.annotation)
        values[key.strip()] = text if is_text else parse_yaml(text, f"the value of {key}")
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


def _explain(fields: Mapping[str, FieldInfo]) -> None:
    """Keys as --help shows options."""
    from rich.console import Console
    from rich.markup import escape
    from rich.panel import Panel
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, field in fields.items():
        default = field.get_default(call_default_factory=True)
        is_shown = isinstance(default, str | int | float) and default is not False
        about = " ".join(str(field.description).split()) + (f" [default: {default}]" if is_shown else "")
        table.add_row(f"[bold cyan]--{name.replace('_', '-')}[/]", escape(about))
    panel = Panel(table, title="Settings, also as KEY=VALUE", title_align="left", border_style="dim")
    Console().print(panel)
