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

from .base.files import size_of
from .base.progress import Watch
from .config import PoolConfig, RunConfig
from .errors import PoolError
from .gauges import GAUGES
from .holdout import holdout_of
from .ledger import process_bytes
from .models import device
from .opening import record_parts, rows_apart, said_of_heldout, usable_tokenizer
from .plan import Facts, Lengths
from .plan.read_shape import model_shapes
from .pool import Pool
from .pool.columns import group_names, pool_columns
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
        prepared_dir = _prepared(config, parts)
        pool_dir = prepared_dir or Path(folder) / "pool"
        if prepared_dir:
            pool = Pool.open(pool_dir)
            tokens = Tokens.open(pool_dir / "tokens", pool.positions)
            lengths = Lengths.of(tokens.n_tokens, tokens.n_trained, tokens.n_full, len(tokens))
        else:
            pool = Pool.read(config.pool, config.seed, pool_dir, watch, is_kept=False)
            lengths = _lengths(pool, tokenizer, rounds)
        pool_columns(pool, sorted(needs - frozenset(Signal)))
        model, target = model_shapes(config)
        n_unusable = len(pool) - lengths.n_rows if lengths.n_sampled == len(pool) else 0  # of a sample it is an estimate
        n_heldout, n_first = _rows_apart(config, pool, Path(folder) / "heldout", n_unusable, watch)
        n_bad, n_read = pool.records.n_bad, pool.records.n_read
        facts = Facts(
            lengths=lengths,
            model=model,
            target=target,
            target_lengths=_lengths(pool, other, final) if is_other else lengths,
            needs=frozenset(map(str, needs & frozenset(Signal))),
            n_heldout=n_heldout,
            n_first=n_first,
            pool_bytes=sum(size_of(file) for file in pool_dir.glob("*.*") if file.is_file()),
            program_bytes=process_bytes() if is_here else 0,
            is_float32=is_here and device().type == "cpu",
            notes=(f"{n_bad:,} of {n_read:,} rows are bad; the run puts them aside",) if n_bad else (),
        )
    return _with_notes(config, facts)


def _prepared(config: RunConfig, parts: dict[str, str]) -> Path | None:
    """The run folder's pool, if this run was started there and has it ready."""
    run = RunFolder(Path(config.out))
    if not (run.config_file.exists() and run.is_same(config, parts) and (run.pool_dir / "index.arrow").exists()):
        return None
    return run.pool_dir


def _lengths(pool: Pool, tokenizer: PreTrainedTokenizerBase, config: RunConfig) -> Lengths:
    """Lengths of a random sample of the rows.

    Raises:
        PoolError: of the sample, too many rows are refused by the template or have no token to train on.
    """
    rng = np.random.default_rng([config.seed, len(pool)])
    rows = np.sort(rng.choice(len(pool), min(MAX_SAMPLED, len(pool)), replace=False))
    encoded = Encoder(tokenizer, config.prompt).encode([pool.sample(row) for row in rows.tolist()])
    sizes = [(len(row.ids), sum(end - start for start, end in row.spans), row.n_full) for row in encoded]
    n_tokens, n_trained, n_full = np.array(sizes, dtype=np.int64).T
    refused = [row.refused for row in encoded if not row.ids]
    if len(refused) > config.pool.max_bad * len(rows):
        raise PoolError(
            f"{len(refused)} of {len(rows)} rows that were looked at are refused, such as: {refused[0] or 'it has no token'}. "
            "Correct them, or raise pool.max_bad."
        )
    n_too_long = int(((n_trained == 0) & (n_tokens > 0)).sum())
    if n_too_long > MAX_TOO_LONG * len(rows):
        raise PoolError(
            f"{n_too_long} of {len(rows)} rows that were looked at have no token left to train on: their prompts fill "
            "prompt.max_length. Raise prompt.max_length."
        )
    return Lengths.of(n_tokens, n_trained, n_full, len(pool))


def _rows_apart(config: RunConfig, pool: Pool, folder: Path, n_unusable: int, watch: Watch) -> tuple[int, int | None]:
    """How many rows are held out, and how many a list gives for round 0; all are checked as a run checks them."""
    held = None
    if config.heldout:
        with said_of_heldout():
            held = Pool.read(PoolConfig(path=config.heldout.path), config.seed, folder, watch, is_kept=False)
        if config.heldout.group:
            group_names(held, config.heldout.group, "heldout.group")
    lists, held_rows = rows_apart(
        config, pool, held, lambda listed_rows: holdout_of(config.pool, pool, listed_rows, config.seed), n_unusable
    )
    first = np.union1d(lists["seed_subset"], lists["must_include"]) if config.selection.seed_subset else None
    return len(held_rows if held is None else held), None if first is None else len(first)


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
