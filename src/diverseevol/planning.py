"""The plan of a run that is not started: everything that a run checks before it loads weights, and the facts that a plan needs.

The pool is read by the run's own reader into a temporary folder, or found in the run folder where it is prepared; lengths come from a
random sample of its rows, tokenised as the run would. Models are read without their weights. Nothing else is written.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .config import PoolConfig, RunConfig
from .errors import BadRowsError, ConfigError, PoolError
from .files import size_of
from .gauges import GAUGES
from .holdout import draw_holdout
from .ledger import process_bytes
from .models import device
from .opening import check_apart, check_lists, read_lists, record_parts, usable_tokenizer
from .plan import Facts, Lengths
from .plan.read_shape import model_shape
from .pool import Pool
from .pool.columns import group_names, pool_columns
from .progress import Watch
from .run_folder import RunFolder
from .selection import Signal, make_strategy
from .tokens import Encoder, Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MAX_SAMPLED = 2000
MAX_TOO_LONG = 0.5


def read_facts(config: RunConfig, watch: Watch, is_here: bool = False) -> Facts:
    """Check a run as its start would, and read what its plan needs; `is_here`: for this machine, not for one of the table.

    Raises:
        DiverseEvolError: as the run itself would, before it loads a model's weights.
    """
    rounds, final, strategy = config.for_rounds(), config.for_final(), config.selection
    needs = make_strategy(strategy.strategy, **strategy.options).needs
    needs |= {Signal.EMBEDDING} if config.stop.measure in GAUGES else set()
    parts = record_parts(config)
    tokenizer = usable_tokenizer(rounds)
    is_other = final.model != rounds.model
    other = usable_tokenizer(final) if config.final or is_other else tokenizer
    with tempfile.TemporaryDirectory(prefix="diverseevol-plan-") as folder:
        pool_dir, made_dir = _prepared(config, parts), Path(folder) / "pool"
        pool = Pool.open(pool_dir) if pool_dir else Pool.read(config.pool, config.seed, made_dir, watch, is_kept=False)
        lengths = _all_lengths(pool_dir, pool) if pool_dir else _lengths(pool, tokenizer, rounds)
        facts = Facts(
            lengths=lengths,
            model=model_shape(rounds.model, rounds.train, config.trust_remote_code),
            target=model_shape(final.model, final.train, config.trust_remote_code),
            target_lengths=_lengths(pool, other, final) if is_other else lengths,
            needs=frozenset(str(signal) for signal in Signal if signal in needs),
            pool_bytes=sum(size_of(file) for file in (pool_dir or made_dir).glob("*.*") if file.is_file()),
        )
        pool_columns(pool, sorted(needs - frozenset(Signal)))
        facts = _with_rows_apart(config, facts, pool, Path(folder), watch)
        if n_bad := pool.records.n_bad:
            facts = replace(facts, notes=(f"{n_bad:,} of {pool.records.n_read:,} rows are bad; the run puts them aside",))
    if is_here:
        facts = replace(facts, program_bytes=process_bytes(), is_float32=device().type == "cpu")
    return _with_notes(config, facts)


def _prepared(config: RunConfig, parts: dict[str, str]) -> Path | None:
    """The run folder's pool, if this run was started there and has it ready."""
    run = RunFolder(Path(config.out))
    if not (run.config_file.exists() and run.is_same(config, parts) and (run.pool_dir / "index.arrow").exists()):
        return None
    return run.pool_dir


def _all_lengths(pool_dir: Path, pool: Pool) -> Lengths:
    tokens = Tokens.open(pool_dir / "tokens", pool.positions)
    n_tokens, n_trained, n_full = (array.astype(np.int64) for array in (tokens.n_tokens, tokens.n_trained, tokens.n_full))
    return Lengths.of(n_tokens, n_trained, n_full, len(pool))


def _lengths(pool: Pool, tokenizer: PreTrainedTokenizerBase, config: RunConfig) -> Lengths:
    """Lengths of a random sample of the rows.

    Raises:
        BadRowsError: of the sample, too many rows are refused by the template or have no token to train on.
    """
    rng = np.random.default_rng([config.seed, len(pool)])
    rows = np.sort(rng.choice(len(pool), min(MAX_SAMPLED, len(pool)), replace=False))
    encoded = Encoder(tokenizer, config.prompt).encode([pool.sample(row) for row in rows.tolist()])
    sizes = [(len(row.ids), sum(end - start for start, end in row.spans), row.n_full) for row in encoded]
    n_tokens, n_trained, n_full = np.array(sizes, dtype=np.int64).T
    refused = [row.refused for row in encoded if not row.ids]
    if len(refused) > config.pool.max_bad * len(rows):
        raise BadRowsError(
            f"{len(refused)} of {len(rows)} rows that were looked at are refused, such as: {refused[0] or 'it has no token'}. "
            "Correct them, or raise pool.max_bad."
        )
    n_too_long = int(((n_trained == 0) & (n_tokens > 0)).sum())
    if n_too_long > MAX_TOO_LONG * len(rows):
        raise BadRowsError(
            f"{n_too_long} of {len(rows)} rows that were looked at have no token left to train on: their prompts fill "
            "prompt.max_length. Raise prompt.max_length."
        )
    return Lengths.of(n_tokens, n_trained, n_full, len(pool))


def _with_rows_apart(config: RunConfig, facts: Facts, pool: Pool, folder: Path, watch: Watch) -> Facts:
    """The facts with the held-out rows and the user's lists, which are checked as a run checks them."""
    lists = read_lists(config, pool)
    n_heldout = 0
    if config.heldout:
        try:
            held = Pool.read(PoolConfig(path=config.heldout.path), config.seed, folder / "heldout", watch, is_kept=False)
        except PoolError as error:
            raise ConfigError(f"heldout.path cannot be used: {error}".replace("pool.path", "heldout.path")) from error
        check_apart(held, pool, lists["exclude"], config.heldout.path)
        if config.heldout.group:
            group_names(held, config.heldout.group, "heldout.group")
        n_heldout = len(held)
    if config.pool.holdout:
        groups = group_names(pool, config.pool.holdout_by, "pool.holdout_by") if config.pool.holdout_by else None
        listed = np.unique(np.concatenate(list(lists.values())))
        rows = draw_holdout(pool.ids, config.pool.holdout, config.seed, groups, listed)
        lists["exclude"] = np.union1d(lists["exclude"], pool.rows_also_in(pool.take(rows)))
        n_heldout = len(rows)
    check_lists(config, pool, lists)
    first = np.union1d(lists["seed_subset"], lists["must_include"]) if config.selection.seed_subset else None
    return replace(facts, n_heldout=n_heldout, n_first=None if first is None else len(first))


def _with_notes(config: RunConfig, facts: Facts) -> Facts:
    """Say what the figures leave out."""
    notes, needs = list(facts.notes), facts.needs
    if config.embed.model and Signal.EMBEDDING in needs:
        needs = needs - {str(Signal.EMBEDDING)}
        notes.append(f"the one pass of {config.embed.model} over the pool's texts is not counted")
    if config.train.command:
        notes.append("train.command tunes: counted as three epochs of all weights, whatever it does")
    if config.selector and not config.final:
        notes.append(f"{config.model} itself is never tuned: set final=true")
    if config.stop.measure or config.stop.samples or config.stop.tokens or config.stop.flops or config.stop.hours:
        notes.append("stop.* may end the run earlier: these figures are the most")
    return replace(facts, needs=needs, notes=tuple(notes))
