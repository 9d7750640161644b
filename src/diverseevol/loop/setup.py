"""Opening a run: all that can be wrong is found here, cheapest first, before a model's weights are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..base import dist
from ..base.files import write_json
from ..base.progress import Watch
from ..config import PoolConfig, RunConfig, round_sizes
from ..data import Pool, read_rows_file
from ..data.columns import group_names, pool_columns
from ..data.holdout import save_holdout
from ..errors import ConfigError, EmbedError, ModelError, RunFolderError
from ..models.load import adapter_config, check_fits, load_tokenizer
from ..models.sharding import shards_models
from ..plan.estimate import make_plan
from ..plan.facts import facts_of
from ..run import RunFolder
from ..run.metrics import billed, process_bytes
from ..run.resume import save_config
from ..run.tracking import Tracking
from ..selection import Signal
from ..text.prepare import Prepared, prepare
from ..text.tokens import Tokens
from .embed_pool import embed_outer
from .fingerprint import LISTS, open_record, said_of_heldout
from .rounds import Rounds
from .stopping import MEASURES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def open_rounds(
    run: RunFolder, config: RunConfig, needs: frozenset[str], watch: Watch, tracking: Tracking | None = None
) -> Rounds:
    """Check or start the run's record, make the pool ready, and read the user's lists.

    Raises:
        RunFolderError: the run was started with something else.
        PoolError: the data cannot be used, or a list names rows that are not in it.
        ModelError: the tokenizer cannot be loaded, or `prompt.max_length` is more than the model reads.
        ConfigError: the schedule wants more rows than there are, or the lists contradict each other.
    """
    fingerprint = dist.on_main(lambda: open_record(run, config))
    if tracking:
        tracking.start()
    needs |= {Signal.EMBEDDING} if config.stop.measure in MEASURES else set()
    whole, config = config, config.for_rounds()
    _check_signals(config, needs)
    tokenizer = _usable_tokenizer(config, run)
    if whole.final:
        _usable_tokenizer(whole.for_final(), run)
    data = prepare(config.pool, config.prompt, tokenizer, run.pool_dir, config.seed, watch)
    pool = data.pool
    lists = {name: _rows_listed(getattr(config.selection, name), pool) for name in LISTS}
    heldout = None
    if config.heldout:
        with said_of_heldout():
            held = PoolConfig(path=config.heldout.path)
            heldout = prepare(
                held, config.prompt, tokenizer, run.heldout_dir, config.seed, watch, "held-out rows"
            )
        _check_apart(heldout.pool, pool, lists["exclude"], config.heldout.path)
    if config.pool.holdout:
        listed_rows = np.unique(np.concatenate(list(lists.values())))
        held_rows = _hold_out(run, config, pool, listed_rows, watch)
        heldout = Prepared(pool.take(held_rows), Tokens.open(run.tokens_dir, pool.positions[held_rows]))
        lists["exclude"] = np.union1d(lists["exclude"], pool.rows_also_in(pool.take(held_rows)))
    _check_lists(config, pool, lists)
    column, key = config.heldout_group, "heldout.group" if config.heldout else None
    rounds = Rounds(
        run=run,
        config=config,
        whole=whole,
        tokenizer=tokenizer,
        data=data,
        heldout=heldout,
        heldout_groups=group_names(heldout.pool, column, key) if heldout and column else None,
        needs=needs,
        columns=pool_columns(pool, sorted(needs - frozenset(Signal))),
        fingerprint=fingerprint,
        watch=watch,
        tracking=tracking or Tracking(run, config),
        seed_rows=np.union1d(lists["seed_subset"], lists["must_include"])
        if config.selection.seed_subset
        else None,
        must_rows=lists["must_include"],
        excluded_rows=lists["exclude"],
    )
    dist.on_main(lambda: _check_finished(run, rounds.sizes))
    dist.on_main(lambda: save_config(run, whole))
    dist.on_main(lambda: _save_plan(rounds))
    _embed_outer_once(rounds)
    return rounds


def _check_signals(config: RunConfig, needs: frozenset[str]) -> None:
    """Check that the strategy reads nothing that a sharded model cannot give.

    Raises:
        ConfigError: it reads what comes of logits.
    """
    of_logits = sorted((needs & frozenset(Signal)) - {Signal.EMBEDDING})
    if of_logits and shards_models(config.train.sft.get("fsdp")):
        raise ConfigError(
            f"selection.strategy {config.selection.strategy!r} reads {', '.join(of_logits)}, which a model "
            "that is "
            "sharded over ranks (FSDP) does not give: its head is in pieces. Take a strategy that reads the "
            "embedding "
            "alone, or start without FSDP."
        )


def _usable_tokenizer(config: RunConfig, run: RunFolder) -> PreTrainedTokenizerBase:
    """The tokenizer of `config.model`, once that is known to be tunable as `config.train` says.

    Raises:
        ConfigError: it is an adapter, and all weights are to be tuned; `train` sets what the run sets;
            SFTConfig refuses a value; or a package that a method needs is not installed.
        ModelError: it cannot be found, or does not read what `config.prompt` gives it.
    """
    train, is_own = config.train, not config.train.command
    if train.method == "full" and is_own and adapter_config(config.model):
        raise ConfigError(
            f"model {config.model!r} is an adapter, and train.method is full, which tunes whole models. "
            "Set train.method=lora to go on with the adapter, or merge it into its base model first."
        )
    if is_own:
        from ..models.train_arguments import (
            check_own_keys,
            lora_config,
            sft_config,
        )  # which loads TRL: seconds

        check_own_keys(train)
    tokenizer = load_tokenizer(config.model, config.trust_remote_code)
    check_fits(config.model, tokenizer, config.prompt.max_length, config.trust_remote_code)
    if train.method == "qlora" and is_own and find_spec("bitsandbytes") is None:
        raise ConfigError(
            "train.method is qlora, which needs the package bitsandbytes; it is not installed. "
            "Install it: pip install 'diverseevol[qlora]', or set train.method=lora."
        )
    if is_own:
        sft_config(train, run.checkpoints_dir(0), config.seed)
        if train.method != "full":
            lora_config(train)
    return tokenizer


def _rows_listed(file: str | None, pool: Pool) -> np.ndarray:
    """The rows that one of the user's lists names, ascending."""
    return np.unique(read_rows_file(Path(file), pool)) if file else np.empty(0, dtype=np.int64)


