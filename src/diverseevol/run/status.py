"""What a run folder says about itself: where it stands, and why a sample was or was not chosen.

Reads files only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..base.files import load_array, size_of
from ..config import StopConfig, round_sizes
from ..data import Pool, plain_text
from ..data.left_out import DUPLICATES, QUARANTINE, why_left_out
from ..data.pool import Status
from ..errors import ConfigError, PoolError, RunFolderError
from .folder import RunFolder
from .metrics import Bill, Metrics, Record, beside_plan, totals
from .progress import Life, TaskWord, life_of
from .stopping import reason_to_stop

N_PICKS = 3
LONGEST = 300
"""Letters of a sample that `status` hands on."""


@dataclass(frozen=True)
class PoolCounts:
    """Rows of the pool, and of what was read but is not in it."""

    n_pool: int = 0
    n_quarantined: int = 0
    n_duplicates: int = 0
    n_duplicates_dropped: int = 0
    n_contaminated: int = 0


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands."""

    run: str
    state: str  # who works on it, or how it ended, in words
    is_running: bool | None  # None: it is on another machine, and nobody can tell from here
    stopped: str | None  # why it ended by itself before its schedule
    strategy: str
    counts: PoolCounts
    n_rounds: int  # of the schedule
    round: int | None  # the one under way; None: all are done
    stage: str | None  # what that round has not done yet; None: the run is finished
    task: TaskWord | None  # what a process is at
    rounds: list[Metrics]  # what the finished ones say
    seconds: float  # of all stages so far
    picks: list[
        dict[str, Any]
    ]  # the first of the last round that has chosen, the beginning of each as `text`
    progress: dict[str, Any] | None  # predicted beside measured, see `beside_plan`; None without a plan
    final: Bill | None  # of the final tuning
    bytes: int  # of the folder

    def as_dict(self) -> dict[str, Any]:
        """Plain values for --json, the pool's counts among them."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "counts"}
        plain = {name: value.values() for name, value in values.items() if isinstance(value, Record)}
        return {**values, **plain, **asdict(self.counts), "rounds": [one.values() for one in self.rounds]}


def run_status(root: Path) -> RunStatus:
    """Say where a run stands.

    Raises:
        RunFolderError: `root` is no run folder.
    """
    run = RunFolder(root)
    config = run.config()
    new, budget = config["n_new"], config["budget"]
    n_new = tuple(new) if isinstance(new, list) else new
    n_rounds = len(round_sizes(config["rounds"], config["n_init"], n_new, budget))
    done = run.all_metrics(len(run.rounds_done()))
    at = len(done)
    stopped = reason_to_stop(StopConfig(**config["stop"]), done)
    are_rounds_over = at >= n_rounds or bool(stopped) or (at > 0 and run.is_budget_spent(at - 1, budget))
    is_finished = are_rounds_over and (not config["final"] or run.final_metrics_file.exists())
    life = Life(False, "finished") if is_finished else life_of(run)
    begun = done if are_rounds_over else [*done, run.metrics(at)]
    plan, counts, picks = run.plan(), PoolCounts(), list[dict[str, Any]]()
    if _has_pool(run):
        pool = Pool.open(run.pool_dir)
        counts = _counts(run, pool)
        picked = [index for index in (at, at - 1) if index >= 0 and run.chosen_file(index).exists()]
        for pick in run.picks(picked[0])[:N_PICKS] if picked else []:
            picks.append({**pick, "text": plain_text(pool.sample(int(pick["row"])), " → ")[:LONGEST]})
    return RunStatus(
        run=str(root),
        state=life.state,
        is_running=life.is_running,
        stopped=stopped,
        strategy=config["selection"]["strategy"],
        counts=counts,
        n_rounds=n_rounds,
        round=None if are_rounds_over else at,
        stage=None if is_finished else "final" if are_rounds_over else _stage(run, at),
        task=life.task,
        rounds=done,
        seconds=totals(bill for one in begun for bill in one.stages.values())[0],
        picks=picks,
        progress=beside_plan(plan, done, is_finished) if plan else None,
        final=run.final_bill(),
        bytes=size_of(root),
    )


def _has_pool(run: RunFolder) -> bool:
    return (run.pool_dir / "index.arrow").exists()


def _counts(run: RunFolder, pool: Pool) -> PoolCounts:
    n_lines = {}
    for name in (QUARANTINE, DUPLICATES):
        file = run.pool_dir / name
        n_lines[name] = file.read_bytes().count(b"\n") if file.exists() else 0
    kept, dropped, contaminated = (
        int((pool.status == status).sum()) for status in (Status.KEPT, Status.DUPLICATE, Status.CONTAMINATED)
    )
    return PoolCounts(kept, n_lines[QUARANTINE], n_lines[DUPLICATES], dropped, contaminated)


def _stage(run: RunFolder, index: int) -> str:
    """What an unfinished round has not done yet."""
    if not _has_pool(run):
        return "pool"
    if run.outer_dir.is_dir() and not (run.outer_dir / "embeddings.npy").exists():
        return "embed"
    if not run.chosen_file(index).exists():
        return "select"
    return "embed" if run.model_dir(index).exists() else "train"


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
                f"{run.root} has no held-out losses to tell the best round by. "
                "Name a round, or run with heldout.path or pool.holdout."
            )
        return best
    if not name.isdigit():
        raise ConfigError(f"--round is {name!r}: give a round's number, last or best.")
    if int(name) not in done:
        finished = ", ".join(map(str, done))
        raise RunFolderError(f"round {int(name)} of {run.root} is not finished; finished: {finished}.")
    return int(name)


def explain_sample(root: Path, name: str) -> dict[str, Any]:
    """Where a sample comes from and why it is, or is not, in the subset.

    Args:
        root: The run folder.
        name: An id, or a pool row.

    Returns:
        {id, row, source, source_row, record, why}, for a pick also {pick}, and where something is known of it
        {nearest: {id, record}, distance}; `row` is None for a record that is not in the pool.

    Raises:
        PoolError: no such sample.
        RunFolderError: `root` is no run folder, or its pool is not ready.
    """
    run = RunFolder(root)
    run.config()
    if not _has_pool(run):
        raise RunFolderError(f"the pool of {root} is not ready yet.")
    pool = Pool.open(run.pool_dir)
    is_number = name.isdigit() and len(name) < 16
    rows = [int(name)] if is_number and int(name) < len(pool) else np.flatnonzero(pool.ids == name).tolist()
    if not rows:
        return _left_out(run, pool, name)
    row = rows[0]
    known = {"id": pool.id(row), "row": row, **pool.place(row), "record": pool.record(row)}
    chosen = [index for index in run.rounds_done() or [0] if run.chosen_file(index).exists()]
    for pick in (pick for index in chosen for pick in run.picks(index) if pick["row"] == row):
        nearest_id, how = pick.get("nearest_id"), "by the strategy, which gives no distances"
        if pick.get("distance") is not None and nearest_id:
            how = f"distance {pick['distance']:.6g} from its nearest chosen sample {nearest_id}"
        elif pick["round"] == 0:
            how = "the first draw"
        why = f"chosen in round {pick['round']}, pick {pick['rank'] + 1} of that round: {how}"
        return {**known, "why": why, "pick": pick, "nearest": _nearest(pool, nearest_id)}
    return {**known, **_why_not(run, pool, row)}


def _left_out(run: RunFolder, pool: Pool, name: str) -> dict[str, Any]:
    """Why a record that was read is not in the pool."""
    records = pool.records
    position = records.position_of(name)
    if position is None:
        raise PoolError(
            f"no sample {name!r} in {run.root}: it is neither an id nor a row (0 to {len(pool) - 1}) of the "
            f"pool. Rows that could not be read have neither; {run.pool_dir / QUARANTINE} says why, by "
            "source and row."
        )
    record = {**records.place(position), "record": records.record(position)}
    why = why_left_out(run.pool_dir, pool, position)
    return {"id": records.id(position), "row": None, **record, "why": why}


def _why_not(run: RunFolder, pool: Pool, row: int) -> dict[str, Any]:
    """That it is held out, or how near the nearest chosen sample lies by the last kept embeddings."""
    for file, what in ((run.holdout_file, "held out"), (run.holdout_copies_file, "a copy of a held-out row")):
        if pool.id(row) in run.ids_in(file):
            return {"why": f"never chosen: it is {what} (pool.holdout)"}
    done = run.rounds_done()
    places: list[tuple[Path, str, int | None]] = [(run.outer_dir, "the outer model's", None)]
    places += [(run.signals_dir(index), f"round {index}'s", index) for index in reversed(done)]
    kept = [place for place in places if (place[0] / "embeddings.npy").exists()]
    if not kept or not done:
        return {"why": "not chosen; no embeddings were kept to say how near the chosen ones are"}
    folder, whose, index = kept[0]
    seen = None if index is None else run.seen_rows(index)
    rows = np.arange(len(pool)) if seen is None else seen
    if row not in rows:
        return {"why": f"not chosen: it was not among the candidates that {whose} model looked at"}
    embeddings_ND = load_array(folder / "embeddings.npy")
    chosen = np.intersect1d(run.chosen_before(done[-1] + 1), rows)
    own_D = embeddings_ND[np.searchsorted(rows, row)]
    differences = embeddings_ND[np.searchsorted(rows, chosen)].astype(np.float64) - own_D
    distances = np.sqrt(np.square(differences).sum(axis=1))
    distance, nearest_id = float(distances.min()), pool.id(int(chosen[distances.argmin()]))
    why = f"distance {distance:.6g} from its nearest chosen sample {nearest_id}, by {whose} embeddings"
    return {"why": f"not chosen: {why}", "nearest": _nearest(pool, nearest_id), "distance": distance}


def _nearest(pool: Pool, sample_id: str | None) -> dict[str, Any] | None:
    if sample_id is None:
        return None
    return {"id": sample_id, "record": pool.record(int(pool.rows_of([sample_id])[0]))}
