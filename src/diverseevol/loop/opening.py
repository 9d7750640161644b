"""Opening a run: everything that can be wrong is found here, cheapest first, before a model's weights are loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..base import dist
from ..base.files import write_json, write_text
from ..base.progress import SILENT, Watch
from ..config import EmbedConfig, PoolConfig, PromptConfig, RunConfig, round_sizes
from ..data import Pool, plain_text, read_rows_file
from ..data import fingerprint as pool_fingerprint
from ..data.columns import group_names, pool_columns
from ..data.contamination import read_benchmarks
from ..data.holdout import save_holdout
from ..errors import ConfigError, EmbedError, ModelError, PoolError, RunFolderError
from ..models.embed import (
    EmbedReport,
    check_outer,
    embed_texts,
    embed_tokens,
    load_outer,
    open_embeddings,
    outer_fingerprint,
)
from ..models.load import adapter_config, check_fits, load_model, load_tokenizer
from ..models.load import fingerprint as model_fingerprint
from ..models.train import shares
from ..models.train.own_keys import check_own_keys
from ..plan.estimate import make_plan
from ..plan.facts import facts_of
from ..run import RunFolder, locked
from ..run.metrics import billed, process_bytes
from ..run.resume import save_config, start_record
from ..run.tracking import Tracking, check_trackers
from ..selection import Signal
from ..text.prepare import Prepared, prepare
from ..text.tokens import Tokens
from .gauges import GAUGES
from .stages import Stages

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LISTS = ("seed_subset", "must_include", "exclude")
"""Keys of `selection` that name files of rows."""


def open_stages(
    run: RunFolder, config: RunConfig, needs: frozenset[str], watch: Watch, tracking: Tracking | None = None
) -> Stages:
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
    needs |= {Signal.EMBEDDING} if config.stop.measure in GAUGES else set()
    whole, config = config, config.for_rounds()
    _check_shared_out(config, needs)
    tokenizer = usable_tokenizer(config)
    check_trainable(config, run)
    if whole.final:
        usable_tokenizer(whole.for_final())
        check_trainable(whole.for_final(), run)
    data = prepare(config.pool, config.prompt, tokenizer, run.pool_dir, config.seed, watch)
    heldout = None
    if config.heldout:
        with said_of_heldout():
            held = PoolConfig(path=config.heldout.path)
            heldout = prepare(
                held, config.prompt, tokenizer, run.heldout_dir, config.seed, watch, "held-out rows"
            )
    lists, held_rows = rows_apart(
        config,
        data.pool,
        heldout.pool if heldout else None,
        lambda listed_rows: _hold_out(run, config, data.pool, listed_rows, watch),
    )
    if config.pool.holdout:
        heldout = Prepared(
            data.pool.take(held_rows), Tokens.open(run.tokens_dir, data.pool.positions[held_rows])
        )
    column, key = config.heldout_group, "heldout.group" if config.heldout else None
    stages = Stages(
        run=run,
        config=config,
        whole=whole,
        tokenizer=tokenizer,
        data=data,
        heldout=heldout,
        heldout_groups=group_names(heldout.pool, column, key) if heldout and column else None,
        needs=needs,
        columns=pool_columns(data.pool, sorted(needs - frozenset(Signal))),
        fingerprint=fingerprint,
        watch=watch,
        tracking=tracking or Tracking(run, config),
        seed_rows=np.union1d(lists["seed_subset"], lists["must_include"])
        if config.selection.seed_subset
        else None,
        must_rows=lists["must_include"],
        excluded_rows=lists["exclude"],
    )
    dist.on_main(lambda: _check_finished(run, stages.sizes))
    dist.on_main(lambda: save_config(run, whole))
    dist.on_main(lambda: _save_plan(stages))
    if dist.on_main(lambda: _lacks_outer_pass(stages)):
        with billed() as cost:  # now: what is wrong with an outer model is found before a round is trained
            report = _embed_outer(data.pool, config, run.outer_dir, fingerprint, watch)
        cost.seconds = max(cost.seconds, report.seconds)  # of a pass that was killed before it was billed
        cost.tokens, cost.flops = report.n_tokens, report.flops
        run.add_metrics(0, {"stages": {"embed_outer": cost.as_dict()}})
    return stages


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


def _save_plan(stages: Stages) -> None:
    """Write what the run will take, by its real tokens; where the shape of a model cannot be read, say so and write nothing."""
    tokens, n_first = stages.data.tokens, None if stages.seed_rows is None else len(stages.seed_rows)
    counts = np.array([tokens.n_tokens, tokens.n_trained, tokens.n_full], dtype=np.int64)
    try:
        plan = make_plan(
            stages.whole, facts_of(stages.whole, stages.needs, len(tokens), counts, n_first, process_bytes())
        )
    except (ModelError, EmbedError) as error:
        stages.watch.note(f"no plan of the cost: {error}")
        return
    write_json(stages.run.plan_file, asdict(plan))


def _lacks_outer_pass(stages: Stages) -> bool:
    """Whether rounds are left that need an outer model's vectors, which are not there or not billed."""
    run = stages.run
    if not stages.is_outer or not len(run.rounds_done()) < len(stages.sizes) > 1:
        return False
    return not ((run.outer_dir / "embeddings.npy").exists() and "embed_outer" in run.metrics(0).stages)


