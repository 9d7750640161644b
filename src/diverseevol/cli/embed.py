"""`embed`: one pass of a model over a pool, without a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from . import options as o

KNOWN_SIGNALS = ("embedding",)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(epilog="Example: diverseevol embed --pool pool.jsonl --model MODEL --out embeddings")(embed)


def embed(
    pool: Annotated[str, typer.Option("--pool", help="Instruction data: file, folder, `datasets` folder or Hub id.")],
    model: Annotated[str, typer.Option("--model", help="Model or adapter: folder or Hub id.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for embeddings.npy (N × D, float32), ids.txt and the pool's index.")],
    signals: Annotated[str, typer.Option("--signals", help="What to compute: embedding.")] = "embedding",
    words: o.Words = None,
    preset: o.PresetOption = None,
    seed: o.SeedOption = None,
) -> None:
    """Embed a pool; the same command again resumes."""
    unknown = [name for name in signals.split(",") if name not in KNOWN_SIGNALS]
    if unknown:
        raise ConfigError(f"no signal is called {unknown[0]!r}. Known: {', '.join(KNOWN_SIGNALS)}.")
    config = o.config_from(words, preset, {"pool.path": pool, "model": model, "out": str(out), "seed": seed, "rounds": 0})
    from .. import dist
    from .run import quiet_libraries
    from .watch import open_watch

    watch = open_watch()
    dist.start()
    quiet_libraries()
    from ..opening import embed_folder

    report = embed_folder(config, watch)
    watch.note(f"Done: {out / 'embeddings.npy'}, {report.n_rows:,} × {report.width}, {report.tokens_per_second:,.0f} tokens/s")
