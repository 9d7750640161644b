"""Who works in a run folder and how far that is, by what lies there; also from a machine that only mounts the folder.

The lock is certain where it is seen: held, somebody works; free on the writer's own machine, nobody does. Other machines may not see it, so
there it counts whether progress.json changes, by the watcher's own clock; clocks of two machines are compared only for a first guess, which
says so. Files that cannot be read just now (replaced over a network, or damaged) are no news.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..base.files import read_json
from ..base.text import duration
from ..data import Pool, plain_text
from ..data.left_out import DUPLICATES, QUARANTINE
from ..data.pool import Status
from ..errors import RunFolderError
from . import RunFolder, Word, this_machine

QUIET = 90.0
"""Seconds after which silence means something: a process writes every ten, and network file systems show it up to a minute late."""
N_PICKS = 3
LONGEST = 300
"""Letters of a sample that `status` hands on."""


@dataclass(frozen=True)
class Life:
    """Whether a process works on the run."""

    is_running: bool | None
    """None: it is on another machine, and only silence could tell."""
    state: str
    """In words."""
    task: dict[str, Any] | None
    """What it is at: name, done, total, unit, rate, seconds_left, about."""


def read_word(run: RunFolder) -> dict[str, Any] | None:
    """What the process that works here, or the last one that did, has left of itself; None: nothing that can be read."""
    try:
        word = dict(read_json(run.progress_file, Word))
        datetime.fromisoformat(word["written"])
    except (OSError, ValueError, TypeError, RunFolderError):
        return None
    return word


def life_of(run: RunFolder, silent_for: float | None = None) -> Life:
    """Whether somebody works on an unfinished run, and at what.

    Args:
        run: The folder.
        silent_for: For how many seconds the watcher has seen progress.json unchanged; None: it has only just begun to look.
    """
    word, holder = read_word(run), lock_holder(run.root)
    if holder and (word is None or word["process"] != holder):  # a process that has said nothing yet
        return Life(True, f"running ({holder})", None)
    if word is None or (not holder and word["state"] == "running" and word["machine"] == this_machine()):
        return Life(False, "stopped; the same command goes on", None)
    if word["state"] != "running" and not holder:
        return Life(False, _ended(word), None)
    is_guess = silent_for is None and word["machine"] != this_machine()
    silent = max(0.0, (datetime.now(UTC) - datetime.fromisoformat(word["written"])).total_seconds())
    silent, guess = silent if silent_for is None else silent_for, ", if the clocks agree" if is_guess else ""
    name = holder or word["process"]
    if silent < QUIET:
        return Life(
            True if holder or not is_guess else None,
            f"running ({name}{_heard(silent, is_guess)})",
            word["task"],
        )
    if holder:
        return Life(
            True, f"running ({name}), but it has written nothing for {duration(silent)}", word["task"]
        )
    ended = (
        f"no word from {name} for {duration(silent)}{guess}: it has stopped, or the folder is cut off from it"
    )
    return Life(None, ended, None)


@dataclass
class Silence:
    """For how long a watcher has seen progress.json unchanged, by its own clock."""

    since: float = field(default_factory=time.monotonic)
    mark: tuple[Any, ...] | None = None
    has_heard: bool = False

    def seconds(self, run: RunFolder) -> float | None:
        """Look again; None: nothing was heard yet, and it is too early to call that silence."""
        word, now = read_word(run), time.monotonic()
        mark = None if word is None else (word["process"], word["started"], word["n_written"])
        if mark is not None and mark != self.mark:
            self.has_heard = self.mark is not None
            self.mark, self.since = mark, now if self.has_heard else self.since
        silent = now - self.since
        return silent if self.has_heard or silent >= QUIET else None


def _heard(silent: float, is_guess: bool) -> str:
    return f"; last word {duration(silent)} ago, if the clocks agree" if is_guess else ""


def _ended(word: Mapping[str, Any]) -> str:
    why = {"failed": f"failed: {word['why']}", "interrupted": "interrupted"}.get(word["state"])
    return f"stopped ({why}); the same command goes on" if why else "stopped; the same command goes on"


def lock_holder(root: Path) -> str | None:
    """Who holds the run's lock, if anybody does and the file system says so."""
    try:
        with (root / ".lock").open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return handle.read(200).strip() or "another process"
    except OSError:  # no lock yet, or a file system without locks
        return None
    return None


def pool_counts(run: RunFolder) -> dict[str, int]:
    """Rows of the pool, and of what was read but is not in it."""
    counts = dict.fromkeys(
        ("n_pool", "n_quarantined", "n_duplicates", "n_duplicates_dropped", "n_contaminated"), 0
    )
    if not (run.pool_dir / "index.arrow").exists():
        return counts
    for name, listed in (("n_quarantined", QUARANTINE), ("n_duplicates", DUPLICATES)):
        if (run.pool_dir / listed).exists():
            with (run.pool_dir / listed).open("rb") as lines:
                counts[name] = sum(1 for _ in lines)
    pool = Pool.open(run.pool_dir)
    fates = (
        ("n_pool", Status.KEPT),
        ("n_duplicates_dropped", Status.DUPLICATE),
        ("n_contaminated", Status.CONTAMINATED),
    )
    return counts | {name: int((pool.status == status).sum()) for name, status in fates}


def last_picks(run: RunFolder, index: int) -> list[dict[str, Any]]:
    """The first picks of a round, the farthest where distances decide, with the beginning of what they say."""
    picks = run.picks(index)[:N_PICKS]
    pool = Pool.open(run.pool_dir)
    return [{**pick, "text": plain_text(pool.sample(int(pick["row"])), " → ")[:LONGEST]} for pick in picks]
