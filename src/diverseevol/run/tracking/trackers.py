"""The three trackers behind one door: a series of numbers over an axis, into one run that a resumed process goes on with.

Where they differ from the Trainer's own callbacks (transformers 5.23), and why: TensorBoardCallback writes into `output_dir`, which is a
round's folder of checkpoints and is deleted with them; WandbCallback keeps one run a process, in which every round starts at step 0 again;
TrackioCallback ends its run with each training and opens another for the next. Here a run of the loop is one run of the tracker.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...errors import ConfigError

PROJECT = "huggingface"
"""The Trainer's default."""


class Tracker(Protocol):
    """Somebody who draws curves."""

    def log(self, values: Mapping[str, float], axis: str, at: int) -> None:
        """Add a point to each series, at `at` of the axis."""

    def close(self) -> None:
        """Hand over what is not handed over yet."""


class TensorBoard:
    """Event files in the folder's tensorboard, or in TENSORBOARD_LOGGING_DIR."""

    def __init__(self, folder: Path) -> None:
        self._folder = Path(os.environ.get("TENSORBOARD_LOGGING_DIR") or folder / "tensorboard").expanduser()
        self._writer: Any = None

    def log(self, values: Mapping[str, float], axis: str, at: int) -> None:
        """Add a point to each series; the step is `at`, on whichever axis."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed process has drawn of steps that are now made again is taken back.
            self._writer = SummaryWriter(
                str(self._folder), purge_step=at if axis == "train/global_step" else None
            )
        for name, value in values.items():
            self._writer.add_scalar(name, value, at)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()


@dataclass(frozen=True)
class Logged:
    """A run of W&B or of trackio: both take a point as numbers by name, its place on the axis among them."""

    run: Any
    finish: Callable[[], None]

    def log(self, values: Mapping[str, float], axis: str, at: int) -> None:
        """Add a point to each series."""
        self.run.log({**values, axis: at})

    def close(self) -> None:
        """End the run, once everything is sent or, offline, written."""
        self.finish()


def open_wandb(
    run_id: str, name: str, project: str | None, folder: Path, config: Mapping[str, Any]
) -> Logged:
    """Open one W&B run, resumed by its id; WANDB_PROJECT, WANDB_MODE=offline and its other variables hold.

    Args:
        run_id: The same for a resumed process, unique among runs.
        name: What the run is called.
        project: None: as WANDB_PROJECT says, else the Trainer's default.
        folder: Where W&B may keep its files.
        config: Shown beside the curves.

    Raises:
        ConfigError: W&B refuses, for want of a login for example.
    """
    import wandb

    try:
        run = wandb.init(
            project=project or os.environ.get("WANDB_PROJECT") or PROJECT,
            id=run_id,
            name=name,
            resume="allow",
            dir=None if os.environ.get("WANDB_DIR") else str(folder),
            config=dict(config),
            settings=wandb.Settings(console="off"),  # bars that are drawn ten times a second are no log
        )
    except wandb.errors.Error as error:
        raise _refused("W&B", "wandb", error, " WANDB_MODE=offline needs no login.") from error
    for prefix, axis in (
        ("train", "train/global_step"),
        ("round", "round"),
        ("cost", "round"),
        ("final", "final/global_step"),
    ):
        run.define_metric(f"{prefix}/*", step_metric=axis)
    return Logged(run, run.finish)


def open_trackio(name: str, project: str | None, config: Mapping[str, Any], space_id: str | None) -> Logged:
    """Open one trackio run, resumed by its name; local unless TRACKIO_SPACE_ID or `space_id` says otherwise.

    Raises:
        ConfigError: trackio refuses.
    """
    import trackio

    try:
        run = trackio.init(
            project=project or PROJECT,
            name=name,
            space_id=space_id,
            resume="allow",
            config=dict(config),
            embed=False,
        )
    except (ValueError, OSError) as error:  # a name it refuses, or a Space without a login
        raise _refused("trackio", "trackio", error) from error
    return Logged(run, trackio.finish)


def _refused(title: str, name: str, error: Exception, more: str = "") -> ConfigError:
    words = " ".join(str(error).split())
    return ConfigError(
        f"{title} cannot be started: {words} Log in or correct it, or take {name} off train.report_to.{more}"
    )
