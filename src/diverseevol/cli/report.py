"""`report`: the page that people show to their colleagues."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN…", help="Run folders, or the folder of one comparison.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The page, FILE.html.")],
    map_: Annotated[
        Literal["pca", "umap"],
        typer.Option("--map", help="How the map of the pool is drawn; umap needs the extra umap."),
    ] = "pca",
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            help="Show the coverage of this column's values; else the run's own groups, or clusters.",
        ),
    ] = None,
) -> None:
    """Write one HTML page on a run, several runs or a comparison: figures, a map, every pick with its reason.

    It fetches nothing.
    """
    from ..report import write_report
    from .watch import open_watch

    write_report(runs, out, map_, labels, open_watch())
    typer.echo(f"Wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
