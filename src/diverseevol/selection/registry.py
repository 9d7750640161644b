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
BUILT_IN = {
    "entropy": ("scores", "entropy"),
    "facility_location": ("facility_location", "FacilityLocation"),
    "ifd": ("scores", "ifd"),
    "k_center": ("k_center", "KCenter"),
    "k_means": ("k_means", "KMeans"),
    "least_confidence": ("scores", "least_confidence"),
    "loss": ("scores", "loss"),
    "margin": ("scores", "margin"),
    "quality_diversity": ("weighted", "QualityDiversity"),
    "random": ("random_draw", "RandomDraw"),
    "vendi": ("vendi_sampling", "VendiSampling"),
}
COMMON = {
    "quota": ("quotas", "Quota"),
    "whiten": ("whitening", "Whitened"),
    "outliers": ("guards", "Outliers"),
    "minimum": ("guards", "Minimum"),
}
"""Options of every strategy, from the innermost to the outermost: each wraps the strategy, and is called with it and the option's value."""


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
        options: the strategy's own options, and those of every strategy: quota, whiten, outliers, minimum.

    Raises:
        UnknownStrategyError: nobody registered the name.
        SelectionError: an option is unknown, missing or has an unusable value.
    """
    check_strategy(name)
    make = _factory(name)
    parameters = inspect.signature(make).parameters.values()
    own = {parameter.name for parameter in parameters}
    common = {option: options.pop(option) for option in COMMON if option in options and option not in own}
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        unknown = sorted(set(options) - own)
        if unknown:
            known = [parameter.name for parameter in parameters]
            found = f"its options are {', '.join(known)}" if known else "it has no options"
            hint = _nearest(unknown[0], [*known, *COMMON])
            raise SelectionError(
                f"the strategy {name!r} has no option {unknown[0]!r}: {found}. {hint}Every strategy also takes {', '.join(COMMON)}."
            )
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    missing = [option for option in required if option not in options]
    if missing:
        raise SelectionError(f"the strategy {name!r} needs the option {missing[0]!r}. Give it a value.")
    strategy = make(**options)
    for option, setting in common.items():
        strategy = _load(*COMMON[option])(strategy, setting)
    return strategy


def takes_option(name: str, option: str) -> bool:
    """Whether the strategy of that name has an option of its own, or one of every strategy's, of that name.

    Raises:
        UnknownStrategyError: nobody registered the name.
    """
    check_strategy(name)
    parameters = inspect.signature(_factory(name)).parameters.values()
    return option in COMMON or any(option == each.name or each.kind is each.VAR_KEYWORD for each in parameters)


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _factory(name: str) -> Callable[..., Strategy]:
    if name in BUILT_IN:
        return _load(*BUILT_IN[name])
    loaded: Callable[..., Strategy] = _registered()[name].load()
    return loaded


def _load(module: str, attribute: str) -> Callable[..., Strategy]:
    make: Callable[..., Strategy] = getattr(import_module(f".{module}", __package__), attribute)
    return make


def _nearest(name: str, known: Iterable[str]) -> str:
    match = get_close_matches(name, list(known), n=1)
    return f"Did you mean {match[0]!r}? " if match else ""