def _check_shared_out(config: RunConfig, needs: frozenset[str]) -> None:
    """Check that the strategy reads nothing that a sharded model cannot give.

    Raises:
        ConfigError: it reads what comes of logits.
    """
    of_logits = sorted((needs & frozenset(Signal)) - {Signal.EMBEDDING})
    if of_logits and shares.shards_models(config.train.sft.get("fsdp")):
        raise ConfigError(
            f"selection.strategy {config.selection.strategy!r} reads {', '.join(of_logits)}, which a model that is sharded over ranks "
            "(FSDP) does not give: its head is in pieces. Take a strategy that reads the embedding alone, or start without FSDP."
        )


def usable_tokenizer(config: RunConfig) -> PreTrainedTokenizerBase:
    """The tokenizer of `config.model`, once that is known to be a model that can be tuned as `config.train` says.

    Raises:
        ConfigError: it is an adapter, and all weights are to be tuned, or `train` sets what the run sets.
        ModelError: it cannot be found, or does not read what `config.prompt` gives it.
    """
    if config.train.method == "full" and not config.train.command and adapter_config(config.model):
        raise ConfigError(
            f"model {config.model!r} is an adapter, and train.method is full, which tunes whole models. "
            "Set train.method=lora to go on with the adapter, or merge it into its base model first."
        )
    check_own_keys(config.train)
    tokenizer = load_tokenizer(config.model, config.trust_remote_code)
    check_fits(config.model, tokenizer, config.prompt.max_length, config.trust_remote_code)
    return tokenizer


def check_trainable(config: RunConfig, run: RunFolder) -> None:
    """Check that the built-in trainer takes these settings on this machine, before anything is made ready.

    Raises:
        ConfigError: SFTConfig refuses a value, or a package that a method needs is not installed.
    """
    if config.train.command:
        return
    if config.train.method == "qlora" and find_spec("bitsandbytes") is None:
        raise ConfigError(
            "train.method is qlora, which needs the package bitsandbytes; it is not installed. "
            "Install it: pip install 'diverseevol[qlora]', or set train.method=lora."
        )
    from ..models.train.keys import lora_config, sft_config

    sft_config(config.train, run.checkpoints_dir(0), config.seed)
    if config.train.method != "full":
        lora_config(config.train)


