"""A run's trackers: which there are, what each is handed, and when it ends; on rank 0 alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...base import dist
from ...base.files import write_text
from ...base.text import nearest
from ...config import TRACKERS, RunConfig
from ...errors import ConfigError
from .. import RunFolder, flat
from .series import round_series, trainer_series
from .trackers import TensorBoard, Tracker, open_trackio, open_wandb


def check_trackers(config: RunConfig) -> None:
    """Check that the trackers that `train.report_to` names are known to the Trainer, and those that the run serves installed.

    Raises:
        ConfigError: one is not; names the nearest, or the extra.
    """
    named = {*config.for_rounds().train.report_to, *config.for_final().train.report_to}
    for name in sorted(named - set(TRACKERS)):
        from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

        if name not in INTEGRATION_TO_CALLBACK:
            known = sorted(INTEGRATION_TO_CALLBACK)
            raise ConfigError(
                f"train.report_to names {name!r}, which the Trainer does not know. {nearest(name, known)}Known: {', '.join(known)}."
            )
    for name in config.for_rounds().train.report_to:
        if name in TRACKERS and find_spec(name) is None:
            raise ConfigError(
                f"train.report_to names {name}, which is not installed. Install it with: pip install 'diverseevol[{name}]', "
                "or take it off train.report_to."
            )


@dataclass
class Tracking:
    """Where the loop's series go; without trackers, nowhere."""

    run: RunFolder
    config: RunConfig
    """As the rounds see it."""
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
        sft, folder, run_id = self.config.train.sft, self.run.tracking_dir, self._id()
        name = str(sft.get("run_name") or f"{Path(self.config.out).resolve().name}-{run_id}")
        project, config = sft.get("project"), flat(self.config.model_dump(mode="json"))
        for tracker in self.names:
            if tracker == "tensorboard":
                self.trackers.append(TensorBoard(folder))
            elif tracker == "wandb":
                self.trackers.append(open_wandb(run_id, name, project, folder, config))
            else:
                self.trackers.append(open_trackio(name, project, config, sft.get("trackio_space_id")))

    def _id(self) -> str:
        file = self.run.tracking_dir / "id"
        if not file.exists():
            write_text(file, uuid.uuid4().hex[:8])
        return file.read_text("ascii").strip()

    def log_training(self, index: int, logs: Mapping[str, Any], step: int) -> None:
        """Hand on what the Trainer logs in a round; its steps are counted on from those of the rounds before."""
        if self.trackers:
            before = [self.run.metrics(at).get("stages", {}).get("train", {}) for at in range(index)]
            at = sum(int(bill.get("steps", 0)) for bill in before) + step
            self._log({**trainer_series("train", logs), "train/round": float(index)}, "train/global_step", at)

    def log_final(self, logs: Mapping[str, Any], step: int) -> None:
        """Hand on what the Trainer logs while the target is tuned at the end."""
        self._log(trainer_series("final", logs), "final/global_step", step)

    def log_round(self, index: int) -> None:
        """Hand on a round's own series."""
        if self.trackers:
            plan = self.run.plan() or {}
            metrics = [self.run.metrics(at) for at in range(index + 1)]
            self._log(round_series(metrics, plan.get("full_flops")), "round", index)

    def _log(self, values: Mapping[str, float], axis: str, at: int) -> None:
        for tracker in self.trackers:
            tracker.log(values, axis, at)

    def close(self) -> None:
        """End the trackers' runs."""
        for tracker in self.trackers:
            tracker.close()


@contextmanager
def tracked(run: RunFolder, config: RunConfig) -> Iterator[Tracking]:
    """Hand out a run's tracking, to be started when its record is there, and end it with the block."""
    tracking = Tracking(run, config.for_rounds())
    try:
        yield tracking
    finally:
        tracking.close()
