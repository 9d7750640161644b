"""The loop's stages over one run folder: each does its work once, and finds it done when the run is resumed.

Everything about files, costs, ranks and the user's lists is here, so that the loop itself reads like the paper.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import dist
from ..base.files import remove, size_of, write_text
from ..base.progress import Watch
from ..config import RunConfig, round_sizes, split_budget
from ..errors import ConfigError, PoolExhaustedError, RunFolderError
from ..evaluation.loss import heldout_losses, loss_per_token
from ..models.embed import embed_tokens, finished_report, open_embeddings, open_signals
from ..models.load import load_model, name_stops
from ..models.train import shares
from ..run import OWN, RunFolder, round_name
from ..run.metrics import Cost, billed
from ..run.stopping import measured, reason_to_stop
from ..run.tracking import Tracking
from ..selection import Selection, Signal, Signals
from ..selection.base import Embeddings
from ..text.prepare import Prepared
from ..text.tokens import Encoder, Tokens
from .gauges import GAUGES
from .seen import Seen, SomeVectors, draw_candidates

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CANDIDATES = 1
"""Tells the generator of a round's candidates from that of its picks."""


def training_seed(seed: int, index: int) -> int:
    """What the run's seed makes of a round's training order and dropout: below 2³¹, as the Trainer wants it."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0]) & 0x7FFFFFFF


@dataclass
class Tuned:
    """A round's model in its folder, loaded when somebody needs it; each rank loads its share alone where models are sharded."""

    model_dir: Path
    trust_remote_code: bool
    is_sharded: bool
    loaded: PreTrainedModel | None = None

    def model(self) -> PreTrainedModel:
        """The model as it lies in its folder."""
        if self.loaded is None:
            if not self.model_dir.is_dir():
                raise RunFolderError(
                    f"{self.model_dir} is needed to go on but was not kept. Set keep: last before such a run, or start again in a new folder."
                )
            self.loaded = load_model(
                str(self.model_dir), "auto", self.trust_remote_code, is_sharded=self.is_sharded
            )
        return self.loaded


