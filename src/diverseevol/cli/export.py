"""`export`: the chosen subset for other tools; loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .status import RunArgument


def export(
    run: RunArgument,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="records, alpaca, sharegpt, messages, prompt_completion, parquet, llamafactory, "
            "axolotl or trl.",
        ),
    ],
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
    folder.config()
    index = round_named(folder, round_name)
    rows = sorted(folder.chosen_before(index + 1))
    export_rows(Pool.open(folder.pool_dir), rows, format, out)
    typer.echo(f"Wrote {len(rows)} samples of round {index} as {format} to {out}")
