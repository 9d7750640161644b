"""`select`: rows of vectors in files, without a run; with a pool and a model, it makes the vectors first."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ConfigError, SelectionError
from . import options as o

if TYPE_CHECKING:
    from ..base.progress import Watch
    from ..selection import Signal

VECTORS = (
    "The vectors: .npy, .safetensors, Parquet or a folder of such shards; FILE:NAME names the tensor or the "
    "list column. With --pool: the folder where they are made first."
)
OUT = (
    "JSONL, a line a pick: id, row, rank, and what the strategy knew of it. Where nothing is to be picked: "
    "the folder for embeddings.npy (N × D, float32), ids.txt and the pool's index."
)
TOKENS = "Instead of --n-new: pick until the next pick would bring the picks' n_tokens, a column, above this."
CHOSEN = (
    "Chosen so far: a row number or an id a line, or JSONL with row or id. With none, k_center begins at "
    "the row farthest from the mean."
)
COLUMNS = (
    "JSONL, CSV or Parquet, a record a row, for strategies that read columns; a signals.parquet beside the "
    "vectors is read by itself."
)
COMPUTE = (
    "With --pool, commas between: embedding, loss, answer_loss (loss without the prompt), confidence, "
    "margin, entropy (over the response), paper_confidence, paper_margin, paper_entropy (raw logits, over "
    "all positions). Numbers go to signals.parquet."
)
OUTER = (
    "A sentence-transformers model instead of --model: folder or Hub id. It reads each good row's turns as "
    "plain text, system's left out."
)
IDS = "Their ids, one a line; if not given, ids.txt beside the vectors, where there is one."
WORDS = "The strategy's options; with --pool also a YAML file and keys, such as prompt.template=chat."


class SelectCommand(o.SettingsCommand):
    """Looks up which strategies there are when its help is shown, not whenever the program starts."""

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - click or typer's own
        """Write the help, with the strategies before the example."""
        from ..selection import known_strategies

        self.epilog = f"Strategies: {', '.join(known_strategies())}. {self.epilog}"
        super().format_help(ctx, formatter)


def select(
    out: Annotated[Path, typer.Option("--out", help=OUT)],
    embeddings: Annotated[str | None, typer.Option("--embeddings", help=VECTORS)] = None,
    n_new: Annotated[int | None, typer.Option("--n-new", min=1, help="How many to pick.")] = None,
    tokens: Annotated[int | None, typer.Option("--tokens", min=1, help=TOKENS)] = None,
    chosen: Annotated[Path | None, typer.Option("--chosen", help=CHOSEN)] = None,
    strategy: Annotated[str, typer.Option("--strategy", help="Which one; the list is below.")] = "k_center",
    ids: Annotated[Path | None, typer.Option("--ids", help=IDS)] = None,
    columns: Annotated[Path | None, typer.Option("--columns", help=COLUMNS)] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="For strategies that draw.")] = None,
    pool: o.PoolOption = None,
    model: Annotated[str | None, typer.Option("--model", help="Model or adapter that embeds --pool.")] = None,
    outer: Annotated[str | None, typer.Option("--outer", help=OUTER)] = None,
    compute: Annotated[str, typer.Option("--compute", "--signals", help=COMPUTE)] = "embedding",
    words: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help=WORDS)] = None,
) -> None:
    """Pick rows of embeddings; with --pool and a model, embed first, or embed only.

    The same command again resumes.
    """
    from ..loop.select_files import select_files
    from ..selection import make_strategy

    words, is_picking = words or [], n_new is not None or tokens is not None
    if (pool is None) != (model is None and outer is None) or (model and outer):
        raise typer.BadParameter("to embed, give --pool and either --model or --outer")
    if pool is None and embeddings is None:
        raise typer.BadParameter("give --embeddings to pick from, or --pool and --model to embed")
    if (n_new is None) == (tokens is None) and (is_picking or pool is None):
        raise typer.BadParameter("give either --n-new or --tokens")
    if (embeddings is None) == (is_picking or pool is None):
        raise typer.BadParameter("--embeddings names the vectors to pick from; to embed only, give --out")
    keys = [word for word in words if pool is not None and (not is_picking or _is_key(word))]
    if is_picking and (wrong := [word for word in keys if word.startswith(("selection.", "seed="))]):
        found = f"{wrong[0]!r} is a key of runs"
        raise typer.BadParameter(f"{found}. Give the strategy's own, as metric=cosine; --strategy; --seed")
    chooser = make_strategy(strategy, **o.key_values([word for word in words if word not in keys]))
    from ..base import dist
    from .watch import open_watch

    watch = open_watch()
    dist.start()
    if pool is not None:
        signals = _signals(compute)
        if is_picking:
            files = (chosen, ids, columns)
            _check_picking(out, files, strategy, chooser.needs, signals, Path(str(embeddings)))
        given: dict[str, Any] = {"pool": pool, "model": model or outer, "embed.model": outer, "rounds": 0}
        given |= {"out": embeddings or str(out), "seed": None if is_picking else seed}
        _embed(given, signals, keys, watch)
    if is_picking:
        started, source = time.perf_counter(), str(embeddings)
        beside: dict[str, Any] = {"chosen": chosen, "ids": ids, "columns": columns}
        n_picks, (n_rows, width) = select_files(
            source, out, chooser, n_new, tokens=tokens, seed=seed or 0, watch=watch, **beside
        )
        seconds = time.perf_counter() - started
        picked = f"{strategy} picked {n_picks:,} of {n_rows:,} × {width:,} in {source} into {out}"
        watch.note(f"Done: {picked}, {seconds:.1f} s")


def _signals(compute: str) -> tuple[Signal, ...]:
    """What --compute asks for, in its order."""
    from ..selection import Signal

    names = [name.strip() for name in compute.split(",")]
    unknown = [name for name in names if name not in set(Signal)]
    if unknown:
        raise ConfigError(f"no signal is called {unknown[0]!r}. Known: {', '.join(Signal)}.")
    return tuple(map(Signal, names))


def _check_picking(
    out: Path,
    files: Sequence[Path | None],
    strategy: str,
    needs: Collection[str],
    signals: Sequence[Signal],
    embeddings: Path,
) -> None:
    """Refuse what the picking would refuse, before hours of embedding; of `files` the last holds columns."""
    from ..loop.select_files import writable_folder
    from ..selection import Signal

    writable_folder(out)
    if lost := [file for file in files if file and not file.exists()]:
        raise SelectionError(f"there is no file {str(lost[0])!r}. Correct its name.")
    is_elsewhere = files[-1] is not None or (embeddings / "signals.parquet").exists()
    missing = [name for name in Signal if name in needs and name not in signals]
    if missing and not is_elsewhere:
        asked = f"{strategy} needs {', '.join(missing)}, and --compute asks for {', '.join(signals)}"
        raise SelectionError(f"{asked}. Give --compute {','.join([*signals, *missing])}.")


def _is_key(word: str) -> bool:
    """Whether a word is of the configuration: a file, or a key of it; other words are the strategy's."""
    from ..config import RunConfig

    key, equals, _ = word.partition("=")
    return not equals or key.partition(".")[0].strip() in RunConfig.model_fields


def _embed(given: dict[str, Any], signals: Sequence[Signal], words: list[str], watch: Watch) -> None:
    from ..selection import Signal

    config = o.config_from(words, None, given)
    if config.embed.model and set(signals) != {Signal.EMBEDDING}:
        asked = f"--outer gives embeddings alone; --compute asks for {', '.join(signals)}"
        raise ConfigError(f"{asked}. Give --model for the others.")
    from .watch import quiet_libraries

    quiet_libraries()
    from ..loop.embed_pool import embed_folder

    report, folder = embed_folder(config, watch, frozenset(signals)), Path(config.out)
    files = []
    if Signal.EMBEDDING in signals:
        files.append(f"{folder / 'embeddings.npy'} ({report.n_rows:,} × {report.width})")
    if set(signals) != {Signal.EMBEDDING}:
        files.append(f"{folder / 'signals.parquet'} ({report.n_rows:,} rows)")
    watch.note(f"Done: {', '.join(files)}, {report.tokens_per_second:,.0f} tokens/s")
