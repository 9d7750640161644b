"""Strategies by name: the built-in ones, and those that installed packages register.

A package registers a strategy through the entry-point group `diverseevol.strategies`; the entry is a class or a function
whose keyword arguments are the strategy's options. Names are known without loading any of them (and so without torch).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from ..errors import SelectionError, UnknownStrategyError
from .signals import Strategy

GROUP = "diverseevol.strategies"
BUILT_IN = {"k_center": ("k_center", "KCenter"), "random": ("random_draw", "RandomDraw")}


def known_strategies() -> list[str]:
    """List every name that `make_strategy` accepts, sorted."""
    return sorted({*BUILT_IN, *_registered()})


def check_strategy(name: str) -> None:
    """Check that a strategy of that name exists, without loading it.

    Raises:
        UnknownStrategyError: it does not; the message lists those that do.
    """
    known = known_strategies()
    if name not in known:
        hint = _nearest(name, known)
        raise UnknownStrategyError(
            f"no strategy is called {name!r}. {hint}Known: {', '.join(known)}; a package adds more through the group {GROUP}."
        )


def make_strategy(name: str, **options: object) -> Strategy:
    """Build the strategy of that name; a built-in name cannot be taken over by a package.

    Args:
        name: a built-in or registered name.
        options: the strategy's own options.

    Raises:
        UnknownStrategyError: nobody registered the name.
        SelectionError: an option is unknown, missing or has an unusable value.
    """
    check_strategy(name)
    make = _factory(name)
    parameters = inspect.signature(make).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        unknown = sorted(set(options) - {parameter.name for parameter in parameters})
        if unknown:
            known = [parameter.name for parameter in parameters]
            found = f"its options are {', '.join(known)}" if known else "it has no options"
            hint = _nearest(unknown[0], known)
            raise SelectionError(f"the strategy {name!r} has no option {unknown[0]!r}: {found}. {hint}".strip())
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    missing = [option for option in required if option not in options]
    if missing:
        raise SelectionError(f"the strategy {name!r} needs the option {missing[0]!r}. Give it a value.")
    return make(**options)


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _factory(name: str) -> Callable[..., Strategy]:
    if name in BUILT_IN:
        module, attribute = BUILT_IN[name]
        make: Callable[..., Strategy] = getattr(import_module(f".{module}", __package__), attribute)
        return make
    loaded: Callable[..., Strategy] = _registered()[name].load()
    return loaded


def _nearest(name: str, known: Iterable[str]) -> str:
    match = get_close_matches(name, list(known), n=1)
    return f"Did you mean {match[0]!r}? " if match else ""
