"""Selection: signals and the rows chosen so far in, new rows out; pure, it never sees a model or a file."""

from .api import select
from .base import Selection, Signal, Signals, Strategy
from .registry import check_strategy, known_strategies, make_strategy

__all__ = [
    "Selection",
    "Signal",
    "Signals",
    "Strategy",
    "check_strategy",
    "known_strategies",
    "make_strategy",
    "select",
]
