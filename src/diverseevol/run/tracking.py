"""TensorBoard, W&B and trackio through `train.report_to`: one run for the whole loop, on rank 0 alone.

The trainer's series go on over the rounds, and our own stand beside them: `round/…` are of the round,
`cost/…` of its stages, and `cost/…_so_far` of all rounds up to it; the ratio is to one tuning of all weights
of the model on the whole pool, by the plan's count. What a round does not know is left out.

The Trainer's own callbacks (transformers 5.23) cannot do it: TensorBoardCallback writes into a round's folder
of checkpoints, which is deleted; in WandbCallback's one run a process every round starts at step 0 again;
TrackioCallback opens another run for each training.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..base import dist
from ..base.files import write_text
from ..base.text import nearest
from ..config import TRACKERS, RunConfig
from ..errors import ConfigError
from .folder import RunFolder
from .metrics import Metrics, totals
from .resume import flat

PROJECT = "huggingface"
"""The Trainer's default."""
AXES = {"train": "train/global_step", "round": "round", "cost": "round", "final": "final/global_step"}
SIZES = ("n_new", "n_chosen", "tokens_chosen", "trained_tokens_chosen")


def check_trackers(config: RunConfig) -> None:
    """Check that `train.report_to` names known trackers, and that those which the run serves are installed.

    Raises:
        ConfigError: one is not; names the nearest, or the extra.
    """
    served = config.for_rounds().train.report_to
    for name in sorted({*served, *config.for_final().train.report_to} - set(TRACKERS)):
        from transformers.integrations import integration_utils

        if name not in (known := integration_utils.INTEGRATION_TO_CALLBACK):
            raise ConfigError(
                f"train.report_to names {name!r}, which the Trainer does not know. {nearest(name, known)}"
                f"Known: {', '.join(sorted(known))}."
            )
    for name in served:
        if name in TRACKERS and find_spec(name) is None:
            raise ConfigError(
                f"train.report_to names {name}, which is not installed. Install it with: "
                f"pip install 'diverseevol[{name}]', or take it off train.report_to."
            )


@dataclass(frozen=True)
class Tracker:
    """Somebody who draws curves: takes numbers by name at a point of an axis, into one run."""

    log: Callable[[Mapping[str, float], str, int], None]
    close: Callable[[], None]


@dataclass
class Tracking:
    """Where the loop's series go; without trackers, nowhere. `config` is as the rounds see it."""

    run: RunFolder
    config: RunConfig
    trackers: list[Tracker] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The trackers that are served here, the same on every rank."""
        return [name for name in TRACKERS if name in self.config.train.report_to]

    def start(self) -> None:
        """Open the trackers, once the run's record is there.

        Raises:
            ConfigError: one cannot be started; on every rank.
        """
        dist.on_main(self._start)

    def _start(self) -> None:
        if not self.names:
            return
        folder, sft = self.run.tracking_dir, self.config.train.sft
        if not (folder / "id").exists():
            write_text(folder / "id", uuid.uuid4().hex[:8])
        run_id = (folder / "id").read_text("ascii").strip()
        name = str(sft.get("run_name") or f"{Path(self.config.out).resolve().name}-{run_id}")
        project, config = sft.get("project"), flat(self.config.model_dump(mode="json"))
        for tracker in self.names:
            if tracker == "tensorboard":
                self.trackers.append(open_tensorboard(folder))
            elif tracker == "wandb":
                self.trackers.append(open_wandb(run_id, name, project, folder, config))
            else:
                self.trackers.append(open_trackio(name, project, config, sft.get("trackio_space_id")))

    def log_training(self, index: int, logs: Mapping[str, Any], step: int) -> None:
        """Hand on what the Trainer logs in a round; its steps are counted on from the rounds before."""
        if self.trackers:
            bills = [one.stages.get("train") for one in self.run.all_metrics(index)]
            at = sum(bill.steps for bill in bills if bill) + step
            self._log({**_numbers("train", logs), "train/round": float(index)}, "train", at)

    def log_final(self, logs: Mapping[str, Any], step: int) -> None:
        """Hand on what the Trainer logs while the target is tuned at the end."""
        self._log(_numbers("final", logs), "final", step)

    def log_round(self, index: int) -> None:
        """Hand on a round's own series."""
        if self.trackers:
            plan = self.run.plan()
            series = round_series(self.run.all_metrics(index + 1), plan.full_flops if plan else None)
            self._log(series, "round", index)

    def _log(self, values: Mapping[str, float], kind: str, at: int) -> None:
        for tracker in self.trackers:
            tracker.log(values, AXES[kind], at)


