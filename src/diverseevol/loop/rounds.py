"""Each stage of a round, once: it does its work, or finds it done in the run folder when the run is resumed.

Stages meet only through the run folder: tuning leaves a model there, and whoever needs it loads it, whatever
tuned it. Everything about files, costs, ranks and the user's lists is here, so that the loop itself reads
like the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base import dist
from ..base.files import remove, size_of, write_jsonl, write_text
from ..base.progress import Watch
from ..config import RunConfig, round_sizes, split_budget
from ..data.export import export_rows
from ..errors import ConfigError, PoolExhaustedError, RunFolderError
from ..evaluation.loss import heldout_losses, loss_per_token
from ..models.command import run_command
from ..models.embed import embed_tokens, open_embeddings, open_signals
from ..models.load import load_model, name_stops, shards_models
from ..run import OWN, RunFolder, round_name
from ..run.metrics import Cost, billed
from ..run.stopping import measured, reason_to_stop
from ..run.tracking import Tracking
from ..selection import Selection, Signal, Signals
from ..text.prepare import Prepared
from ..text.tokens import Encoder, Tokens
from .candidates import Candidates, draw_candidates
from .stopping import MEASURES

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CANDIDATES = 1
"""Tells the generator of a round's candidates from that of its picks."""


@dataclass(frozen=True)
class Rounds:
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
        """Whether the round is finished, the same on every rank whenever they see the folder."""
        return dist.on_main(lambda: self.run.is_done(index))

    def chosen_before(self, index: int) -> list[int]:
        """Pool rows chosen in the rounds before, in pick order; likewise."""
        return dist.on_main(lambda: self.run.chosen_before(index))

    def is_last(self, index: int) -> bool:
        """Whether no round follows, the same on every rank."""
        return dist.on_main(lambda: self._ends(index))

    def _ends(self, index: int) -> bool:
        """Whether the schedule ends, the budget in tokens is spent, or the run stops by itself."""
        is_end = index + 1 >= len(self.sizes) or self.run.is_budget_spent(index, self.config.budget)
        return is_end or self._why_stopped(index) is not None

    def _why_stopped(self, index: int) -> str | None:
        """Why the run ends by itself after this round; a later round that is done already overrules it."""
        if self.run.is_done(index + 1):
            return None
        return reason_to_stop(self.config.stop, self.run.all_metrics(index + 1))

    def _bill(self, index: int, stage: str, cost: Cost) -> None:
        self.run.add_metrics(index, {"stages": {stage: cost.as_dict()}})

    # --- selection

    def draw_first(self, n_init: int) -> Selection:
        """Round 0's rows: the user's seed subset, or what must be in and a uniform draw (the paper's P_0)."""
        if self.seed_rows is not None:
            return Selection(rows=self.seed_rows, columns={})
        n_rows, barred = len(self.data.pool), np.concatenate([self.must_rows, self.excluded_rows])
        free, n_drawn = np.setdiff1d(np.arange(n_rows), barred), max(0, n_init - len(self.must_rows))
        if n_drawn > len(free):
            raise PoolExhaustedError(
                f"cannot draw {n_drawn} rows for round 0: {len(free)} of {n_rows} may be chosen. Lower "
                "n_init."
            )
        drawn = np.random.default_rng([self.config.seed, 0]).choice(free, n_drawn, replace=False)
        return Selection(rows=np.concatenate([self.must_rows, drawn]), columns={})

    def candidates(self, index: int) -> Candidates:
        """What round `index`'s model says about the pool, for the next round's strategy."""
        self._embed(index)
        folder, n_rows = self.run.signals_dir(index), len(self.data.pool)
        rows = dist.on_main(lambda: self.run.seen_rows(index))
        some: slice | np.ndarray = slice(None) if rows is None else rows
        columns = {name: column[some] for name, column in self.columns.items()}
        if self.model_signals - {Signal.EMBEDDING}:
            columns |= open_signals(folder)
        vectors = None
        if Signal.EMBEDDING in self.needs:
            vectors = open_embeddings(self.run.outer_dir)[some] if self.is_outer else open_embeddings(folder)
        selectable = np.ones(n_rows, dtype=bool)
        selectable[self.excluded_rows] = False
        signals = Signals(
            n_rows=n_rows if rows is None else len(rows),
            embeddings=vectors,
            columns=columns,
            selectable=selectable[some] if len(self.excluded_rows) else None,
            watch=self.watch,
        )
        return Candidates(signals, rows)

    def saved_picks(self, index: int) -> Selection | None:
        """The picks of a round that was killed after choosing."""
        is_there = self.run.chosen_file(index).exists
        picks = dist.on_main(lambda: self.run.picks(index) if is_there() else None)
        rows = np.array([pick["row"] for pick in picks or ()], dtype=np.int64)
        return Selection(rows=rows, columns={}) if picks else None

    def save_picks(self, index: int, chosen: Sequence[int], picks: Selection, cost: Cost) -> list[int] | None:
        """Write the round's chosen.jsonl and subset.jsonl; return all rows chosen so far, in pool order.

        A budget in tokens cuts the picks at the first that exceeds it; None if that is the first of all.
        """
        tokens, pool, run = self.data.tokens, self.data.pool, self.run
        n_kept = self._n_within_budget(chosen, picks)
        if n_kept < len(picks.rows):
            run.add_metrics(max(0, index - (n_kept == 0)), {"budget_spent": self.config.budget})
        if n_kept == 0:
            return None
        subset = sorted([*chosen, *picks.rows[:n_kept].tolist()])
        figures = {
            "n_new": n_kept,
            "n_chosen": len(subset),
            "tokens_chosen": int(tokens.n_tokens[subset].sum()),
            "trained_tokens_chosen": int(tokens.n_trained[subset].sum()),
        }
        if dist.is_main():
            write_text(run.subset_file(index), "".join(pool.line_with_id(row) for row in subset))
            run.add_metrics(index, figures)
            if not run.chosen_file(index).exists():
                self._bill(index, "select", cost)  # first: what is read back was paid for once
                skipped = [
                    {"id": pool.id(row), "row": int(row), "round": index, "guard": guard}
                    for guard, rows in picks.skipped.items()
                    for row in rows
                ]
                if skipped:
                    write_jsonl(run.skipped_file(index), skipped)
                run.save_picks(index, [self._pick(index, picks, rank) for rank in range(n_kept)])
        dist.barrier()
        return subset

    def _n_within_budget(self, chosen: Sequence[int], picks: Selection) -> int:
        """How many of the picks fit into a budget in tokens; of round 0 the first must."""
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

    def _pick(self, index: int, picks: Selection, rank: int) -> dict[str, Any]:
        pool, row = self.data.pool, int(picks.rows[rank])
        known = {name: column[rank].item() for name, column in picks.columns.items()}
        if (nearest := known.pop("nearest_row", None)) is not None:
            known["nearest_id"] = pool.id(nearest) if nearest >= 0 else None
        return {"id": pool.id(row), "row": row, "round": index, "rank": rank, **known, **pool.place(row)}

    # --- tuning

    def train(self, index: int, subset: Sequence[int]) -> None:
        """Leave the round's model in its folder, tuned on `subset` from the base or the previous model."""
        run, config, model_dir = self.run, self.config, self.run.model_dir(index)
        if not dist.on_main(model_dir.is_dir):
            is_base = config.train.start == "base" or index == 0
            start = config.model if is_base else str(run.model_dir(index - 1))
            bill = partial(self._bill, index, "train")
            if config.train.command:
                self._train_by_command(index, subset, start, bill)
            else:
                what = (self.data.tokens, self.tokenizer, model_dir, run.checkpoints_dir(index), index)
                self.tune(config, start, subset, *what, partial(self.tracking.log_training, index), bill)
        self.name_stops(self.tokenizer, model_dir)

    def tune(
        self,
        config: RunConfig,
        start: str,
        rows: Sequence[int],
        tokens: Tokens,
        tokenizer: PreTrainedTokenizerBase,
        model_dir: Path,
        checkpoints_dir: Path,
        index: int,
        on_log: Callable[[Mapping[str, Any], int], None],
        on_tuned: Callable[[Cost], None],
    ) -> None:
        """Tune by the built-in trainer; `on_tuned` is called on rank 0."""
        from ..models.train import fit

        # The round's own order and dropout; below 2³¹ for the Trainer.
        seed = int(np.random.SeedSequence([config.seed, index]).generate_state(1)[0]) & 0x7FFFFFFF
        where = (config.train, model_dir, checkpoints_dir, seed, self.watch, config.trust_remote_code)
        last = (on_log, config.prompt.max_length, lambda cost: dist.on_main(lambda: on_tuned(cost)))
        fit(start, rows, tokens, tokenizer, *where, *last)

    def _train_by_command(
        self, index: int, subset: Sequence[int], start: str, on_tuned: Callable[[Cost], None]
    ) -> None:
        run, train, folder = self.run, self.config.train, self.run.round_dir(index)
        suffix = {"parquet": ".parquet", "llamafactory": ""}.get(train.command_format, ".json")
        data = folder / f"train_data{suffix}"
        dist.on_main(lambda: export_rows(self.data.pool, subset, train.command_format, data))
        if index == 0 and train.sft:
            self.watch.note(
                "train.command tunes: these keys of train are not passed on, write what you need into it: "
                f"{', '.join(sorted(train.sft))}"
            )
        base = str(Path(start).resolve()) if Path(start).is_dir() else start
        places = {
            "data": str(data.resolve()),
            "base": base,
            "round": str(index),
            "seed": str(self.config.seed),
        }
        log_file = folder / "train.log"
        run_command(train.command or "", places, run.model_dir(index), log_file, self.watch, on_tuned)

    def name_stops(self, tokenizer: PreTrainedTokenizerBase, model_dir: Path) -> None:
        """What ends an answer is known to whoever loads the model, not to `answer` alone."""
        stops = Encoder(tokenizer, self.config.prompt).stops
        dist.on_main(lambda: name_stops(model_dir, stops))

    # --- what the tuned model says

    def _model(self, index: int) -> PreTrainedModel:
        """The round's model as it lies in its folder; where models are sharded, this rank's share."""
        folder = self.run.model_dir(index)
        if not folder.is_dir():
            raise RunFolderError(
                f"{folder} is needed to go on but was not kept. Set keep: last before such a run, or start "
                "again in a new folder."
            )
        is_sharded = shards_models(self.config.train.sft.get("fsdp"))
        return load_model(str(folder), "auto", self.config.trust_remote_code, is_sharded=is_sharded)

    def measure(self, index: int) -> None:
        """Held-out loss of the round's model, if there are held-out rows."""
        if self.heldout is None or dist.on_main(lambda: self.run.metrics(index).is_measured):
            return
        with billed() as cost:
            sums = heldout_losses(self._model(index), self.heldout.tokens, self.watch)
        if dist.is_main():
            self.run.save_row_losses(OWN, round_name(index), sums)
        losses = loss_per_token(sums, self.heldout.tokens.n_trained, self.heldout_groups)
        self.run.add_metrics(index, {"heldout": losses, "stages": {"heldout": cost.as_dict()}})

    def embed(self, index: int) -> None:
        """What a next round needs of the round's model, if it is not there."""
        if not self.is_last(index):
            self._embed(index)

    def _embed(self, index: int) -> None:
        run, pool = self.run, self.data.pool
        if self.model_signals or self.is_outer:
            dist.on_main(lambda: run.save_seen_rows(index, self._draw_candidates(index)))
        is_billed = dist.on_main(lambda: self._is_embedded(index) and "embed" in run.metrics(index).stages)
        if not self.model_signals or is_billed:
            return
        # Of a killed pass, if there was one: its vectors are theirs.
        rows = dist.on_main(lambda: run.seen_rows(index))
        with billed() as cost:
            report = embed_tokens(
                self._model(index),
                self.data.tokens if rows is None else Tokens.open(run.tokens_dir, pool.positions[rows]),
                run.signals_dir(index),
                self.config.embed,
                ids=pool.ids if rows is None else pool.ids[rows],
                fingerprint=f"{self.fingerprint} round {index}",
                watch=self.watch,
                signals=self.model_signals,
            )
        cost.seconds = max(cost.seconds, report.seconds)  # of a pass that was killed before it was billed
        cost.tokens, cost.flops = report.n_tokens, report.flops
        self._bill(index, "embed", cost)

    def _draw_candidates(self, index: int) -> np.ndarray | None:
        """The rows that the round after `index` looks at; None: all."""
        chosen = self.run.chosen_before(index + 1)
        n_new = self.sizes[index + 1] if index + 1 < len(self.sizes) else 1
        rng = np.random.default_rng([self.config.seed, index, CANDIDATES])
        share = self.config.selection.candidates
        return draw_candidates(len(self.data.pool), chosen, self.excluded_rows, share, n_new, rng)

    def _is_embedded(self, index: int) -> bool:
        folder = self.run.signals_dir(index)
        vectors = (self.run.outer_dir if self.is_outer else folder) / "embeddings.npy"
        has_vectors = Signal.EMBEDDING not in self.needs or vectors.exists()
        return has_vectors and (
            self.model_signals <= {Signal.EMBEDDING} or (folder / "signals.parquet").exists()
        )

    def cover(self, index: int) -> None:
        """How the chosen rows cover the pool, for a stopping rule or a tracker; also in the round before.

        That one has no such figures yet if it was once the last.
        """
        for at in (index - 1, index):
            names = dist.on_main(partial(self._to_measure, at))
            if names:
                with billed() as cost:
                    candidates = self.candidates(at)
                    chosen = candidates.positions_of(self.run.chosen_before(at + 1))
                    values = {name: MEASURES[name](candidates.signals, chosen) for name in names}
                self.run.add_metrics(at, {"gauge": values, "stages": {"gauge": cost.as_dict()}})

    def _to_measure(self, index: int) -> list[str]:
        """What is asked of a round's embeddings and not known: what may stop the run, all for a tracker."""
        if index < 0 or Signal.EMBEDDING not in self.needs or not self._is_embedded(index):
            return []
        asked = [name for name in MEASURES if name == self.config.stop.measure or self.tracking.names]
        return [name for name in asked if measured(name, self.run.metrics(index)) is None]

    # --- the end of a round

    def finish(self, index: int) -> None:
        """Mark the round as done and delete what `keep` and `keep_signals` do not keep."""
        dist.barrier()
        if dist.is_main():
            run = self.run
            sizes = {"model": size_of(run.model_dir(index)), "signals": size_of(run.signals_dir(index))}
            run.add_metrics(index, {"bytes": sizes})
            # Why the run ends here by itself, and no longer of a round that it has gone on from.
            for at, why in ((index - 1, None), (index, self._why_stopped(index))):
                if at >= 0 and (why or run.metrics(at).stopped):
                    run.add_metrics(at, {"stopped": why})
            self.tracking.log_round(index)
            run.finish(index)
            for folder in (run.checkpoints_dir(index), *self._unwanted(index)):
                remove(folder)
        dist.barrier()

    def _unwanted(self, index: int) -> list[Path]:
        """Folders of this and earlier rounds that need not stay."""
        rounds, run = range(index + 1), self.run
        best = run.best_round(rounds)
        needed = set() if self._ends(index) else {index}  # by the next round
        best_models = {index if best is None else best} | needed
        models = {"all": set(rounds), "last": {index}, "best": best_models, "none": set()}[self.config.keep]
        signals = {"all": set(rounds), "last": {index - 1, index}, "none": needed}[self.config.keep_signals]
        unwanted = [run.model_dir(at) for at in rounds if at not in models]
        return unwanted + [run.signals_dir(at) for at in rounds if at not in signals]
