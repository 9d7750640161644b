"""The run folder: every path of a run, what is done and what is left, the lock, and whether a resumed run is still the same.

The layout is a contract (docs/run_folder.md). State lives here and nowhere else: a stage that is done has its file or
folder under its final name, a round that is done has `done`. Nothing is ever half-written (files.py).
"""

from .folder import BASE, FOLDER_NAME, OWN, RunFolder, round_name, runs_below
from .lock import locked
from .record import flat, versions
from .record_progress import recorded, this_machine
from .shapes import Pick, Word

__all__ = [
    "BASE",
    "FOLDER_NAME",
    "OWN",
    "Pick",
    "RunFolder",
    "Word",
    "flat",
    "locked",
    "recorded",
    "round_name",
    "runs_below",
    "this_machine",
    "versions",
]