@contextmanager
def tracked(run: RunFolder, config: RunConfig) -> Iterator[Tracking]:
    """Hand out a run's tracking, to be started when its record is there, and end it with the block."""
    tracking = Tracking(run, config.for_rounds())
    try:
        yield tracking
    finally:
        for tracker in tracking.trackers:
            tracker.close()


def round_series(metrics: Sequence[Metrics], full_flops: float | None) -> dict[str, float]:
    """What the last of these rounds (0 and up) says, as numbers by name.

    `full_flops` are those of one full tuning on the whole pool; None: not known.
    """
    last = metrics[-1]
    known = last.values()
    found = {f"round/{name}": float(known[name]) for name in SIZES if name in known}
    found |= {f"round/{name}": value for name, value in last.gauge.items()}
    if last.heldout.loss is not None:
        found["round/heldout_loss"] = last.heldout.loss
    for stage, bill in last.stages.items():
        found[f"cost/{stage}_seconds"] = bill.seconds
        if bill.flops is not None:
            found[f"cost/{stage}_flops"] = bill.flops
    seconds, flops = totals(bill for each in metrics for bill in each.stages.values())
    found |= {"cost/seconds_so_far": seconds, "cost/flops_so_far": flops}
    return found | ({"cost/ratio_so_far": flops / full_flops} if full_flops else {})


def _numbers(prefix: str, logs: Mapping[str, Any]) -> dict[str, float]:
    """The numbers in what the Trainer logs, named as its own callbacks do."""
    return {
        f"{prefix}/{name}": float(value)
        for name, value in logs.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def open_tensorboard(folder: Path) -> Tracker:
    """Event files in the folder's tensorboard, or in TENSORBOARD_LOGGING_DIR; opened with the first point."""
    place = Path(os.environ.get("TENSORBOARD_LOGGING_DIR") or folder / "tensorboard").expanduser()
    opened: list[Any] = []

    def log(values: Mapping[str, float], axis: str, at: int) -> None:
        if not opened:
            from torch.utils.tensorboard import SummaryWriter

            # What a killed process has drawn of steps that are now made again is taken back.
            opened.append(SummaryWriter(str(place), purge_step=at if axis == AXES["train"] else None))
        for name, value in values.items():
            opened[0].add_scalar(name, value, at)
        opened[0].flush()

    def close() -> None:
        for writer in opened:
            writer.close()

    return Tracker(log, close)


def open_wandb(
    run_id: str, name: str, project: str | None, folder: Path, config: Mapping[str, Any]
) -> Tracker:
    """Open one W&B run, resumed by its id; WANDB_PROJECT, WANDB_MODE=offline and its other variables hold.

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
    for prefix, axis in AXES.items():
        run.define_metric(f"{prefix}/*", step_metric=axis)
    return Tracker(lambda values, axis, at: run.log({**values, axis: at}), run.finish)


def open_trackio(name: str, project: str | None, config: Mapping[str, Any], space_id: str | None) -> Tracker:
    """Open one trackio run, resumed by its name; local unless TRACKIO_SPACE_ID or `space_id` says otherwise.

    Raises:
        ConfigError: trackio refuses: a name, or a Space without a login.
    """
    import trackio

    settings = {"space_id": space_id, "resume": "allow", "config": dict(config), "embed": False}
    try:
        run = trackio.init(project=project or PROJECT, name=name, **settings)
    except (ValueError, OSError) as error:
        raise _refused("trackio", "trackio", error) from error
    return Tracker(lambda values, axis, at: run.log({**values, axis: at}), trackio.finish)


def _refused(title: str, name: str, error: Exception, more: str = "") -> ConfigError:
    words = " ".join(str(error).split())
    return ConfigError(
        f"{title} cannot be started: {words} Log in or correct it, or take {name} off train.report_to.{more}"
    )
