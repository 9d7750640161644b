"""The run folder: every path of a run, what is done and what is left, who works there, and what it cost."""

from .folder import BASE, FOLDER_NAME, OWN, RunFolder, round_name, runs_below
from .metrics import Bill, Metrics
from .progress import locked, recorded
from .resume import flat

__all__ = ["BASE", "FOLDER_NAME", "OWN", "Bill", "Metrics", "RunFolder"]
__all__ += ["flat", "locked", "recorded", "round_name", "runs_below"]
