"""A split taken off the pool before the start: its loss is measured every round, and it is never chosen.

Rows are drawn by their content, not by their place: each distinct record has a pseudo-random number that
depends on the seed and on its id alone, and the smallest ones are drawn. So the split is the same for every
strategy and for any order of the pool's file, and a pool that grows keeps most of it. With a column, each
group gives in proportion to its distinct records (largest remainders), at least one where it has two, and
keeps at least one. Copies of a held-out row (equal records) stay in the pool's files but are never chosen
either.
Cost: a sort of N ids; with a column, one look at every record.
Shape letters: N pool rows, C distinct records, G groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..base.files import write_text
from ..base.progress import Watch
from ..base.share_out import share_out
from ..config import PoolConfig
from ..errors import ConfigError
from .columns import group_names
from .ids import N_HASH, priorities
from .pool import Pool


def save_holdout(
    config: PoolConfig,
    pool: Pool,
    listed_rows: NDArray[np.int64],
    seed: int,
    watch: Watch,
    *,
    ids_file: Path,
    copies_file: Path,
    records_file: Path,
) -> None:
    """Draw what `pool.holdout` asks for and write it down, once a run: a resumed one reads it back.

    Args:
        config: How many rows, and by which column.
        pool: The rows.
        listed_rows: Rows on the user's lists, which are not drawn.
        seed: Decides, with each row's id, which ones.
        watch: Is told.
        ids_file: Receives the ids of the drawn rows.
        copies_file: Receives those of their copies in the pool, if there are any.
        records_file: Receives their records.

    Raises:
        ConfigError: the pool has too few rows for it, or no such column.
    """
    if ids_file.exists():
        return
    groups = group_names(pool, config.holdout_by, "pool.holdout_by") if config.holdout_by else None
    rows = draw_holdout(pool.ids, config.holdout or 0, seed, groups, listed_rows)
    copies = np.setdiff1d(pool.rows_also_in(pool.take(rows)), rows)
    write_text(records_file, "".join(pool.line_with_id(row) for row in rows.tolist()))
    if len(copies):
        write_text(copies_file, "".join(f"{pool.id(row)}\n" for row in copies.tolist()))
    # Last: it says that all is there.
    write_text(ids_file, "".join(f"{pool.id(row)}\n" for row in rows.tolist()))
    copied = f", and {len(copies):,} copies of them left out of every choice" if len(copies) else ""
    watch.note(f"held out: {len(rows):,} rows{copied}; see {ids_file}")


def draw_holdout(
    ids: NDArray[np.str_],
    size: int | float,
    seed: int,
    groups: Sequence[str] | None = None,
    listed_rows: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Draw rows of different contents, ascending.

    Args:
        ids: The pool's ids, [N]; what stands before the counter tells the content.
        size: How many rows, or below 1 the share of the pool's rows.
        seed: Decides, with each row's id, which ones.
        groups: Each row's group, [N]; none: all are one.
        listed_rows: Rows that may not be drawn, nor their copies.
    """
    contents = ids.astype(f"U{N_HASH}")
    names = np.zeros(len(ids), dtype=np.int64)
    if groups is not None:
        names = np.unique(np.asarray(groups), return_inverse=True)[1]
    # Equal contents side by side; of equal ones the first row stands for them.
    order = np.lexsort((names, contents))
    first_C = order[np.r_[True, contents[order][1:] != contents[order][:-1]]]
    group_C, may_C = names[first_C], np.ones(len(first_C), dtype=bool)
    if listed_rows is not None:
        may_C = ~np.isin(contents[first_C], contents[listed_rows])
    n = size if isinstance(size, int) else max(1, round(size * len(ids)))
    n_G, may_G = np.bincount(group_C), np.bincount(group_C, may_C).astype(np.int64)
    room_G = np.minimum(n_G - 1, may_G)  # one of each group stays in the pool
    if n > room_G.sum():
        other = "" if groups is None else " or choose another pool.holdout_by"
        by = "" if groups is None else f" (of each of the {len(n_G)} groups one stays)"
        raise ConfigError(
            f"pool.holdout asks for {n} rows, but of the pool's {len(ids)} rows with {len(first_C)} "
            f"different contents only {room_G.sum()} can be held out{by}. Lower pool.holdout{other}."
        )
    least_G = np.minimum(room_G, 1)
    if least_G.sum() > n:
        least_G[:] = 0
    take_G = least_G + share_out(n - int(least_G.sum()), n_G.astype(np.float64), room_G - least_G, least_G)
    hashes_C = np.array([int(content, 16) for content in contents[first_C]], dtype=np.uint64)
    rank_C = priorities(hashes_C, np.zeros(len(first_C), dtype=np.int64), seed)
    drawn: list[NDArray[np.int64]] = []
    for group, n_taken in enumerate(take_G.tolist()):
        of_group = np.flatnonzero(may_C & (group_C == group))
        drawn.append(first_C[of_group[np.argsort(rank_C[of_group], kind="stable")[:n_taken]]])
    return np.sort(np.concatenate(drawn))