def rows_apart(
    config: RunConfig,
    pool: Pool,
    heldout: Pool | None,
    hold_out: Callable[[np.ndarray], np.ndarray],
    n_unusable: int = 0,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The rows that the user's lists name, ascending, and those held out of the pool (`pool.holdout`), which are excluded with their copies.

    `heldout` holds the rows of heldout.path; `hold_out` draws those of the pool, given the listed ones; `n_unusable` of the pool's rows
    will not be in it once it is tokenised.

    Raises:
        PoolError: a list names rows that are not in the pool.
        ConfigError: held-out rows can be trained on, the lists contradict each other, or too few rows are left for the schedule.
    """
    files = {name: getattr(config.selection, name) for name in LISTS}
    nothing = np.empty(0, dtype=np.int64)
    lists = {
        name: np.unique(read_rows_file(Path(file), pool)) if file else nothing for name, file in files.items()
    }
    if config.heldout and heldout:
        _check_apart(heldout, pool, lists["exclude"], config.heldout.path)
    held_rows = nothing
    if config.pool.holdout:
        held_rows = hold_out(np.unique(np.concatenate(list(lists.values()))))
        lists["exclude"] = np.union1d(lists["exclude"], pool.rows_also_in(pool.take(held_rows)))
    _check_lists(config, pool, lists, n_unusable)
    return lists, held_rows


@contextmanager
def said_of_heldout() -> Iterator[None]:
    """What is wrong with a pool here is wrong with the rows of heldout.path.

    Raises:
        ConfigError: for every PoolError.
    """
    try:
        yield
    except PoolError as error:
        raise ConfigError(
            f"heldout.path cannot be used: {error}".replace("pool.path", "heldout.path")
        ) from error


def _check_apart(heldout: Pool, pool: Pool, excluded_rows: np.ndarray, path: str) -> None:
    """Check that no row of `path` is in the pool and not excluded."""
    if not len(np.setdiff1d(pool.rows_also_in(heldout), excluded_rows)):
        return
    both = heldout.rows_also_in(pool)
    if len(both):
        raise ConfigError(
            f"{len(both)} of the {len(heldout)} rows of heldout.path {path!r} are also in the pool, first its row {both[0]} "
            f"(id {heldout.id(int(both[0]))}). Take them out of the pool, or list them in selection.exclude: a loss on trained rows proves nothing."
        )


def _check_lists(config: RunConfig, pool: Pool, lists: Mapping[str, np.ndarray], n_unusable: int) -> None:
    """Check that the lists agree, and that enough rows are left for the schedule."""
    clash = np.intersect1d(lists["exclude"], np.concatenate([lists["seed_subset"], lists["must_include"]]))
    if len(clash):
        raise ConfigError(
            f"{len(clash)} rows are to be included and excluded at once, first id {pool.id(int(clash[0]))}. Take them off one list."
        )
    n_wanted = sum(round_sizes(config.rounds, config.n_init, config.n_new, config.budget))
    n_excluded = len(lists["exclude"])
    n_free = max(0, len(pool) - n_excluded - n_unusable)
    if config.selection.seed_subset is None and n_wanted > n_free:
        raise ConfigError(
            f"the schedule chooses {n_wanted} rows, the pool has {n_free} good ones"
            + (f" ({n_excluded} excluded)" if n_excluded else "")
            + (
                f". Lower budget (now {config.budget})."
                if config.budget
                else ". Lower rounds, n_new or n_init, or set budget."
            )
        )


def _check_finished(run: RunFolder, sizes: Sequence[int]) -> None:
    """Check that a resumed run's schedule agrees with the rounds that are done.

    Raises:
        RunFolderError: it has fewer rounds, or other sizes.
    """
    done = run.rounds_done()
    if len(done) > len(sizes):
        raise RunFolderError(
            f"{run.root} has {len(done)} finished rounds, the schedule only {len(sizes)} (round 0 counted). Raise rounds or budget, or give "
            "--out a new folder."
        )
    for index in done:
        metrics = run.metrics(index)
        if index > 0 and metrics.n_new != sizes[index] and metrics.budget_spent is None:
            raise RunFolderError(
                f"round {index} of {run.root} added {metrics.n_new} samples, the schedule says {sizes[index]}. Give n_new (a list) and budget "
                "that agree with the finished rounds, or give --out a new folder."
            )


def open_record(run: RunFolder, config: RunConfig) -> str:
    """Start or check config.yaml; return a short hash of what the run is made of."""
    parts = record_parts(config)
    start_record(run, config, parts)
    return hashlib.blake2b(
        json.dumps(
            [
                parts,
                config.pool.dedup,
                config.pool.dedup_similarity,
                config.embed.pooling,
                config.prompt.model_dump(),
            ]
        ).encode(),
        digest_size=8,
    ).hexdigest()


def record_parts(config: RunConfig) -> dict[str, str]:
    """Fingerprints of everything that a run is made of.

    Raises:
        ConfigError, PoolError, ModelError: a part is not there, or cannot be used.
    """
    _check_outside(config)
    check_trackers(config)
    parts = {"pool": pool_fingerprint(config.pool), "model": model_fingerprint(config.for_rounds().model)}
    if config.selector:
        parts["final model"] = model_fingerprint(config.model)
    parts |= {f"benchmark {one.name}": one.fingerprint for one in read_benchmarks(config.pool.decontaminate)}
    if config.embed.model:
        check_outer(config.embed.model)
        parts["embed.model"] = outer_fingerprint(config.embed.model)
    if config.heldout:
        with said_of_heldout():
            parts["heldout rows"] = pool_fingerprint(PoolConfig(path=config.heldout.path))
    for name in LISTS:
        file = getattr(config.selection, name)
        if file:
            if not Path(file).is_file():
                raise ConfigError(f"selection.{name} is {file!r}: there is no such file.")
            parts[f"{name} list"] = hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()
    return parts


def _check_outside(config: RunConfig) -> None:
    """Check that the run does not write into a folder that it reads its pool from.

    Raises:
        ConfigError: it would, and read its own files as data when it is resumed.
    """
    out = Path(config.out).resolve()
    for source in config.pool.all_sources():
        folder = Path(source.path)
        if folder.is_dir() and out.is_relative_to(folder.resolve()):
            raise ConfigError(
                f"--out {config.out} lies in the pool's own folder {source.path}, whose files are all read as data. Give --out another place."
            )


def embed_folder(
    config: RunConfig, watch: Watch, signals: frozenset[str] = frozenset({Signal.EMBEDDING})
) -> EmbedReport:
    """Run one model over a pool into `config.out`, without a run: embeddings.npy, signals.parquet, ids.txt and the pool beside them.

    Raises:
        DiverseEvolError: as `open_stages`, and what the embedding pass raises.
    """
    out = Path(config.out)
    with locked(out) as run:
        fingerprint = dist.on_main(lambda: open_record(run, config))
        if config.embed.model:
            pool = _read_good_rows(run, config, watch)
            _write_ids(out, pool)
            return _embed_outer(pool, config, out, fingerprint, watch)
        tokenizer = load_tokenizer(config.model, config.trust_remote_code)
        check_fits(config.model, tokenizer, config.prompt.max_length, config.trust_remote_code)
        data = prepare(config.pool, config.prompt, tokenizer, run.pool_dir, config.seed, watch)
        _write_ids(out, data.pool)
        is_sharded, ids = shares.shards_models(), data.pool.ids
        model = load_model(config.model, "auto", config.trust_remote_code, is_sharded=is_sharded)
        return embed_tokens(
            model,
            data.tokens,
            out,
            config.embed,
            ids,
            fingerprint,
            watch,
            lockstep=is_sharded,
            signals=signals,
        )


def embed_pool(
    model: str,
    pool: str | Path,
    out_dir: str | Path,
    config: EmbedConfig | None = None,
    prompt: PromptConfig | None = None,
    watch: Watch = SILENT,
) -> np.ndarray:
    """Read a pool, tokenise it and embed it with a model; the same call again finds everything done.

    Args:
        model: a model or adapter, as a folder or a Hub id.
        pool: a file, a folder or a Hub id of instruction data, in any known format.
        out_dir: a new folder, or an earlier call's; gets embeddings.npy, ids.txt, and the pool's index under `pool`.
        config: pooling, dtype and batch size.
        prompt: template and longest row.
        watch: shows progress.

    Returns:
        float32[N, D], memory-mapped; row i is row i of `Pool.open(out_dir / "pool")`.

    Raises:
        DiverseEvolError: the folder, the pool, the template or the model cannot be used, or the pass failed (see errors.py).
    """
    config, prompt = config or EmbedConfig(), prompt or PromptConfig()
    if config.model:
        raise ConfigError(
            f"embed_pool runs {model!r}; the outer model {config.model!r} would not be read. Use embed_texts for it."
        )
    source = PoolConfig(path=str(pool))
    run = RunConfig(pool=source, model=model, out=str(out_dir), rounds=0, prompt=prompt, embed=config)
    embed_folder(run, watch)
    return open_embeddings(Path(run.out))


def _read_good_rows(run: RunFolder, config: RunConfig, watch: Watch) -> Pool:
    """Every good row of the pool: nothing is tokenised for training, so no row is too long."""
    dist.on_main(
        lambda: (
            (run.pool_dir / "index.arrow").exists()
            or (Pool.read(config.pool, config.seed, run.pool_dir, watch) and None)
        )
    )
    return Pool.open(run.pool_dir)


def _embed_outer(pool: Pool, config: RunConfig, out_dir: Path, fingerprint: str, watch: Watch) -> EmbedReport:
    model = load_outer(str(config.embed.model), config.embed, config.trust_remote_code)
    texts = (lambda row: plain_text(pool.sample(row)), pool.n_characters)
    return embed_texts(
        model, *texts, out_dir, config.embed, ids=pool.ids, fingerprint=fingerprint, watch=watch
    )


def _write_ids(folder: Path, pool: Pool) -> None:
    if dist.is_main():
        write_text(folder / "ids.txt", "".join(f"{sample_id}\n" for sample_id in pool.ids))
