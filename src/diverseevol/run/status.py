"""What a run folder says about itself: where it stands, and why a sample was or was not chosen. Reads files only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import load_array, size_of
from ..config import StopConfig, round_sizes
from ..data import Pool
from ..data.left_out import why_left_out
from ..errors import ConfigError, PoolError, RunFolderError
from . import RunFolder
from .ledger import beside_plan
from .stopping import HOUR, reason_to_stop, spent_on
from .watching import Life, last_picks, life_of, pool_counts


def run_status(
    root: Path, silent_for: float | None = None, known: dict[Any, Any] | None = None
) -> dict[str, Any]:
    """The state of a run as plain values: finished rounds with their metrics, what is under way, sizes.

    Args:
        root: The run folder.
        silent_for: For how many seconds a watcher has seen nothing new; see `life_of`.
        known: Kept between two looks by a watcher, so that what stays as it is is not read again.

    Raises:
        RunFolderError: `root` is no run folder.
    """
    run, known = RunFolder(root), {} if known is None else known

    def once(key: Any, read: Callable[[], Any]) -> Any:  # noqa: ANN401 - plain values
        if key not in known:
            known[key] = read()
        return known[key]

    config = run.config()
    new = config["n_new"]
    sizes = round_sizes(
        config["rounds"], config["n_init"], tuple(new) if isinstance(new, list) else new, config["budget"]
    )
    done = run.rounds_done()
    at = len(done)
    is_ready = (run.pool_dir / "index.arrow").exists()
    stopped = reason_to_stop(StopConfig(**config.get("stop", {})), [run.metrics(index) for index in done])
    are_rounds_over = (
        at >= len(sizes) or bool(stopped) or (at > 0 and run.is_budget_spent(done[-1], config["budget"]))
    )
    is_finished = are_rounds_over and (not config.get("final") or run.final_metrics_file.exists())
    life = Life(False, "finished", None) if is_finished else life_of(run, silent_for)
    picked = next((index for index in (at, at - 1) if index >= 0 and run.chosen_file(index).exists()), None)
    plan = run.plan()
    stage = "final" if are_rounds_over else _stage(run, at, is_ready)
    return {
        "run": str(root),
        "state": life.state,
        "is_running": life.is_running,
        "stopped": stopped,
        "strategy": config["selection"]["strategy"],
        **once(("pool", is_ready), lambda: pool_counts(run)),
        "n_rounds": len(sizes),
        "round": None if are_rounds_over else at,
        "stage": None if is_finished else stage,
        "task": life.task,
        "rounds": [run.metrics(index) for index in done],
        "seconds": spent_on("hours", [run.metrics(index) for index in range(at + (not are_rounds_over))])
        * HOUR,
        "picks": []
        if picked is None or not is_ready
        else once(("picks", picked), lambda: last_picks(run, picked)),
        "progress": plan and beside_plan(plan, [run.metrics(index) for index in done], is_finished),
        "final": run.final_metrics(),
        "bytes": once(("bytes", at, is_finished), lambda: size_of(root)),
    }


def explain_sample(root: Path, name: str) -> dict[str, Any]:
    """Where a sample comes from and why it is, or is not, in the subset.

    Args:
        root: The run folder.
        name: An id, or a pool row.

    Raises:
        PoolError: no such sample.
        RunFolderError: `root` is no run folder, or its pool is not ready.
    """
    run = RunFolder(root)
    run.config()
    if not (run.pool_dir / "index.arrow").exists():
        raise RunFolderError(f"the pool of {root} is not ready yet.")
    pool = Pool.open(run.pool_dir)
    row = _row_of(pool, name)
    if row is None:
        position = pool.records.position_of(name)
        if position is None:
            raise PoolError(
                f"no sample {name!r} in {root}: it is neither an id nor a row (0 to {len(pool) - 1}) of the pool. Rows that could not "
                f"be read have neither; {run.pool_dir / 'quarantine.jsonl'} says why, by source and row."
            )
        return _left_out(run, pool, position)
    known = {
        "id": pool.id(row),
        "row": row,
        "source": pool.source(row),
        "source_row": pool.source_row(row),
        "record": pool.record(row),
    }
    for index in run.rounds_done() or [0]:
        for pick in run.picks(index) if run.chosen_file(index).exists() else []:
            if pick["row"] == row:
                return {
                    **known,
                    "why": _why(pick),
                    "pick": pick,
                    "nearest": _nearest(pool, pick.get("nearest_id")),
                }
    return {**known, **_why_not(run, pool, row)}


def _row_of(pool: Pool, name: str) -> int | None:
    """The row of an id or of a row's number."""
    if name.isdigit() and len(name) < 16:
        return int(name) if int(name) < len(pool) else None
    return next(iter(np.flatnonzero(pool.ids == name).tolist()), None)


