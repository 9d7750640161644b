"""The three trackers behind one door: a series of numbers over an axis, into one run that a resumed process goes on with.

Where they differ from the Trainer's own callbacks (transformers 5.23), and why: TensorBoardCallback writes into `output_dir`, which is a
round's folder of checkpoints and is deleted with them; WandbCallback keeps one run a process, in which every round starts at step 0 again;
TrackioCallback ends its run with each training and opens another for the next. Here a run of the loop is one run of the tracker.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import ConfigError

HINT = "Log in or correct it, or take {name} off train.report_to."


@dataclass(frozen=True)
class Identity:
    """What a run is called in a tracker."""

    id: str
    """The same for a resumed process, unique among runs."""
    name: str
    project: str | None
    """None: as the tracker's own variable says, else the Trainer's default."""
    folder: Path
    """Where a tracker may keep its files."""
    config: Mapping[str, Any]


class Tracker(Protocol):
    """Somebody who draws curves."""

    def log(self, values: Mapping[str, float], axis: str, at: int) -> None:
        """Add a point to each series, at `at` of the axis."""

    def close(self) -> None:
        """Hand over what is not handed over yet."""


class TensorBoard:
    """Event files in the run folder's tracking/tensorboard, or in TENSORBOARD_LOGGING_DIR."""

    def __init__(self, who: Identity) -> None:
        self._folder = Path(os.environ.get("TENSORBOARD_LOGGING_DIR") or who.folder / "tensorboard").expanduser()
        self._writer: Any = None

    def log(self, values: Mapping[str, float], axis: str, at: int) -> None:
        """Add a point to each series; the step is `at`, on whichever axis."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed process has drawn of steps that are now made again is taken back.
            self._writer = SummaryWriter(str(self._folder), purge_step=at if axis == "train/global_step" else None)
        for name, value in values.items():
            self._writer.add_scalar(name, value, at)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()


class Wandb:
    """One W&B run, resumed by its id; WANDB_PROJECT, WANDB_MODE=offline and its other variables hold."""

    def __init__(self, who: Identity) -> None:
        import wandb

        project = who.project or os.environ.get("WANDB_PROJECT") or "huggingface"
        folder = None if os.environ.get("WANDB_DIR") else str(who.folder)
        try:
            self._run = wandb.init(
                project=project,
                id=who.id,
                name=who.name,
                resume="allow",
                dir=folder,
                config=dict(who.config),
                settings=wandb.Settings(console="off"),  # bars that are drawn ten times a second are no log
            )
        except wandb.errors.Error as error:
            words = " ".join(str(error).split())
            raise ConfigError(
                f"W&B cannot be started: {words} {HINT.format(name='wandb')} WANDB_MODE=offline needs no login."
            ) from error
        for prefix, axis in (
            ("train", "train/global_step"),
            ("round", "round"),
            ("cost", "round"),
            ("final", "final/global_step"),
        ):
            self._run.define_metric(f"{prefix}/*", step_metric=axis)

    def log(self, values: Mapping[str, float], axis: str, at: int) -> None:
        """Add a point to each series."""
        self._run.log({**values, axis: at})

    def close(self) -> None:
        """End the run, once everything is sent or, offline, written."""
        self._run.finish()


class Trackio:
    """One trackio run, resumed by its name; local unless TRACKIO_SPACE_ID or train.trackio_space_id says otherwise."""

    def __init__(self, who: Identity, space_id: str | None) -> None:
        import trackio

        try:
            self._run = trackio.init(
                project=who.project or "huggingface",
                name=who.name,
                space_id=space_id,
                resume="allow",
                config=dict(who.config),
                embed=False,
            )
        except (ValueError, OSError) as error:  # a name it refuses, or a Space without a login
            words = " ".join(str(error).split())
            raise ConfigError(f"trackio cannot be started: {words} {HINT.format(name='trackio')}") from error

    def log(self, values: Mapping[str, float], axis: str, at: int) -> None:
        """Add a point to each series."""
        self._run.log({**values, axis: at})

    def close(self) -> None:
        """End the run."""
        import trackio

        trackio.finish()
