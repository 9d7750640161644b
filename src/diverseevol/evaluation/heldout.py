"""A run's models, or any model, on held-out rows and lm-eval's tasks, measured once and kept.

The loop measures its own held-out rows after every round and keeps the sums of all rows; the rest is measured
here where the weights are kept, once: another file's rows, the base model, tasks. What is there already is
read without loading torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..base import dist
from ..base.progress import Watch
from ..config import PoolConfig, RunConfig, validate
from ..data import Pool
from ..data import fingerprint as pool_fingerprint
from ..data.columns import group_names
from ..errors import ConfigError, RunFolderError
from ..models.load import shards_models
from ..run import BASE, OWN, RunFolder, locked, round_name
from ..run.status import round_named
from .lm_eval import TaskRequest, check_tasks, task_scores
from .loss import heldout_losses, loss_per_token


@dataclass(frozen=True)
class Size:
    """How much some held-out rows hold, in rows and in tokens that training would count."""

    n_rows: int
    n_tokens: int


@dataclass(frozen=True)
class Rows:
    """Held-out rows: what they are called, how much they hold, and each of their groups."""

    name: str
    n_rows: int
    n_tokens: int
    groups: dict[str, Size]


@dataclass(frozen=True)
class Measured:
    """One model's figures.

    Attributes:
        n_chosen: How many samples it was tuned on; None: of no round.
        heldout: As in metrics.json; None where nothing was asked or the weights are not kept.
        tasks: As `task_scores` gives them.
        n_trained_on: How many of the held-out rows the model was trained on.
    """

    model: str
    n_chosen: int | None
    heldout: dict[str, Any] | None
    tasks: dict[str, dict[str, dict[str, float]]]
    n_trained_on: int = 0


@dataclass(frozen=True)
class Report:
    """The table, one line a model; `not_kept`: models not measured because their weights are not there."""

    rows: Rows | None
    models: tuple[Measured, ...]
    not_kept: tuple[str, ...]


@dataclass(frozen=True)
class Held:
    """Held-out rows, and under which name (`key`) their losses are kept."""

    pool: Pool
    tokens_dir: Path
    key: str
    title: str
    groups: list[str] | None

    def rows(self) -> Rows:
        """What a report says of them."""
        n_trained = self.pool.n_trained
        names = np.asarray(self.groups or [])
        groups = {
            name: Size(int((names == name).sum()), int(n_trained[names == name].sum()))
            for name in sorted(set(self.groups or ()))
        }
        return Rows(self.title, len(self.pool), int(n_trained.sum()), groups)


def heldout(
    root: Path,
    rounds: str,
    file: str | None,
    group: str | None,
    tasks: TaskRequest | None,
    watch: Watch,
    before_loading: Callable[[], None] = lambda: None,
) -> Report:
    """Measure a run's base model and rounds, or find that done.

    Args:
        root: The run folder.
        rounds: all (with the base model), base, last, best or a round's number.
        file: Held-out rows in any of the pool's formats instead of the run's own.
        group: A column to group them by instead of the run's own.
        tasks: lm-eval's tasks to run, too.
        watch: Sees the progress.
        before_loading: Called before a model is loaded, if one is.

    Raises:
        RunFolderError: this is no run folder, or the weights of the one round asked for are not kept.
        RunFolderError: the base model is not the one that the run was started with.
        ConfigError: there are no held-out rows, no such column or no such task.
        PoolError, ModelError: the file or a model cannot be used.
    """
    run = RunFolder(root)
    stored = {key: value for key, value in run.config().items() if key not in ("versions", "fingerprint")}
    config = validate(stored | {"out": str(root)}).for_rounds()
    if tasks:
        check_tasks(tasks)
    if rounds == "all":
        names = [BASE, *map(round_name, run.rounds_done())]
    else:
        names = [BASE if rounds == BASE else round_name(round_named(run, rounds))]
    held = _file_rows(run, config, file, group, watch) if file else _own_rows(run, config, group)
    if held is None and tasks is None:
        raise ConfigError(
            f"{root} has no held-out rows. Give --file, or start runs with pool.holdout or heldout.path."
        )

    def lacks(name: str) -> bool:
        """Whether anything asked for of a model is not kept yet."""
        lacks_losses = held is not None and not run.row_losses_file(held.key, name).exists()
        return lacks_losses or bool(tasks and tasks.without(run.task_scores(name)).names)

    lacking = dist.on_main(lambda: [name for name in names if lacks(name)])
    kept = dist.on_main(
        lambda: [name for name in lacking if name == BASE or run.model_dir(_index(name)).is_dir()]
    )
    if kept:
        before_loading()
        _measure(run, config, kept, held, tasks, watch)
    models = tuple(_read(run, name, held, tasks) for name in names)
    if len(names) == 1 and lacking and not kept and models[0].heldout is None:
        raise RunFolderError(
            f"the weights of {names[0]} of {root} are not kept, so it cannot be measured. Set keep: all "
            "before a run."
        )
    return Report(held.rows() if held else None, models, tuple(name for name in lacking if name not in kept))


def heldout_of_model(
    config: RunConfig, group: str | None, tasks: TaskRequest | None, folder: Path, watch: Watch
) -> Report:
    """Measure one model, `config.model`, on the rows of `config.pool`; `folder` receives the prepared rows.

    Raises:
        ConfigError, PoolError, ModelError: as `heldout`.
    """
    from ..models.load import check_fits, load_model, load_tokenizer
    from ..text.prepare import prepare

    if tasks:
        check_tasks(tasks)
    tokenizer = load_tokenizer(config.model, config.trust_remote_code)
    check_fits(config.model, tokenizer, config.prompt.max_length, config.trust_remote_code)
    data = prepare(config.pool, config.prompt, tokenizer, folder, config.seed, watch, "held-out rows")
    groups = group_names(data.pool, group, "--group") if group else None
    held = Held(data.pool, folder / "tokens", OWN, str(config.pool.path), groups)
    model = load_model(
        config.model, "auto", config.trust_remote_code, is_sharded=shards_models() and not tasks
    )
    losses = loss_per_token(heldout_losses(model, data.tokens, watch), data.pool.n_trained, groups)
    scores = task_scores(model, tokenizer, tasks) if tasks else {}
    return Report(held.rows(), (Measured(config.model, None, losses, scores),), ())


def _index(name: str) -> int:
    return int(name.rpartition("-")[2])


def _own_rows(run: RunFolder, config: RunConfig, group: str | None) -> Held | None:
    """The rows that the loop measured; None where it measured none."""
    if config.pool.holdout and run.holdout_file.exists():
        whole = Pool.open(run.pool_dir)
        pool = whole.take(whole.rows_of(run.ids_in(run.holdout_file)))
        tokens_dir, title = run.tokens_dir, "the rows of pool.holdout"
    elif config.heldout and (run.heldout_dir / "index.arrow").exists():
        pool, tokens_dir, title = Pool.open(run.heldout_dir), run.heldout_dir / "tokens", config.heldout.path
    else:
        return None
    column = group or config.heldout_group
    names = group_names(pool, column, "--group" if group else None) if column else None
    return Held(pool, tokens_dir, OWN, title, names)


def _file_rows(run: RunFolder, config: RunConfig, file: str, group: str | None, watch: Watch) -> Held:
    """The rows of another file, prepared in the run folder as the run's own are."""
    source = PoolConfig(path=file)
    key = pool_fingerprint(source)
    folder = run.other_heldout_dir(key)
    if not dist.on_main((folder / "index.arrow").exists):
        from ..models.load import load_tokenizer
        from ..text.prepare import prepare

        with locked(run.heldout_dir):
            tokenizer = load_tokenizer(config.model, config.trust_remote_code)
            prepare(source, config.prompt, tokenizer, folder, config.seed, watch, "held-out rows")
    pool = Pool.open(folder)
    return Held(pool, folder / "tokens", key, file, group_names(pool, group, "--group") if group else None)


