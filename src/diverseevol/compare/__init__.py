"""The proof against random: strategies and seeds from the same starts, each in a run folder."""

from .experiment import Experiment
from .results import compare_strategies

__all__ = ["Experiment", "compare_strategies"]
