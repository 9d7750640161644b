"""What a run folder says about itself: where it stands, and why a sample was or was not chosen.

Reads files only.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    """Where a run stands.

    Attributes:
        run: Its folder.
        state: Who works on it, or how it ended, in words.
        is_running: None: it is on another machine, and nobody can tell from here.
        stopped: Why it ended by itself before its schedule.
        strategy: What chooses.
        counts: Rows read and left out.
        n_rounds: Rounds of the schedule.
        round: The round under way; None: all are done.
        stage: What that round has not done yet; None: the run is finished.
        task: What a process is at.
        rounds: What the finished rounds say.
        seconds: Of all stages so far.
        picks: The first picks of the last round that has chosen, with the beginning of what they say as
            `text`.
        progress: Predicted beside measured, see `beside_plan`; None without a plan.
        final: The bill of the final tuning.
        bytes: Of the folder.
    """

    run: str
    state: str
    is_running: bool | None
    stopped: str | None
    strategy: str
    counts: PoolCounts
    n_rounds: int
    round: int | None
    stage: str | None
    task: TaskWord | None
    rounds: list[Metrics]
    seconds: float
    picks: list[dict[str, Any]]
    progress: dict[str, Any] | None
    final: Bill | None
    bytes: int

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
    sizes = round_sizes(
        config["rounds"], config["n_init"], tuple(new) if isinstance(new, list) else new, budget
    )
    done = run.all_metrics(len(run.rounds_done()))
    at = len(done)
    stopped = reason_to_stop(StopConfig(**config["stop"]), done)
    are_rounds_over = at >= len(sizes) or bool(stopped) or (at > 0 and run.is_budget_spent(at - 1, budget))
    is_finished = are_rounds_over and (not config["final"] or run.final_metrics_file.exists())
    life = Life(False, "finished") if is_finished else life_of(run)
    picked = next((index for index in (at, at - 1) if index >= 0 and run.chosen_file(index).exists()), None)
    begun = done if are_rounds_over else [*done, run.metrics(at)]
    plan = run.plan()
    return RunStatus(
        run=str(root),
        state=life.state,
        is_running=life.is_running,
        stopped=stopped,
        strategy=config["selection"]["strategy"],
        counts=_counts(run),
        n_rounds=len(sizes),
        round=None if are_rounds_over else at,
        stage=None if is_finished else "final" if are_rounds_over else _stage(run, at),
        task=life.task,
        rounds=done,
        seconds=totals(bill for one in begun for bill in one.stages.values())[0],
        picks=[] if picked is None or not _has_pool(run) else _first_picks(run, picked),
        progress=beside_plan(plan, done, is_finished) if plan else None,
        final=run.final_bill(),
        bytes=size_of(root),
    )


def _has_pool(run: RunFolder) -> bool:
    return (run.pool_dir / "index.arrow").exists()


def _counts(run: RunFolder) -> PoolCounts:
    if not _has_pool(run):
        return PoolCounts()
    n_lines = {}
    for listed in (QUARANTINE, DUPLICATES):
        n_lines[listed] = 0
        if (run.pool_dir / listed).exists():
            with (run.pool_dir / listed).open("rb") as lines:
                n_lines[listed] = sum(1 for _ in lines)
    status_N = Pool.open(run.pool_dir).status
    kept, dropped, contaminated = (
        int((status_N == status).sum()) for status in (Status.KEPT, Status.DUPLICATE, Status.CONTAMINATED)
    )
    return PoolCounts(kept, n_lines[QUARANTINE], n_lines[DUPLICATES], dropped, contaminated)


def _first_picks(run: RunFolder, index: int) -> list[dict[str, Any]]:
    pool, picks = Pool.open(run.pool_dir), run.picks(index)[:N_PICKS]
    return [{**pick, "text": plain_text(pool.sample(int(pick["row"])), " → ")[:LONGEST]} for pick in picks]


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
    row = _row_of(pool, name)
    if row is None:
        return _left_out(run, pool, name)
    known = {
        "id": pool.id(row),
        "row": row,
        **pool.place(row),
        "record": pool.record(row),
    }
    chosen = (index for index in run.rounds_done() or [0] if run.chosen_file(index).exists())
    for pick in (pick for index in chosen for pick in run.picks(index)):
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


def _left_out(run: RunFolder, pool: Pool, name: str) -> dict[str, Any]:
    """Why a record that was read is not in the pool."""
    records = pool.records
    position = records.position_of(name)
    if position is None:
        raise PoolError(
            f"no sample {name!r} in {run.root}: it is neither an id nor a row (0 to {len(pool) - 1}) of the "
            "pool. "
            f"Rows that could not be read have neither; {run.pool_dir / QUARANTINE} says why, by source and "
            "row."
        )
    record = {**records.place(position), "record": records.record(position)}
    why = why_left_out(run.pool_dir, records, pool.status_of(position), position)
    return {"id": records.id(position), "row": None, **record, "why": why}


def _why(pick: dict[str, Any]) -> str:
    text = f"chosen in round {pick['round']}, pick {pick['rank'] + 1} of that round"
    if pick.get("distance") is not None and pick.get("nearest_id"):
        return f"{text}: distance {pick['distance']:.6g} from its nearest chosen sample {pick['nearest_id']}"
    return (
        f"{text}: {'the first draw' if pick['round'] == 0 else 'by the strategy, which gives no distances'}"
    )


def _why_not(run: RunFolder, pool: Pool, row: int) -> dict[str, Any]:
    """That it is held out, or how near the nearest chosen sample lies by the last kept embeddings."""
    for file, what in ((run.holdout_file, "held out"), (run.holdout_copies_file, "a copy of a held-out row")):
        if pool.id(row) in run.ids_in(file):
            return {"why": f"never chosen: it is {what} (pool.holdout)"}
    done = run.rounds_done()
    kept = next(_kept_embeddings(run, done), None)
    if kept is None or not done:
        return {"why": "not chosen; no embeddings were kept to say how near the chosen ones are"}
    folder, rows, whose = kept
    rows = np.arange(len(pool)) if rows is None else rows
    if row not in rows:
        return {"why": f"not chosen: it was not among the candidates that {whose} model looked at"}
    embeddings_ND = load_array(folder / "embeddings.npy")
    chosen = np.intersect1d(run.chosen_before(done[-1] + 1), rows)
    own_D = embeddings_ND[np.searchsorted(rows, row)]
    differences = embeddings_ND[np.searchsorted(rows, chosen)].astype(np.float64) - own_D
    distances = np.sqrt(np.square(differences).sum(axis=1))
    nearest = pool.id(int(chosen[distances.argmin()]))
    how_far = (
        f"distance {distances.min():.6g} from its nearest chosen sample {nearest}, by {whose} embeddings"
    )
    return {
        "why": f"not chosen: {how_far}",
        "nearest": _nearest(pool, nearest),
        "distance": float(distances.min()),
    }


def _kept_embeddings(run: RunFolder, done: list[int]) -> Iterator[tuple[Path, Any, str]]:
    """Folders with embeddings, the pool rows they are about (None: all) and whose they are, best first."""
    if (run.outer_dir / "embeddings.npy").exists():
        yield run.outer_dir, None, "the outer model's"
    for index in reversed(done):
        if (run.signals_dir(index) / "embeddings.npy").exists():
            yield run.signals_dir(index), run.seen_rows(index), f"round {index}'s"


def _nearest(pool: Pool, sample_id: str | None) -> dict[str, Any] | None:
    if sample_id is None:
        return None
    return {"id": sample_id, "record": pool.record(int(pool.rows_of([sample_id])[0]))}