def _measure(
    run: RunFolder,
    config: RunConfig,
    names: Sequence[str],
    held: Held | None,
    tasks: TaskRequest | None,
    watch: Watch,
) -> None:
    """Load each model once, and keep what is measured."""
    from ..models.load import fingerprint, load_model, load_tokenizer
    from ..text.tokens import Tokens

    if BASE in names and fingerprint(config.model) != run.config()["fingerprint"]["model"]:
        raise RunFolderError(
            f"{config.model} is not, or no longer, the model that {run.root} was started with. Put that back."
        )
    is_trusted, is_sharded = config.trust_remote_code, shards_models() and not tasks
    with locked(run.heldout_dir):
        for name in names:
            watch.note(f"measuring {name}")
            folder = config.model if name == BASE else str(run.model_dir(_index(name)))
            model = load_model(folder, "auto", is_trusted, is_sharded=is_sharded)
            if held and dist.broadcast(run.row_losses(held.key, name) is None):
                sums = heldout_losses(model, Tokens.open(held.tokens_dir, held.pool.positions), watch)
                if dist.is_main():
                    run.save_row_losses(held.key, name, sums)
            if tasks:
                tokenizer = load_tokenizer(config.model, is_trusted)
                for task in dist.broadcast(tasks.without(run.task_scores(name)).names):
                    scores = task_scores(model, tokenizer, replace(tasks, names=(task,)))
                    if dist.is_main():
                        run.save_task_scores(name, scores)
        dist.barrier()


def _read(run: RunFolder, name: str, held: Held | None, tasks: TaskRequest | None) -> Measured:
    """What is kept of a model."""
    losses, n_both = None, 0
    if held:
        sums = run.row_losses(held.key, name)
        losses = None if sums is None else loss_per_token(sums, held.pool.n_trained, held.groups)
        if name != BASE and held.key != OWN:
            chosen = np.array(sorted(run.chosen_before(_index(name) + 1)), dtype=np.int64)
            n_both = len(held.pool.rows_also_in(Pool.open(run.pool_dir).take(chosen)))
    known = run.task_scores(name)
    scores = {key: known[key] for key in map(tasks.key, tasks.names) if key in known} if tasks else {}
    n_chosen = None if name == BASE else run.metrics(_index(name)).n_chosen
    return Measured(name, n_chosen, losses, scores, n_both)
