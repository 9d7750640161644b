"""Every path of a run, and what its files say: what is chosen, what is done, what it cost.

The layout is a contract (docs/run_folder.md). State lives here and nowhere else: a stage that is done has its
file or folder under its final name, a round that is done has `done`. Nothing is ever half-written
(base/files.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ..base import dist
from ..base.files import (
    damaged,
    load_array,
    read_json,
    read_jsonl,
    replacing,
    write_json,
    write_jsonl,
    write_text,
)
from ..config import RunConfig, explain, read_yaml
from ..errors import ConfigError, RunFolderError
from .metrics import Bill, Metrics, PlanRecord, Record

CONFIG = "config.yaml"
ROUNDS = "rounds"
OWN = "own"
BASE = "base"
FOLDER_NAME = re.compile(r"\w[\w.-]*")
"""What a strategy that is compared may be called: its runs lie in folders of that name."""
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
RESTORE = "Restore it from a copy, or"


class Pick(Record):
    """A line of a round's chosen.jsonl."""

    id: str
    row: int
    round: int = 0
    rank: int = 0


@dataclass(frozen=True)
class Below:
    """A path that every run has, below its folder."""

    path: str

    def __get__(self, run: RunFolder, _: type[RunFolder]) -> Path:
        return run.root / self.path


@dataclass(frozen=True)
class Each:
    """A path for each round, or for names from outside, which must be plain: no separators, not hidden."""

    pattern: str

    def __get__(self, run: RunFolder, _: type[RunFolder]) -> Callable[..., Path]:
        def path(*names: int | str) -> Path:
            for name in names:
                if isinstance(name, str) and not PLAIN.fullmatch(name):
                    what = "use letters, digits, points, hyphens and underscores"
                    raise ConfigError(f"{name[:60]!r} is no name for a file: {what}.")
            return run.root / self.pattern.format(*names)

        return path


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run below `root`, and what the files there say."""

    root: Path

    config_file = Below(CONFIG)  # the resolved configuration, the versions, the seed and the fingerprint
    plan_file = Below("plan.json")  # what the run was expected to cost when it was last started
    progress_file = Below("progress.json")  # of whoever works here; nothing of the run is read from it
    tracking_dir = Below("tracking")  # what trackers keep, and the id by which they know the run again
    diversity_file = Below("diversity.json")  # how diverse the subset is, as last measured
    pool_dir = Below("pool")  # records, index, tokens and quarantine
    tokens_dir = Below("pool/tokens")  # the tokenised pool
    outer_dir = Below("pool/embeddings")  # the pool's vectors by an outer model, the same for every round
    fixed_dir = Each(
        "signals/{}"
    )  # the pool by a model that is the same for every round; `base`: the run's own
    fixed_file = Each("signals/{}/embeddings.npy")  # its vectors, once they are whole
    fixed_tokens_dir = Each("signals/{}/tokens")  # the pool as its tokenizer cuts it, if not the run's own

    rounds_dir = Below(ROUNDS)
    round_dir = Each("rounds/{:02d}")
    chosen_file = Each("rounds/{:02d}/chosen.jsonl")  # the round's picks, in pick order
    skipped_file = Each("rounds/{:02d}/skipped.jsonl")  # the rows that guards kept out of them
    subset_file = Each(
        "rounds/{:02d}/subset.jsonl"
    )  # everything chosen so far: the user's own records, in pool order
    model_dir = Each("rounds/{:02d}/model")  # the tuned model or adapter
    signals_dir = Each("rounds/{:02d}/signals")  # what that model says about the pool
    checkpoints_dir = Each("rounds/{:02d}/checkpoints")  # of an unfinished round
    metrics_file = Each("rounds/{:02d}/metrics.json")  # what the round cost and how it went

    final_dir = Below("final")  # the one tuning of the target model on the final subset
    final_model_dir = Below("final/model")
    final_bill_file = Below("final/bill.json")  # what it cost, while metrics.json is not there yet
    final_metrics_file = Below("final/metrics.json")  # how that tuning went and what it cost; written last

    heldout_dir = Below("heldout")  # the held-out rows, prepared like the pool
    other_heldout_dir = Each("heldout/files/{}")  # another file's, by its fingerprint
    holdout_file = Below(
        "heldout/ids.txt"
    )  # ids of the rows taken off the pool (`pool.holdout`), in pool order
    holdout_copies_file = Below("heldout/copies.txt")  # ids of their copies in the pool, if there are any
    holdout_records_file = Below("heldout/rows.jsonl")  # the user's records, plus "_id"; fit for heldout.path
    losses_dir = Below("heldout/losses")  # the losses of single held-out rows
    row_losses_file = Each("heldout/losses/{}/{}.json")  # rows (`OWN`, or a file's fingerprint), model
    tasks_file = Each("heldout/tasks/{}.json")  # results of lm-eval's tasks on a model

    answers_dir = Each("answers/{}")  # every model's answers to the questions of a benchmark
    answers_file = Each("answers/{}/{}.jsonl")  # benchmark, model: round-03, base and the like
    all_verdicts_dir = Below("verdicts")  # on the answers to every benchmark
    verdicts_dir = Each("verdicts/{}")
    verdicts_file = Each("verdicts/{}/{}.jsonl")  # benchmark, contest: round-03-vs-base and the like
    replies_file = Each("verdicts/{}/replies.ndjson")  # every judge's replies, as they came

    def config(self) -> dict[str, Any]:
        """The stored configuration, versions and fingerprint.

        Raises:
            RunFolderError: this is no run folder, or config.yaml is damaged.
        """
        if not self.config_file.exists():
            raise RunFolderError(
                f"{self.root} is not a run folder: it has no config.yaml. Give the folder named by --out."
            )
        remedy = f"{RESTORE} give --out a new folder."
        try:
            stored = read_yaml(self.config_file)
            about = {key: stored.pop(key, None) for key in ("versions", "fingerprint")}
            config = RunConfig.model_validate({**stored, "out": "."})
        except (ConfigError, ValidationError) as error:
            why = explain(error) if isinstance(error, ValidationError) else error
            raise damaged(self.config_file, why, remedy) from None
        for key, value in about.items():
            if not isinstance(value, dict) or not value:
                raise damaged(self.config_file, f"{key} is missing at its end", remedy)
        # What it does not name, because the version that wrote it did not know it, has its default.
        return {**json.loads(config.model_dump_json(exclude={"out"})), **about}

    def plan(self) -> PlanRecord | None:
        """What the run was expected to cost when it was last started; None where that cannot be read."""
        with suppress(OSError, RunFolderError):
            return PlanRecord.model_validate(read_json(self.plan_file, PlanRecord))
        return None

    def rounds_done(self) -> list[int]:
        """Finished rounds, in order."""
        names = [file.parent.name for file in self.rounds_dir.glob("*/done")]
        return sorted(int(name) for name in names if name.isdigit())

    def is_done(self, index: int) -> bool:
        """Whether a round is finished."""
        return (self.round_dir(index) / "done").exists()

    def finish(self, index: int) -> None:
        """Mark a round as finished; the very last thing written of it."""
        write_text(self.round_dir(index) / "done", "")

    def _again(self, index: int) -> str:
        """What to do where a file of a round is damaged."""
        later = f"{self.round_dir(index)} and all later rounds"
        return f"{RESTORE} delete {later}: the same command makes them again."

    def metrics(self, index: int) -> Metrics:
        """What is known of a round so far.

        Raises:
            RunFolderError: metrics.json is damaged, or that of a finished round is not there.
        """
        file, is_done = self.metrics_file(index), self.is_done(index)
        if not file.exists():
            if is_done:
                raise damaged(file, "it is not there", self._again(index))
            return Metrics(round=index)
        metrics = Metrics.model_validate(read_json(file, Metrics, self._again(index)))
        if is_done and not {"n_new", "n_chosen"} <= metrics.model_fields_set:
            raise damaged(file, "it does not say how many rows were chosen", self._again(index))
        return metrics

    def all_metrics(self, n_rounds: int) -> list[Metrics]:
        """Of the first so many rounds."""
        return [self.metrics(index) for index in range(n_rounds)]

    def add_metrics(self, index: int, values: Mapping[str, Any]) -> None:
        """Lay `values` over a round's metrics; stages and held-out losses are merged by name."""
        if not dist.is_main():
            return
        known = self.metrics(index).values()
        for key, value in values.items():
            old = known.get(key)
            known[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        write_json(self.metrics_file(index), known)

    def final_bill(self) -> Bill | None:
        """The bill of the final tuning; None: there was none yet."""
        file, remedy = self.final_metrics_file, f"{RESTORE} delete {self.final_dir} to tune again."
        return Bill.model_validate(read_json(file, Bill, remedy)) if file.exists() else None

    def is_budget_spent(self, index: int, budget: int | str | None) -> bool:
        """Whether a round's picks were cut because they reached this budget in tokens."""
        return budget is not None and self.metrics(index).budget_spent == budget

    def best_round(self, rounds: Iterable[int]) -> int | None:
        """The round with the lowest held-out loss, of equals the first; None where none was measured."""
        losses = [(self.metrics(index).heldout.loss, index) for index in rounds]
        return min(((loss, index) for loss, index in losses if loss is not None), default=(0, None))[1]

    def picks(self, index: int) -> list[dict[str, Any]]:
        """The lines of a round's chosen.jsonl.

        Raises:
            RunFolderError: the round has not chosen yet, or the file is damaged.
        """
        file = self.chosen_file(index)
        if not file.exists():
            done = self.rounds_done() or "none"
            raise RunFolderError(
                f"round {index} of {self.root} has no chosen.jsonl; finished rounds: {done}."
            )
        picks = list(read_jsonl(file, Pick, self._again(index)))
        n_new = self.metrics(index).values().get("n_new", len(picks))
        ranks = [pick.get("rank", place) for place, pick in enumerate(picks)]
        if len(picks) != max(1, n_new) or ranks != list(range(len(picks))):
            why = f"it holds {len(picks)} picks, not {n_new}, or not in their order"
            raise damaged(file, why, self._again(index))
        return picks

    def save_picks(self, index: int, picks: list[dict[str, Any]]) -> None:
        """Write a round's chosen.jsonl."""
        write_jsonl(self.chosen_file(index), picks)

    def chosen_before(self, index: int) -> list[int]:
        """Pool rows chosen in the rounds before `index`, in pick order."""
        return [int(pick["row"]) for earlier in range(index) for pick in self.picks(earlier)]

    def save_seen_rows(self, index: int, rows: NDArray[np.int64] | None) -> None:
        """Note which pool rows the round's signals are about; nothing where it is all of them."""
        file = self.signals_dir(index) / "rows.npy"
        if rows is not None and not file.exists():
            with replacing(file) as partial, partial.open("wb") as out:
                np.save(out, rows, allow_pickle=False)

    def seen_rows(self, index: int) -> NDArray[np.int64] | None:
        """The pool rows that the round's signals are about, ascending; None: all."""
        file = self.signals_dir(index) / "rows.npy"
        return np.asarray(load_array(file, self._again(index))) if file.exists() else None

    def ids_in(self, file: Path) -> list[str]:
        """The ids in one of the run's lists, one a line; none where there is no list.

        Raises:
            RunFolderError: it is damaged.
        """
        if not file.exists():
            return []
        text = file.read_text("utf-8", errors="replace")
        if not text.endswith("\n") or "\ufffd" in text:
            remedy = f"{RESTORE} give --out a new folder: which rows are held out cannot change within a run."
            raise damaged(file, "its end is missing, or it is not UTF-8", remedy)
        return text.split()

    def barred_ids(self) -> list[str]:
        """The ids of the rows that are never chosen: those of `pool.holdout` and their copies."""
        return self.ids_in(self.holdout_file) + self.ids_in(self.holdout_copies_file)

    def task_scores(self, model: str) -> dict[str, Any]:
        """The results of lm-eval's tasks on a model that are kept."""
        file = self.tasks_file(model)
        return dict(read_json(file, dict[str, dict[str, Any]])) if file.exists() else {}

    def save_task_scores(self, model: str, scores: Mapping[str, Any]) -> None:
        """Keep further results beside those that are kept."""
        write_json(self.tasks_file(model), {**self.task_scores(model), **scores})

    def row_losses(self, rows: str, model: str) -> NDArray[np.float64] | None:
        """The summed loss of each held-out row by a model, if it was measured already."""
        file = self.row_losses_file(rows, model)
        return np.array(read_json(file, list[float]), dtype=np.float64) if file.exists() else None

    def save_row_losses(self, rows: str, model: str, sums: NDArray[np.float64]) -> None:
        """Keep what a model's held-out losses were, so that they are measured once."""
        write_json(self.row_losses_file(rows, model), sums.tolist())


def round_name(index: int) -> str:
    """What a round's results are called, beside those of the `BASE` model."""
    return f"round-{index:02d}"


def runs_below(root: Path) -> list[Path]:
    """The run folders up to three folders below one that is none itself, such as a comparison's, in order."""
    if RunFolder(root).config_file.exists():
        return []
    files = [file for depth in ("*", "*/*", "*/*/*") for file in sorted(root.glob(f"{depth}/{CONFIG}"))]
    return [file.parent for file in files if (file.parent / ROUNDS).is_dir()]
