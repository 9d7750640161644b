"""Every path of a run, and what its files say: what is chosen, what is done, what it cost.

The layout is a contract (docs/run_folder.md). State lives here and nowhere else: a stage that is done has its
file or folder under its final name, a round that is done has `done`. Nothing is ever half-written
(base/files.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
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


def runs_below(root: Path) -> list[Path]:
    """The run folders up to three folders below one that is none itself, such as a comparison's, in order."""
    if RunFolder(root).config_file.exists():
        return []
    files = [file for depth in ("*", "*/*", "*/*/*") for file in sorted(root.glob(f"{depth}/{CONFIG}"))]
    return [file.parent for file in files if (file.parent / ROUNDS).is_dir()]


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
class RunFolder:
    """The paths of one run below `root`."""

    root: Path

    config_file = Below(CONFIG)
    """The resolved configuration, the versions, the seed and the fingerprint."""
    plan_file = Below("plan.json")
    """What the run was expected to cost when it was last started."""
    progress_file = Below("progress.json")
    """How far the process is that works here, or how it ended; nothing of the run is read from it."""
    tracking_dir = Below("tracking")
    """What TensorBoard and W&B keep of the run, and the id by which a tracker knows it again."""
    final_dir = Below("final")
    """The one tuning of the target model on the final subset."""
    final_model_dir = Below("final/model")
    """The target model, tuned."""
    final_bill_file = Below("final/bill.json")
    """What it cost, while the rest of metrics.json is not there yet."""
    final_metrics_file = Below("final/metrics.json")
    """How that tuning went and what it cost; written last."""
    rounds_dir = Below(ROUNDS)
    """A folder a round."""
    pool_dir = Below("pool")
    """Records, index, tokens and quarantine."""
    tokens_dir = Below("pool/tokens")
    """The tokenised pool."""
    outer_dir = Below("pool/embeddings")
    """The pool's vectors by an outer model, the same for every round."""
    heldout_dir = Below("heldout")
    """The held-out rows, prepared like the pool."""
    holdout_file = Below("heldout/ids.txt")
    """The ids of the rows taken off the pool (`pool.holdout`), one a line, in pool order."""
    holdout_copies_file = Below("heldout/copies.txt")
    """The ids of their copies in the pool, which are never chosen either, if there are any."""
    holdout_records_file = Below("heldout/rows.jsonl")
    """The held-out records as the user wrote them, plus "_id"; can be given as another run's heldout.path."""
    losses_dir = Below("heldout/losses")
    """The losses of single held-out rows."""
    diversity_file = Below("diversity.json")
    """How diverse the subset is, as last measured."""
    all_verdicts_dir = Below("verdicts")
    """Verdicts on the answers to every benchmark."""

    def barred_ids(self) -> list[str]:
        """The ids of the rows that are never chosen: those of `pool.holdout` and their copies."""
        return [name for file in (self.holdout_file, self.holdout_copies_file) for name in self.ids_in(file)]

    def ids_in(self, file: Path) -> list[str]:
        """The ids in one of the run's lists, one a line; none where there is no list.

        Raises:
            RunFolderError: it is damaged.
        """
        if not file.exists():
            return []
        remedy = (
            "Restore it from a copy, or give --out a new folder: which rows are held out cannot change "
            "within a run."
        )
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise damaged(file, error, remedy) from None
        if not text.endswith("\n"):
            raise damaged(file, "its end is missing", remedy)
        return text.split()

    def other_heldout_dir(self, rows: str) -> Path:
        """Another file's held-out rows, prepared like the pool; `rows` is its fingerprint."""
        return self.heldout_dir / "files" / rows

    def tasks_file(self, model: str) -> Path:
        """Results of lm-eval's tasks on a model."""
        return self.heldout_dir / "tasks" / f"{model}.json"

    def task_scores(self, model: str) -> dict[str, Any]:
        """What is kept of them."""
        file = self.tasks_file(model)
        return dict(read_json(file, dict[str, dict[str, Any]])) if file.exists() else {}

    def save_task_scores(self, model: str, scores: Mapping[str, Any]) -> None:
        """Keep further results beside those that are kept."""
        write_json(self.tasks_file(model), {**self.task_scores(model), **scores})

    def row_losses_file(self, rows: str, model: str) -> Path:
        """The summed loss of each held-out row.

        Of the run's `OWN` rows or of another file's, whose fingerprint `rows` is.
        """
        return self.losses_dir / rows / f"{model}.json"

    def save_row_losses(self, rows: str, model: str, sums: NDArray[np.float64]) -> None:
        """Keep what a model's held-out losses were, so that they are measured once."""
        write_json(self.row_losses_file(rows, model), sums.tolist())

    def row_losses(self, rows: str, model: str) -> NDArray[np.float64] | None:
        """What was kept; None: nothing."""
        file = self.row_losses_file(rows, model)
        return np.array(read_json(file, list[float]), dtype=np.float64) if file.exists() else None

    def fixed_dir(self, name: str) -> Path:
        """The pool's vectors by a model that is the same for every round.

        `base`: the run's own base model.
        """
        return self.root / "signals" / name

    def fixed_file(self, name: str) -> Path:
        """The vectors themselves, once they are whole."""
        return self.fixed_dir(name) / "embeddings.npy"

    def fixed_tokens_dir(self, name: str) -> Path:
        """The pool as the tokenizer of such a model cuts it, if it is not the run's own."""
        return self.fixed_dir(name) / "tokens"

    def round_dir(self, index: int) -> Path:
        """Everything of one round."""
        return self.rounds_dir / f"{index:02d}"

    def chosen_file(self, index: int) -> Path:
        """The round's picks, in pick order."""
        return self.round_dir(index) / "chosen.jsonl"

    def skipped_file(self, index: int) -> Path:
        """The rows that guards kept out of the round's picks."""
        return self.round_dir(index) / "skipped.jsonl"

    def subset_file(self, index: int) -> Path:
        """Everything chosen so far: the user's own records, in pool order."""
        return self.round_dir(index) / "subset.jsonl"

    def model_dir(self, index: int) -> Path:
        """The round's tuned model or adapter."""
        return self.round_dir(index) / "model"

    def signals_dir(self, index: int) -> Path:
        """What the round's model says about the pool."""
        return self.round_dir(index) / "signals"

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

    def answers_dir(self, benchmark: str) -> Path:
        """Every model's answers to the questions of a benchmark."""
        return self.root / "answers" / _plain(benchmark)

    def answers_file(self, benchmark: str, name: str) -> Path:
        """One model's answers; names are round-03, base and the like."""
        return self.answers_dir(benchmark) / f"{_plain(name)}.jsonl"

    def verdicts_dir(self, benchmark: str) -> Path:
        """Verdicts on these answers."""
        return self.all_verdicts_dir / _plain(benchmark)

    def verdicts_file(self, benchmark: str, name: str) -> Path:
        """Verdicts on one model's answers, mostly against another's.

        Names are round-03-vs-base and the like.
        """
        return self.verdicts_dir(benchmark) / f"{_plain(name)}.jsonl"

    def replies_file(self, benchmark: str) -> Path:
        """Every judge's replies about these answers, as they came."""
        return self.verdicts_dir(benchmark) / "replies.ndjson"

    def checkpoints_dir(self, index: int) -> Path:
        """Training checkpoints of an unfinished round."""
        return self.round_dir(index) / "checkpoints"

    def metrics_file(self, index: int) -> Path:
        """What the round cost and how it went."""
        return self.round_dir(index) / "metrics.json"

    def rounds_done(self) -> list[int]:
        """Finished rounds, in order."""
        return sorted(
            int(file.parent.name) for file in self.root.glob("rounds/*/done") if file.parent.name.isdigit()
        )

    def is_done(self, index: int) -> bool:
        """Whether a round is finished."""
        return (self.round_dir(index) / "done").exists()

    def finish(self, index: int) -> None:
        """Mark a round as finished; the very last thing written of it."""
        write_text(self.round_dir(index) / "done", "")

    def metrics(self, index: int) -> Metrics:
        """What is known of a round so far.

        Raises:
            RunFolderError: metrics.json is damaged, or that of a finished round is not there.
        """
        file, is_done = self.metrics_file(index), self.is_done(index)
        if not file.exists() and not is_done:
            return Metrics(round=index)
        if not file.exists():
            raise damaged(file, "it is not there", self._again(index))
        metrics = Metrics.model_validate(read_json(file, Metrics, self._again(index)))
        if is_done and not {"n_new", "n_chosen"} <= metrics.model_fields_set:
            raise damaged(file, "it does not say how many rows were chosen", self._again(index))
        return metrics

    def all_metrics(self, n_rounds: int) -> list[Metrics]:
        """Of the first so many rounds."""
        return [self.metrics(index) for index in range(n_rounds)]

    def _again(self, index: int) -> str:
        """What to do where a file of a round is damaged."""
        return (
            f"Restore it from a copy, or delete {self.round_dir(index)} and all later rounds: "
            "the same command makes them again."
        )

    def final_bill(self) -> Bill | None:
        """The bill of the final tuning; None: there was none yet."""
        file = self.final_metrics_file
        remedy = f"Restore it from a copy, or delete {self.final_dir} to tune again."
        return Bill.model_validate(read_json(file, Bill, remedy)) if file.exists() else None

    def plan(self) -> PlanRecord | None:
        """What the run was expected to cost when it was last started; None where that cannot be read."""
        with suppress(OSError, RunFolderError):
            return PlanRecord.model_validate(read_json(self.plan_file, PlanRecord))
        return None

    def add_metrics(self, index: int, values: Mapping[str, Any]) -> None:
        """Lay `values` over a round's metrics; stages and held-out losses are merged by name."""
        if not dist.is_main():
            return
        known = self.metrics(index).values()
        for key, value in values.items():
            old = known.get(key)
            known[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        write_json(self.metrics_file(index), known)

    def is_budget_spent(self, index: int, budget: int | str | None) -> bool:
        """Whether a round's picks were cut because they reached this budget in tokens."""
        return budget is not None and self.metrics(index).budget_spent == budget

    def best_round(self, rounds: Iterable[int]) -> int | None:
        """The round with the lowest held-out loss, of equals the first; None where none was measured."""
        losses = {index: self.metrics(index).heldout.loss for index in rounds}
        known = {index: loss for index, loss in losses.items() if loss is not None}
        return min(known, key=lambda index: known[index]) if known else None

    def picks(self, index: int) -> list[dict[str, Any]]:
        """The lines of a round's chosen.jsonl.

        Raises:
            RunFolderError: the round has not chosen yet.
        """
        file = self.chosen_file(index)
        if not file.exists():
            done = self.rounds_done()
            raise RunFolderError(
                f"round {index} of {self.root} has no chosen.jsonl; finished rounds: {done or 'none'}."
            )
        picks = list(read_jsonl(file, Pick, self._again(index)))
        n_new = self.metrics(index).values().get("n_new", len(picks))
        if len(picks) != max(1, n_new) or any(
            pick.get("rank", place) != place for place, pick in enumerate(picks)
        ):
            raise damaged(
                file, f"it holds {len(picks)} picks, not {n_new}, or not in their order", self._again(index)
            )
        return picks

    def save_picks(self, index: int, picks: list[dict[str, Any]]) -> None:
        """Write a round's chosen.jsonl."""
        write_jsonl(self.chosen_file(index), picks)

    def chosen_before(self, index: int) -> list[int]:
        """Pool rows chosen in the rounds before `index`, in pick order."""
        return [int(pick["row"]) for earlier in range(index) for pick in self.picks(earlier)]

    def config(self) -> dict[str, Any]:
        """The stored configuration, versions and fingerprint.

        Raises:
            RunFolderError: this is no run folder.
        """
        if not self.config_file.exists():
            raise RunFolderError(
                f"{self.root} is not a run folder: it has no config.yaml. Give the folder named by --out."
            )
        remedy = "Restore it from a copy, or give --out a new folder."
        try:
            stored = read_yaml(self.config_file)
            about = {key: stored.pop(key, None) for key in ("versions", "fingerprint")}
            config = RunConfig.model_validate({**stored, "out": "."})
        except (ConfigError, ValidationError) as error:
            why = explain(error) if isinstance(error, ValidationError) else error
            raise damaged(self.config_file, why, remedy) from None
        lost = [key for key, value in about.items() if not isinstance(value, dict) or not value]
        if lost:
            raise damaged(self.config_file, f"{lost[0]} is missing at its end", remedy)
        # What it does not name, because the version that wrote it did not know it, has its default.
        return {**json.loads(config.model_dump_json(exclude={"out"})), **about}


def round_name(index: int) -> str:
    """What a round's results are called, beside those of the `BASE` model."""
    return f"round-{index:02d}"


def _plain(name: str) -> str:
    """A name from outside that becomes a part of a path: no separators, no `..`, not hidden.

    Raises:
        ConfigError: it is not that plain.
    """
    if not PLAIN.fullmatch(name):
        raise ConfigError(
            f"{name[:60]!r} is no name for a file: use letters, digits, points, hyphens and underscores."
        )
    return name