def _hold_out(
    run: RunFolder, config: RunConfig, pool: Pool, listed_rows: np.ndarray, watch: Watch
) -> np.ndarray:
    """The held-out rows, drawn once a run and written down."""
    files = {
        "ids_file": run.holdout_file,
        "copies_file": run.holdout_copies_file,
        "records_file": run.holdout_records_file,
    }
    dist.on_main(lambda: save_holdout(config.pool, pool, listed_rows, config.seed, watch, **files))
    return pool.rows_of(run.ids_in(run.holdout_file))


def _check_apart(heldout: Pool, pool: Pool, excluded_rows: np.ndarray, path: str) -> None:
    """Check that no row of `path` is in the pool and not excluded."""
    if not len(np.setdiff1d(pool.rows_also_in(heldout), excluded_rows)):
        return
    both = heldout.rows_also_in(pool)
    if len(both):
        raise ConfigError(
            f"{len(both)} of the {len(heldout)} rows of heldout.path {path!r} are also in the pool, first "
            "its row "
            f"{both[0]} (id {heldout.id(int(both[0]))}). Take them out of the pool, or list them in "
            "selection.exclude: "
            "a loss on trained rows proves nothing."
        )


def _check_lists(config: RunConfig, pool: Pool, lists: Mapping[str, np.ndarray]) -> None:
    """Check that the lists agree, and that enough rows are left for the schedule."""
    clash = np.intersect1d(lists["exclude"], np.concatenate([lists["seed_subset"], lists["must_include"]]))
    if len(clash):
        raise ConfigError(
            f"{len(clash)} rows are to be included and excluded at once, first id {pool.id(int(clash[0]))}. "
            "Take them off one list."
        )
    n_wanted = sum(round_sizes(config.rounds, config.n_init, config.n_new, config.budget))
    n_excluded = len(lists["exclude"])
    n_free = len(pool) - n_excluded
    if config.selection.seed_subset is None and n_wanted > n_free:
        what = (
            f"Lower budget (now {config.budget})"
            if config.budget
            else "Lower rounds, n_new or n_init, or set budget"
        )
        excluded = f" ({n_excluded} excluded)" if n_excluded else ""
        raise ConfigError(
            f"the schedule chooses {n_wanted} rows, the pool has {n_free} good ones{excluded}. {what}."
        )


def _check_finished(run: RunFolder, sizes: Sequence[int]) -> None:
    """Check that a resumed run's schedule agrees with the rounds that are done.

    Raises:
        RunFolderError: it has fewer rounds, or other sizes.
    """
    done = run.rounds_done()
    if len(done) > len(sizes):
        raise RunFolderError(
            f"{run.root} has {len(done)} finished rounds, the schedule only {len(sizes)} (round 0 counted). "
            "Raise rounds or budget, or give --out a new folder."
        )
    for index in done:
        metrics = run.metrics(index)
        if index > 0 and metrics.n_new != sizes[index] and metrics.budget_spent is None:
            raise RunFolderError(
                f"round {index} of {run.root} added {metrics.n_new} samples, the schedule says "
                f"{sizes[index]}. "
                "Give n_new (a list) and budget that agree with the finished rounds, or give --out a new "
                "folder."
            )


def _save_plan(rounds: Rounds) -> None:
    """Write what the run will take, by its real tokens; nothing where a model's shape cannot be read."""
    tokens, n_first = rounds.data.tokens, None if rounds.seed_rows is None else len(rounds.seed_rows)
    counts = np.array([tokens.n_tokens, tokens.n_trained, tokens.n_full], dtype=np.int64)
    try:
        facts = facts_of(rounds.whole, rounds.needs, len(tokens), counts, n_first, process_bytes())
        plan = make_plan(rounds.whole, facts)
    except (ModelError, EmbedError) as error:
        rounds.watch.note(f"no plan of the cost: {error}")
        return
    write_json(rounds.run.plan_file, asdict(plan))


def _embed_outer_once(rounds: Rounds) -> None:
    """Make an outer model's vectors, if rounds are left that need them, and they are not there or not billed.

    Now: what is wrong with an outer model is found before a round is trained.
    """
    run = rounds.run

    def is_needed() -> bool:
        if not (rounds.is_outer and len(run.rounds_done()) < len(rounds.sizes) > 1):
            return False
        is_there = (run.outer_dir / "embeddings.npy").exists()
        return not (is_there and "embed_outer" in run.metrics(0).stages)

    if dist.on_main(is_needed):
        with billed() as cost:
            report = embed_outer(
                rounds.data.pool, rounds.config, run.outer_dir, rounds.fingerprint, rounds.watch
            )
        cost.seconds = max(cost.seconds, report.seconds)  # of a pass that was killed before it was billed
        cost.tokens, cost.flops = report.n_tokens, report.flops
        run.add_metrics(0, {"stages": {"embed_outer": cost.as_dict()}})
