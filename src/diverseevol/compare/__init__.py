"""The proof against random: several strategies and seeds from the same starts, each a run folder of its own, and what they show."""

from .experiment import Experiment
from .runs import compare_strategies

__all__ = ["Experiment", "compare_strategies"]