@dataclass(frozen=True)
class Stages:
    """One run's stages, with what they share."""

    run: RunFolder
    config: RunConfig
    """As the rounds see it."""
    whole: RunConfig
    """As the user gave it, with a selector and a final tuning."""
    tokenizer: PreTrainedTokenizerBase
    data: Prepared
    heldout: Prepared | None
    heldout_groups: Sequence[str] | None
    needs: frozenset[str]
    """What the strategy reads: signals of the model, and columns of the records."""
    columns: Mapping[str, np.ndarray]
    """The latter, one value a pool row."""
    fingerprint: str
    watch: Watch
    tracking: Tracking
    seed_rows: np.ndarray | None
    must_rows: np.ndarray
    excluded_rows: np.ndarray

    @property
    def sizes(self) -> list[int]:
        """How many rows each round may add."""
        config = self.config
        sizes = round_sizes(config.rounds, config.n_init, config.n_new, config.budget)
        return sizes if self.seed_rows is None else [len(self.seed_rows), *sizes[1:]]

    # --- selection

    def draw_first(self, n_init: int) -> Selection:
        """Round 0's rows: the user's seed subset, or the rows that must be in and a uniform draw for the rest (the paper's P_0)."""
        if self.seed_rows is not None:
            return Selection(rows=self.seed_rows, columns={})
        free = np.setdiff1d(
            np.arange(len(self.data.pool)), np.concatenate([self.must_rows, self.excluded_rows])
        )
        n_drawn = max(0, n_init - len(self.must_rows))
        if n_drawn > len(free):
            raise PoolExhaustedError(
                f"cannot draw {n_drawn} rows for round 0: {len(free)} of {len(self.data.pool)} may be chosen. Lower n_init."
            )
        drawn = np.random.default_rng([self.config.seed, 0]).choice(free, n_drawn, replace=False)
        return Selection(rows=np.concatenate([self.must_rows, drawn]), columns={})

    def seen(self, index: int) -> Seen:
        """What round `index`'s model says about the pool, for the next round's strategy."""
        rows, folder = None, self.run.signals_dir(index)
        if self.model_signals or self.is_outer:
            self._embed(index, self._tuned(index))
            rows = dist.on_main(lambda: self.run.seen_rows(index))
        n_rows = len(self.data.pool)
        selectable = np.ones(n_rows, dtype=bool)
        selectable[self.excluded_rows] = False
        some: slice | np.ndarray = slice(None) if rows is None else rows
        columns = {name: column[some] for name, column in self.columns.items()}
        if self.model_signals - {Signal.EMBEDDING}:
            columns |= open_signals(folder)
        signals = Signals(
            n_rows=n_rows if rows is None else len(rows),
            embeddings=self._embeddings(folder, rows) if Signal.EMBEDDING in self.needs else None,
            columns=columns,
            selectable=selectable[some] if len(self.excluded_rows) else None,
            watch=self.watch,
        )
        return Seen(signals, rows)

    def _embeddings(self, folder: Path, rows: np.ndarray | None) -> Embeddings:
        if not self.is_outer:
            return open_embeddings(folder)
        vectors_ND = open_embeddings(self.run.outer_dir)
        return vectors_ND if rows is None else SomeVectors(vectors_ND, rows)

    @property
    def is_outer(self) -> bool:
        """Whether the strategy reads an outer model's vectors in place of those of the round's model."""
        return self.config.embed.model is not None and Signal.EMBEDDING in self.needs

    @property
    def model_signals(self) -> frozenset[Signal]:
        """What of the strategy's needs a pass of the round's model over the pool gives."""
        signals = frozenset(signal for signal in Signal if signal in self.needs)
        return signals - {Signal.EMBEDDING} if self.is_outer else signals

    def is_done(self, index: int) -> bool:
        """Whether the round is finished, the same on every rank even where they see the folder at different times."""
        return dist.on_main(lambda: self.run.is_done(index))

    def chosen_before(self, index: int) -> list[int]:
        """Pool rows chosen in the rounds before, in pick order; likewise."""
        return dist.on_main(lambda: self.run.chosen_before(index))

    def saved_picks(self, index: int) -> Selection | None:
        """The picks of a round that was killed after choosing."""
        picks = dist.on_main(lambda: self.run.picks(index) if self.run.chosen_file(index).exists() else None)
        return (
            None
            if picks is None
            else Selection(rows=np.array([pick["row"] for pick in picks], dtype=np.int64), columns={})
        )

    def save_picks(self, index: int, chosen: Sequence[int], picks: Selection, cost: Cost) -> list[int] | None:
        """Write the round's chosen.jsonl and subset.jsonl; return all rows chosen so far, in pool order.

        A budget in tokens cuts the picks at the first that exceeds it; None if that is the first of all.
        """
        n_tokens = self.data.tokens.n_tokens
        n_kept = self._n_within_budget(chosen, picks)
        if n_kept < len(picks.rows):
            self.run.add_metrics(max(0, index - (n_kept == 0)), {"budget_spent": self.config.budget})
        if n_kept == 0:
            return None
        subset = sorted([*chosen, *picks.rows[:n_kept].tolist()])
        figures = {
            "n_new": n_kept,
            "n_chosen": len(subset),
            "tokens_chosen": int(n_tokens[subset].sum()),
            "trained_tokens_chosen": int(self.data.tokens.n_trained[subset].sum()),
        }
        if dist.is_main():
            write_text(
                self.run.subset_file(index), "".join(self.data.pool.line_with_id(row) for row in subset)
            )
            self.run.add_metrics(index, figures)
            if not self.run.chosen_file(
                index
            ).exists():  # the bill before the picks: what is read back was paid for once
                self._bill(index, "select", cost)
                self._save_skipped(index, picks)
                self.run.save_picks(index, [self._pick(index, picks, rank) for rank in range(n_kept)])
        dist.barrier()
        return subset

    def _save_skipped(self, index: int, picks: Selection) -> None:
        """Write which rows the guards kept out, if any."""
        pool = self.data.pool
        pairs = [(guard, int(row)) for guard, rows in picks.skipped.items() for row in rows]
        if pairs:
            lines = ({"id": pool.id(row), "row": row, "round": index, "guard": guard} for guard, row in pairs)
            write_text(self.run.skipped_file(index), "".join(json.dumps(line) + "\n" for line in lines))

    def _n_within_budget(self, chosen: Sequence[int], picks: Selection) -> int:
        """How many of the picks fit into a budget in tokens.

        Raises:
            ConfigError: not even the first sample of round 0 does.
        """
        _, budget = split_budget(self.config.budget)
        if budget is None:
            return len(picks.rows)
        n_tokens = self.data.tokens.n_tokens
        spent = n_tokens[list(chosen)].sum() + np.cumsum(n_tokens[picks.rows])
        if not chosen and spent[0] > budget:
            raise ConfigError(
                f"budget is {budget} tokens, but the first sample drawn has {spent[0]}. Raise budget."
            )
        return int(np.searchsorted(spent, budget, side="right"))

    def is_last(self, index: int) -> bool:
        """Whether no round follows, the same on every rank."""
        return dist.on_main(lambda: self._ends(index))

    def _ends(self, index: int) -> bool:
        """Whether the schedule ends, the budget in tokens is spent, or the run stops by itself."""
        is_end = index + 1 >= len(self.sizes) or self.run.is_budget_spent(index, self.config.budget)
        return is_end or self.why_stopped(index) is not None

    def why_stopped(self, index: int) -> str | None:
        """Why the run ends by itself after this round; a later round that is done already overrules it."""
        if self.run.is_done(index + 1):
            return None
        return reason_to_stop(self.config.stop, [self.run.metrics(at) for at in range(index + 1)])

    def _pick(self, index: int, picks: Selection, rank: int) -> dict[str, Any]:
        pool, row = self.data.pool, int(picks.rows[rank])
        pick: dict[str, Any] = {"id": pool.id(row), "row": row, "round": index, "rank": rank}
        for name, column in picks.columns.items():
            value = column[rank].item()
            if name == "nearest_row":
                pick["nearest_id"] = pool.id(value) if value >= 0 else None
            else:
                pick[name] = value
        return {**pick, "source": pool.source(row), "source_row": pool.source_row(row)}

    # --- tuning, measuring, embedding

    def train(self, index: int, subset: Sequence[int]) -> Tuned:
        """The round's model, tuned on `subset` from the base (or the previous round's model)."""
        run, config = self.run, self.config
        tuned = self._tuned(index)
        if dist.on_main(run.model_dir(index).is_dir):
            self._name_stops(index)
            return tuned
        start = config.model if config.train.start == "base" or index == 0 else str(run.model_dir(index - 1))
        if config.train.command:
            self._train_by_command(index, subset, start)
        else:
            from ..models.train.sft import fit

            folders, seed = (
                (run.model_dir(index), run.checkpoints_dir(index)),
                training_seed(config.seed, index),
            )
            on_log, trust = partial(self.tracking.log_training, index), config.trust_remote_code
            given = (self.data.tokens, self.tokenizer, config.train)
            more = (config.prompt.max_length, partial(self._bill, index, "train"))
            fit(start, subset, *given, *folders, seed, self.watch, trust, on_log, *more)
        self._name_stops(index)
        return tuned

    def _bill(self, index: int, stage: str, cost: Cost) -> None:
        self.run.add_metrics(index, {"stages": {stage: cost.as_dict()}})

    def _name_stops(self, index: int) -> None:
        """What ends an answer is known to whoever loads the model, not to `answer` alone."""
        stops = Encoder(self.tokenizer, self.config.prompt).stops
        dist.on_main(lambda: name_stops(self.run.model_dir(index), stops))

    def _tuned(self, index: int) -> Tuned:
        is_sharded = shares.shards_models(self.config.train.sft.get("fsdp"))
        return Tuned(self.run.model_dir(index), self.config.trust_remote_code, is_sharded)

    def _train_by_command(self, index: int, subset: Sequence[int], start: str) -> None:
        from ..data.export import export_rows
        from ..models.train.command import run_command

        run, config = self.run, self.config
        folder = run.round_dir(index)
        suffix = {"parquet": ".parquet", "llamafactory": ""}.get(config.train.command_format, ".json")
        data = folder / f"train_data{suffix}"
        dist.on_main(lambda: export_rows(self.data.pool, subset, config.train.command_format, data))
        base = str(Path(start).resolve()) if Path(start).is_dir() else start
        if index == 0 and config.train.sft:
            ignored = ", ".join(
                sorted(config.train.sft)
            )  # report_to among them: only the trainer's own series are missing
            self.watch.note(
                f"train.command tunes: these keys of train are not passed on, write what you need into it: {ignored}"
            )
        places = {"data": str(data.resolve()), "base": base, "round": str(index), "seed": str(config.seed)}
        on_tuned = partial(self._bill, index, "train")
        run_command(
            config.train.command or "",
            places,
            run.model_dir(index),
            folder / "train.log",
            self.watch,
            on_tuned,
        )

    def measure(self, index: int, tuned: Tuned) -> None:
        """Held-out loss of the round's model, if there are held-out rows."""
        if self.heldout is None or dist.on_main(lambda: self.run.metrics(index).is_measured):
            return
        with billed() as cost:
            sums = heldout_losses(tuned.model(), self.heldout.tokens, self.watch)
        if dist.is_main():
            self.run.save_row_losses(OWN, round_name(index), sums)
        losses = loss_per_token(sums, self.heldout.tokens.n_trained, self.heldout_groups)
        self.run.add_metrics(index, {"heldout": losses, "stages": {"heldout": cost.as_dict()}})

    def embed(self, index: int, tuned: Tuned) -> None:
        """What a next round needs of the round's model, if it is not there."""
        if not self.is_last(index):
            self._embed(index, tuned)

    def _embed(self, index: int, tuned: Tuned) -> None:
        if not (self.model_signals or self.is_outer):
            return
        folder, pool = self.run.signals_dir(index), self.data.pool
        dist.on_main(lambda: self.run.save_seen_rows(index, self._candidates(index)))
        if dist.on_main(lambda: self._is_embedded_and_billed(index)):
            return
        rows = dist.on_main(
            lambda: self.run.seen_rows(index)
        )  # those of a killed pass, if there was one: its vectors are theirs
        with billed() as cost:
            report = embed_tokens(
                tuned.model(),
                self.data.tokens if rows is None else Tokens.open(self.run.tokens_dir, pool.positions[rows]),
                folder,
                self.config.embed,
                ids=pool.ids if rows is None else pool.ids[rows],
                fingerprint=f"{self.fingerprint} round {index}",
                watch=self.watch,
                lockstep=shares.is_sharded(tuned.model()),
                signals=self.model_signals,
            )
        cost.tokens, cost.flops = report.n_tokens, report.flops
        self._bill(index, "embed", cost)

    def _is_embedded_and_billed(self, index: int) -> bool:
        """Whether the pass is done; its bill is made up from its own report where a kill came before it was written."""
        is_there = self._is_embedded(index)
        if is_there and self.model_signals and "embed" not in self.run.metrics(index).stages:
            report = finished_report(self.run.signals_dir(index))
            self._bill(
                index, "embed", Cost(report.seconds, report.n_tokens, report.flops, report.peak_memory_bytes)
            )
        return is_there

    def gauge(self, index: int) -> None:
        """What the stopping rule or a tracker looks at in the round's embeddings; also of the round before, if that was once the last."""
        for at, names in dist.on_main(lambda: [(each, self._to_gauge(each)) for each in (index - 1, index)]):
            if not names:
                continue
            with billed() as cost:
                seen = self.seen(at)
                chosen = seen.positions_of(self.run.chosen_before(at + 1))
                values = {name: GAUGES[name](seen.signals, chosen) for name in names}
            self.run.add_metrics(at, {"gauge": values, "stages": {"gauge": cost.as_dict()}})

    def _to_gauge(self, index: int) -> list[str]:
        """What is asked of a round's embeddings and not known yet: what the run may stop by, and all of it for a tracker."""
        if index < 0 or Signal.EMBEDDING not in self.needs or not self._is_embedded(index):
            return []
        asked = [name for name in GAUGES if name == self.config.stop.measure or self.tracking.names]
        return [name for name in asked if measured(name, self.run.metrics(index)) is None]

    def _candidates(self, index: int) -> np.ndarray | None:
        """The rows that the round after `index` looks at; None: all."""
        chosen = self.run.chosen_before(index + 1)
        n_new = self.sizes[index + 1] if index + 1 < len(self.sizes) else 1
        rng = np.random.default_rng([self.config.seed, index, CANDIDATES])
        share = self.config.selection.candidates
        return draw_candidates(len(self.data.pool), chosen, self.excluded_rows, share, n_new, rng)

    def _is_embedded(self, index: int) -> bool:
        folder = self.run.signals_dir(index)
        vectors = (self.run.outer_dir if self.is_outer else folder) / "embeddings.npy"
        if Signal.EMBEDDING in self.needs and not vectors.exists():
            return False
        return self.model_signals <= {Signal.EMBEDDING} or (folder / "signals.parquet").exists()

    # --- the end of a round

    def finish(self, index: int, tuned: Tuned) -> None:
        """Mark the round as done and delete what `keep` and `keep_signals` do not keep."""
        tuned.loaded = None  # gives its memory back
        dist.barrier()
        if dist.is_main():
            self.run.add_metrics(
                index,
                {
                    "bytes": {
                        "model": size_of(tuned.model_dir),
                        "signals": size_of(self.run.signals_dir(index)),
                    }
                },
            )
            self._note_stop(index)
            self.tracking.log_round(index)
            self.run.finish(index)
            remove(self.run.checkpoints_dir(index))
            for old in self._unwanted(index):
                remove(old)
        dist.barrier()

    def _note_stop(self, index: int) -> None:
        """Say in the metrics why the run ends here by itself, and no longer of a round that it has gone on from."""
        for at, why in ((index - 1, None), (index, self.why_stopped(index))):
            if at >= 0 and (why or self.run.metrics(at).stopped):
                self.run.add_metrics(at, {"stopped": why})

    def _unwanted(self, index: int) -> list[Path]:
        """Folders of this and earlier rounds that need not stay."""
        rounds = range(index + 1)
        best = self.run.best_round(rounds)
        needed = set() if self._ends(index) else {index}  # by the next round
        models: dict[str, set[int]] = {
            "all": set(rounds),
            "last": {index},
            "best": {index if best is None else best} | needed,
            "none": set(),
        }
        signals: dict[str, set[int]] = {"all": set(rounds), "last": {index - 1, index}, "none": needed}
        unwanted = [self.run.model_dir(at) for at in rounds if at not in models[self.config.keep]]
        return unwanted + [
            self.run.signals_dir(at) for at in rounds if at not in signals[self.config.keep_signals]
        ]
