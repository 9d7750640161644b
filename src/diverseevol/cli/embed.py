"""`embed`: one pass of a model over a pool, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ConfigError
from . import options as o

if TYPE_CHECKING:
    from ..selection import Signal

SIGNALS_HELP = (
    "What to compute, with commas between: embedding, loss, answer_loss (loss without the prompt), "
    "confidence, margin, entropy "
    "(over the response), paper_confidence, paper_margin, paper_entropy (raw logits, over all positions). "
    "Numbers go to signals.parquet."
)
OUTER_HELP = (
    "A sentence-transformers model instead of --model: folder or Hub id. It reads each good row's turns as "
    "plain text, system's left out."
)


def embed(
    pool: Annotated[
        str, typer.Option("--pool", help="Instruction data: file, folder, `datasets` folder or Hub id.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Folder for embeddings.npy (N × D, float32), ids.txt and the pool's index."
        ),
    ],
    model: Annotated[str | None, typer.Option("--model", help="Model or adapter: folder or Hub id.")] = None,
    outer: Annotated[str | None, typer.Option("--outer", help=OUTER_HELP)] = None,
    signals: Annotated[str, typer.Option("--compute", "--signals", help=SIGNALS_HELP)] = "embedding",
    words: o.Words = None,
) -> None:
    """Embed a pool; the same command again resumes."""
    asked = asked_signals(signals)
    if (model is None) == (outer is None):
        raise typer.BadParameter("give either --model or --outer")
    given = {
        "pool": pool,
        "model": model or outer,
        "embed.model": outer,
        "out": str(out),
        "rounds": 0,
    }
    config = o.config_from(words, None, given)
    if config.embed.model and asked != {"embedding"}:
        raise ConfigError(
            f"--outer gives embeddings alone; --compute asks for {signals}. Give --model for the others."
        )
    from ..base import dist
    from .run import quiet_libraries
    from .watch import open_watch

    watch = open_watch()
    dist.start()
    quiet_libraries()
    from ..loop.embed_pool import embed_folder

    report = embed_folder(config, watch, asked)
    shapes = {
        "embeddings.npy": f"{report.n_rows:,} × {report.width}",
        "signals.parquet": f"{report.n_rows:,} rows",
    }
    written = [
        name
        for name, is_asked in zip(shapes, ("embedding" in asked, asked != {"embedding"}), strict=True)
        if is_asked
    ]
    files = ", ".join(f"{out / name} ({shapes[name]})" for name in written)
    watch.note(f"Done: {files}, {report.tokens_per_second:,.0f} tokens/s")


def asked_signals(words: str) -> frozenset[Signal]:
    """The signals that `--compute` names.

    Raises:
        ConfigError: there is none of a name.
    """
    from ..selection import Signal

    names = [name.strip() for name in words.split(",")]
    unknown = [name for name in names if name not in set(Signal)]
    if unknown:
        raise ConfigError(f"no signal is called {unknown[0]!r}. Known: {', '.join(Signal)}.")
    return frozenset(map(Signal, names))
