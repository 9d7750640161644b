"""`select`: rows of vectors in files, without a run and without the vectors in memory."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from ..errors import ConfigError, NonFiniteError, PoolExhaustedError

if TYPE_CHECKING:
    import numpy as np

    from ..selection import Selection, Signals, Strategy
    from .select_files import Ids

KINDS = (
    ".npy, .safetensors, Parquet or a folder of such shards; FILE:NAME names the tensor or the list column."
)
COUNT = "How many to pick."
TOKENS = "Instead of --n-new: pick until the next pick would bring the picks' n_tokens, a column, above this."
LINES = (
    "Chosen so far: a row number or an id a line, or JSONL with row or id. With none, k_center begins at "
    "the row farthest from the mean."
)
RECORDS = (
    "JSONL, CSV or Parquet, a record a row, for strategies that read columns; a signals.parquet beside the "
    "vectors is read by itself."
)
BESIDE = "Their ids, one a line; if not given, ids.txt beside the vectors, where there is one."
N_SHOWN = 5

Embeddings = Annotated[str, typer.Option("--embeddings", help=f"The vectors: {KINDS}")]
Number = Annotated[int | None, typer.Option("--n-new", min=1, help=COUNT)]
Tokens = Annotated[int | None, typer.Option("--tokens", min=1, help=TOKENS)]
Out = Annotated[
    Path, typer.Option("--out", help="JSONL, a line a pick: id, row, rank, and what the strategy knew of it.")
]
Chosen = Annotated[Path | None, typer.Option("--chosen", help=LINES)]
Name = Annotated[str, typer.Option("--strategy", help="Which one; the list is below.")]
IdsFile = Annotated[Path | None, typer.Option("--ids", help=BESIDE)]
Columns = Annotated[Path | None, typer.Option("--columns", help=RECORDS)]
Seed = Annotated[int, typer.Option("--seed", help="For strategies that draw.")]
Words = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="The strategy's options.")]


class SelectCommand(TyperCommand):
    """Looks up which strategies there are when its help is shown, not whenever the program starts."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - click or typer's own
        """Write the help, with the strategies before the example."""
        from ..selection import known_strategies

        self.epilog = f"Strategies: {', '.join(known_strategies())}. {self.epilog}"
        super().format_help(ctx, formatter)


def select(
    embeddings: Embeddings,
    out: Out,
    n_new: Number = None,
    tokens: Tokens = None,
    chosen: Chosen = None,
    strategy: Name = "k_center",
    ids: IdsFile = None,
    columns: Columns = None,
    seed: Seed = 0,
    words: Words = None,
) -> None:
    """Pick rows of embeddings in files, which may be larger than the memory.

    Killed, the same command of k_center goes on.
    """
    from ..selection import Signal, Signals, make_strategy

    if (n_new is None) == (tokens is None):
        raise typer.BadParameter("give either --n-new or --tokens")
    options = _options(words or [])
    chooser = make_strategy(strategy, **options)
    folder = _writable_folder(out)
    from ..base import dist
    from ..selection.vectors import open_vectors
    from .select_files import N_TOKENS, open_ids, read_chosen, read_columns
    from .select_journal import open_journal
    from .watch import open_watch

    started, watch = time.perf_counter(), open_watch()
    dist.start()
    vectors = open_vectors(embeddings, folder, watch)
    n_rows, width = vectors.shape
    names = open_ids(ids, vectors.folder, n_rows)
    chosen_rows = read_chosen(chosen, n_rows, names)
    n_left = n_rows - len(chosen_rows)
    if (n_new or 1) > n_left:
        left = f"{n_left} of the {n_rows} rows of {embeddings} are still unchosen"
        raise PoolExhaustedError(f"cannot select {n_new or 'any'} rows: {left}. Lower --n-new.")
    lengths = frozenset() if tokens is None else frozenset({N_TOKENS})
    table = read_columns(columns, vectors.folder, (chooser.needs | lengths) - {Signal.EMBEDDING}, n_rows)
    signals = Signals(n_rows, vectors, table, watch=watch)

    journal = open_journal(out, signals, chosen_rows, chooser)

    def pick(n: int) -> Selection:
        return _picks(journal or chooser, signals, chosen_rows, n, seed, names)

    if tokens is None:
        picks = pick(n_new or 0)
    else:
        from ..selection.api import select_within

        picks = select_within(pick, signals.numbers(N_TOKENS, "--tokens"), n_left, tokens)
    dist.on_main(lambda: _write(out, picks, names))
    if journal:
        dist.on_main(journal.forget)
    seconds = time.perf_counter() - started
    watch.note(
        f"Done: {strategy} picked {len(picks.rows):,} of {n_rows:,} × {width:,} in {embeddings} into {out}, "
        f"{seconds:.1f} s"
    )


def _options(words: Sequence[str]) -> dict[str, Any]:
    from ..config import parse_yaml
    from ..config.load import put

    options: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{word!r} is not of the form key=value, such as metric=cosine")
        put(options, key.strip(), parse_yaml(text, f"the value of {key}"))
    return options


def _writable_folder(out: Path) -> Path:
    """The folder that `out` is in or, until it is made, the one that it will be made in."""
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder. Give a file, such as {out / 'picks.jsonl'}.")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigError(
            f"--out {out} cannot be written: {folder}: {error.strerror}. Give another place."
        ) from None
    return folder


def _picks(
    chooser: Strategy, signals: Signals, chosen_rows: np.ndarray, n: int, seed: int, names: Ids | None
) -> Selection:
    """Select; where the vectors hold NaN, name the ids of the first such rows."""
    import numpy as np

    try:
        return chooser.select(signals, chosen_rows, n, np.random.default_rng(seed))
    except NonFiniteError as error:
        if not error.rows or names is None:
            raise
        rows = error.rows[:N_SHOWN]
        ids = names.of_rows(rows)
        shown = ", ".join(f"{ids[row]} (row {row})" for row in rows)
        raise NonFiniteError(
            f"NaN or infinite values in the embeddings of {shown}. Embed these anew, or leave them out.", rows
        ) from None


def _write(out: Path, picks: Selection, names: Ids | None) -> None:
    """Write the picks, and beside them the rows that guards kept out, if any."""
    from ..base.files import remove, write_jsonl

    nearest = picks.columns["nearest_row"].tolist() if "nearest_row" in picks.columns else []
    skipped = [(guard, row) for guard, rows in picks.skipped.items() for row in rows.tolist()]
    ids = names.of_rows({*picks.rows.tolist(), *nearest, *(row for _, row in skipped)}) if names else {}

    def named(row: int) -> dict[str, Any]:
        return {"id": ids[row], "row": row} if names else {"row": row}

    lines = []
    for rank, row in enumerate(picks.rows.tolist()):
        line = {**named(row), "rank": rank} | {
            name: _plain(column[rank].item()) for name, column in picks.columns.items()
        }
        if names and nearest:
            line["nearest_id"] = ids.get(nearest[rank])
        lines.append(line)
    write_jsonl(out, lines)
    skipped_file = out.with_suffix(".skipped.jsonl")
    remove(skipped_file)
    if skipped:
        write_jsonl(skipped_file, ({**named(row), "guard": guard} for guard, row in skipped))


def _plain(value: Any) -> Any:  # noqa: ANN401 - a number, a text or a bool
    return None if isinstance(value, float) and not math.isfinite(value) else value
