"""`export` and `report`: what a run folder holds, in other forms. No torch is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from . import options as o

FORMAT = "records, alpaca, sharegpt, messages, prompt_completion, parquet, llamafactory, axolotl or trl."
LABELS = "Show the coverage of this column's values; else the run's own groups, or clusters."


def export(
    run: o.RunArgument,
    format: Annotated[str, typer.Option("--format", help=FORMAT)],
    out: Annotated[Path, typer.Option("--out", help="File, or folder for llamafactory, axolotl and trl.")],
    round_name: Annotated[
        str, typer.Option("--round", help="A round's number, last, or best (lowest held-out loss).")
    ] = "last",
) -> None:
    """Write the chosen subset in the form another tool reads."""
    from ..data import Pool
    from ..data.export import export_rows
    from ..run import RunFolder
    from ..run.status import round_named

    folder = RunFolder(run)
    folder.config()  # says whether this is a run folder
    index = round_named(folder, round_name)
    rows = sorted(folder.chosen_before(index + 1))
    export_rows(Pool.open(folder.pool_dir), rows, format, out)
    typer.echo(f"Wrote {len(rows)} samples of round {index} as {format} to {out}")


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN…", help="Run folders, or the folder of one comparison.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The page, FILE.html.")],
    map_: Annotated[
        Literal["pca", "umap"],
        typer.Option("--map", help="How the map of the pool is drawn; umap needs the extra umap."),
    ] = "pca",
    labels: Annotated[str | None, typer.Option("--labels", help=LABELS)] = None,
) -> None:
    """Write one HTML page on a run, several runs or a comparison: figures, a map, every pick with its reason.

    It fetches nothing.
    """
    from ..report import write_report
    from .watch import open_watch

    write_report(runs, out, map_, labels, open_watch())
    typer.echo(f"Wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")