def _left_out(run: RunFolder, pool: Pool, position: int) -> dict[str, Any]:
    """Why a record that was read is not in the pool."""
    records, status = pool.records, pool.status_of(position)
    record = {**records.place(position), "record": records.record(position)}
    why = why_left_out(run.pool_dir, records, status, position)
    return {"id": records.id(position), "row": None, **record, "why": why}


def round_named(run: RunFolder, name: str) -> int:
    """The index of a round called by number, `last` or `best`.

    Raises:
        RunFolderError: there is no such finished round, or none has a held-out loss.
        ConfigError: the name is none of these.
    """
    done = run.rounds_done()
    if not done:
        raise RunFolderError(f"{run.root} has no finished round yet.")
    if name == "last":
        return done[-1]
    if name == "best":
        best = run.best_round(done)
        if best is None:
            raise RunFolderError(
                f"{run.root} has no held-out losses to tell the best round by. Name a round, or run with heldout.path or pool.holdout."
            )
        return best
    if not name.isdigit():
        raise ConfigError(f"--round is {name!r}: give a round's number, last or best.")
    if int(name) not in done:
        raise RunFolderError(
            f"round {int(name)} of {run.root} is not finished; finished: {', '.join(map(str, done))}."
        )
    return int(name)


def _why(pick: dict[str, Any]) -> str:
    text = f"chosen in round {pick['round']}, pick {pick['rank'] + 1} of that round"
    if pick.get("distance") is not None and pick.get("nearest_id"):
        return f"{text}: distance {pick['distance']:.6g} from its nearest chosen sample {pick['nearest_id']}"
    return (
        f"{text}: {'the first draw' if pick['round'] == 0 else 'by the strategy, which gives no distances'}"
    )


def _why_not(run: RunFolder, pool: Pool, row: int) -> dict[str, Any]:
    """That it is held out, or how near the nearest chosen sample lies, by the last embeddings that were kept."""
    for file, what in ((run.holdout_file, "held out"), (run.holdout_copies_file, "a copy of a held-out row")):
        if pool.id(row) in run.ids_in(file):
            return {"why": f"never chosen: it is {what} (pool.holdout)", "nearest": None}
    done = run.rounds_done()
    places = [
        (run.outer_dir, None, "the outer model's"),
        *((run.signals_dir(at), at, f"round {at}'s") for at in reversed(done)),
    ]
    kept = next((place for place in places if (place[0] / "embeddings.npy").exists()), None)
    if kept is None or not done:
        return {
            "why": "not chosen; no embeddings were kept to say how near the chosen ones are",
            "nearest": None,
        }
    folder, index, whose = kept
    rows = None if index is None else run.seen_rows(index)
    rows = np.arange(len(pool)) if rows is None else rows
    if row not in rows:
        return {
            "why": f"not chosen: it was not among the candidates that {whose} model looked at",
            "nearest": None,
        }
    embeddings_ND = load_array(folder / "embeddings.npy")
    chosen = np.intersect1d(run.chosen_before(done[-1] + 1), rows)
    differences = (
        embeddings_ND[np.searchsorted(rows, chosen)].astype(np.float64)
        - embeddings_ND[np.searchsorted(rows, row)]
    )
    distances = np.sqrt(np.square(differences).sum(axis=1))
    nearest = int(chosen[distances.argmin()])
    why = f"not chosen: distance {distances.min():.6g} from its nearest chosen sample {pool.id(nearest)}, by {whose} embeddings"
    return {"why": why, "nearest": _nearest(pool, pool.id(nearest)), "distance": float(distances.min())}


def _nearest(pool: Pool, sample_id: str | None) -> dict[str, Any] | None:
    if sample_id is None:
        return None
    return {"id": sample_id, "record": pool.record(int(pool.rows_of([sample_id])[0]))}


def _stage(run: RunFolder, index: int, is_ready: bool) -> str:
    """What an unfinished round has not done yet."""
    if not is_ready:
        return "pool"
    if run.outer_dir.is_dir() and not (run.outer_dir / "embeddings.npy").exists():
        return "embed"
    if not run.chosen_file(index).exists():
        return "select"
    if not run.model_dir(index).exists():
        return "train"
    return "embed"
