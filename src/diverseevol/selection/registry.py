"""Strategies by name: the built-in ones, and those that installed packages register.

A package registers a strategy through the entry-point group `diverseevol.strategies`; the entry is a class or
a function whose keyword arguments are the strategy's options. Names are known without loading any of them
(and so without torch).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from ..base.text import nearest
from ..errors import DiverseEvolError, SelectionError
from .base import Strategy

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
    "quality_diversity": ("quality_diversity", "QualityDiversity"),
    "random": ("random_draw", "RandomDraw"),
    "vendi": ("vendi_sampling", "VendiSampling"),
}
COMMON = {
    "quota": ("Quota", None),
    "whiten": ("Whitened", "n"),
    "outliers": ("Outliers", None),
    "minimum": ("Minimum", "least"),
}
"""Options of every strategy, from the innermost to the outermost: each wraps the strategy. The wrapper's
settings are the option's mapping or, where one is named, the option is that setting."""


def known_strategies() -> list[str]:
    """List every name that `make_strategy` accepts, sorted."""
    return sorted({*BUILT_IN, *_registered()})


def check_strategy(name: str) -> None:
    """Check that a strategy of that name exists, without loading it.

    Raises:
        SelectionError: it does not; the message lists those that do.
    """
    known = known_strategies()
    if name not in known:
        raise SelectionError(
            f"no strategy is called {name!r}. {nearest(name, known)}Known: {', '.join(known)}; "
            f"a package adds more through the group {GROUP}."
        )


def make_strategy(name: str, **options: object) -> Strategy:
    """Build the strategy of that name; a built-in name cannot be taken over by a package.

    Args:
        name: a built-in or registered name.
        options: the strategy's own options, and those of every strategy: quota, whiten, outliers, minimum.

    Raises:
        SelectionError: nobody registered the name, or an option is unknown, missing or has an unusable value.
    """
    check_strategy(name)
    make = _factory(name)
    own = inspect.signature(make).parameters
    common = {option: options.pop(option) for option in COMMON if option in options and option not in own}
    strategy = _built(f"the strategy {name!r}", make, options)
    for option, setting in common.items():
        wrapper, field = COMMON[option]
        if field is None and not isinstance(setting, Mapping):
            raise SelectionError(
                f"{option} must be a mapping of its settings, such as {{by: …}}; found {setting!r}."
            )
        settings = setting if isinstance(setting, Mapping) and field is None else {field: setting}
        strategy = _built(option, _load("options", wrapper), settings, strategy)
    return strategy


def takes_option(name: str, option: str) -> bool:
    """Whether the strategy of that name has an option of its own, or one of every strategy's, of that name.

    Raises:
        SelectionError: nobody registered the name.
    """
    check_strategy(name)
    parameters = inspect.signature(_factory(name)).parameters.values()
    return option in COMMON or any(
        option == each.name or each.kind is each.VAR_KEYWORD for each in parameters
    )


def _built(
    what: str, make: Callable[..., Strategy], options: Mapping[Any, Any], *wrapped: Strategy
) -> Strategy:
    """Call `make` with options that it takes, and say what is wrong with them otherwise."""
    parameters = list(inspect.signature(make).parameters.values())[len(wrapped) :]
    known = [parameter.name for parameter in parameters]
    unknown = sorted(str(option) for option in options if option not in known)
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        found = f"its options are {', '.join(known)}" if known else "it has no options"
        raise SelectionError(
            f"{what} has no option {unknown[0]!r}: {found}. {nearest(unknown[0], [*known, *COMMON])}"
            f"Every strategy also takes {', '.join(COMMON)}."
        )
    for parameter in parameters:
        is_named = parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        if is_named and parameter.default is parameter.empty and parameter.name not in options:
            raise SelectionError(f"{what} needs the option {parameter.name!r}. Give it a value.")
    try:
        return make(*wrapped, **options)
    except ValidationError as error:
        # In a union: what came nearest.
        first = max(error.errors(include_url=False), key=lambda each: len(each["loc"]))
        own = first.get("ctx", {}).get("error")
        if isinstance(own, DiverseEvolError):
            raise own from None
        text = f"{what}: {first['loc'][0]}: {first['msg']}; found {first['input']!r}."
        raise SelectionError(text) from None


def _registered() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _factory(name: str) -> Callable[..., Strategy]:
    make: Callable[..., Strategy] = _load(*BUILT_IN[name]) if name in BUILT_IN else _registered()[name].load()
    return make


def _load(module: str, attribute: str) -> Any:  # noqa: ANN401 - whatever makes a strategy
    return getattr(import_module(f".{module}", __package__), attribute)
