"""Opening a run: all that can be wrong is found here, cheapest first, before a model's weights are loaded."""

from __future__ import annotations

from collections.abc import Mapping
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
from ..models.embed import check_head
from ..models.load import adapter_config, check_fits, load_tokenizer, shards_models
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
        EmbedError: the strategy reads what a sharded model does not give.
    """
    fingerprint = dist.on_main(lambda: open_record(run, config))
    if tracking:
        tracking.start()
    needs |= {Signal.EMBEDDING} if config.stop.measure in MEASURES else set()
    whole, config = config, config.for_rounds()
    check_head(needs, shards_models(config.train.sft.get("fsdp")))
    tokenizer = _usable_tokenizer(config, run)
    if whole.final:
        _usable_tokenizer(whole.for_final(), run)
    data = prepare(config.pool, config.prompt, tokenizer, run.pool_dir, config.seed, watch)
    pool, nothing = data.pool, np.empty(0, dtype=np.int64)
    files = {name: getattr(config.selection, name) for name in LISTS}
    lists = {
        name: np.unique(read_rows_file(Path(file), pool)) if file else nothing for name, file in files.items()
    }
    heldout = _heldout(run, config, data, lists, tokenizer, watch)
    _check_lists(config, pool, lists)
    column, key = config.heldout_group, "heldout.group" if config.heldout else None
    has_seeds = config.selection.seed_subset is not None
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
        seed_rows=np.union1d(lists["seed_subset"], lists["must_include"]) if has_seeds else None,
        must_rows=lists["must_include"],
        excluded_rows=lists["exclude"],
    )

    def save() -> None:
        _check_finished(rounds)
        save_config(run, whole)
        _save_plan(rounds)

    dist.on_main(save)
    _embed_outer_once(rounds)
    return rounds


def _usable_tokenizer(config: RunConfig, run: RunFolder) -> PreTrainedTokenizerBase:
    """The tokenizer of `config.model`, once that is known to be tunable as `config.train` says."""
    train, is_own = config.train, not config.train.command
    if train.method == "full" and is_own and adapter_config(config.model):
        raise ConfigError(
            f"model {config.model!r} is an adapter, and train.method is full, which tunes whole models. "
            "Set train.method=lora to go on with the adapter, or merge it into its base model first."
        )
    tokenizer = load_tokenizer(config.model, config.trust_remote_code)
    check_fits(config.model, tokenizer, config.prompt.max_length, config.trust_remote_code)
    if is_own:
        if train.method == "qlora" and find_spec("bitsandbytes") is None:
            raise ConfigError(
                "train.method is qlora, which needs the package bitsandbytes; it is not installed. "
                "Install it: pip install 'diverseevol[qlora]', or set train.method=lora."
            )
        from ..models import train_arguments  # which loads TRL: seconds

        train_arguments.check_own_keys(train)
        train_arguments.sft_config(train, run.checkpoints_dir(0), config.seed)
        if train.method != "full":
            train_arguments.lora_config(train)
    return tokenizer


def _heldout(
    run: RunFolder,
    config: RunConfig,
    data: Prepared,
    lists: dict[str, np.ndarray],
    tokenizer: PreTrainedTokenizerBase,
    watch: Watch,
) -> Prepared | None:
    """The held-out rows: a file's, or rows of the pool, drawn once a run, which join `lists["exclude"]`."""
    pool, seed = data.pool, config.seed
    if config.heldout:
        path = config.heldout.path
        with said_of_heldout():
            held = PoolConfig(path=path)
            found = prepare(held, config.prompt, tokenizer, run.heldout_dir, seed, watch, "held-out rows")
        both = found.pool.rows_also_in(pool)
        if len(both) and len(np.setdiff1d(pool.rows_also_in(found.pool), lists["exclude"])):
            raise ConfigError(
                f"{len(both)} of the {len(found.pool)} rows of heldout.path {path!r} are also in the pool, "
                f"first its row {both[0]} (id {found.pool.id(int(both[0]))}). Take them out of the pool, or "
                "list them in selection.exclude: a loss on trained rows proves nothing."
            )
        return found
    if not config.pool.holdout:
        return None
    listed_rows = np.unique(np.concatenate(list(lists.values())))
    files = {
        "ids_file": run.holdout_file,
        "copies_file": run.holdout_copies_file,
        "records_file": run.holdout_records_file,
    }
    dist.on_main(lambda: save_holdout(config.pool, pool, listed_rows, seed, watch, **files))
    held_rows = pool.rows_of(run.ids_in(run.holdout_file))
    held_pool = pool.take(held_rows)
    lists["exclude"] = np.union1d(lists["exclude"], pool.rows_also_in(held_pool))
    return Prepared(held_pool, Tokens.open(run.tokens_dir, pool.positions[held_rows]))


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
        what = f"budget (now {config.budget})" if config.budget else "rounds, n_new or n_init, or set budget"
        excluded = f" ({n_excluded} excluded)" if n_excluded else ""
        raise ConfigError(
            f"the schedule chooses {n_wanted} rows, the pool has {n_free} good ones{excluded}. Lower {what}."
        )


def _check_finished(rounds: Rounds) -> None:
    """Check that a resumed run's schedule agrees with the rounds that are done."""
    run, sizes = rounds.run, rounds.sizes
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
                f"{sizes[index]}. Give n_new (a list) and budget that agree with the finished rounds, or "
                "give --out a new folder."
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
    run, n_rounds = rounds.run, len(rounds.sizes)

    def is_needed() -> bool:
        is_there = (run.outer_dir / "embeddings.npy").exists()
        is_done = is_there and "embed_outer" in run.metrics(0).stages
        return rounds.is_outer and len(run.rounds_done()) < n_rounds > 1 and not is_done

    if dist.on_main(is_needed):
        about = (rounds.config, run.outer_dir, rounds.fingerprint, rounds.watch)
        with billed() as cost:
            report = embed_outer(rounds.data.pool, *about)
        cost.seconds = max(cost.seconds, report.seconds)  # of a pass that was killed before it was billed
        cost.tokens, cost.flops = report.n_tokens, report.flops
        run.add_metrics(0, {"stages": {"embed_outer": cost.as_dict()}})
