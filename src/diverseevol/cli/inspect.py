"""`explain` and `export`: what a run folder says, without loading torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def explain(
    run: RunArgument,
    sample: Annotated[str, typer.Argument(metavar="ID", help="A sample's id, or its pool row.")],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say when and why a sample was chosen, or how near to a chosen one it lies."""
    from ..run.status import explain_sample

    found = explain_sample(run, sample)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    at = f"pool row {found['row']}" if found["row"] is not None else "not in the pool"
    typer.echo(f"{found['id']} ({at}; {found['source']}, record {found['source_row']})")
    typer.echo(found["why"])
    typer.echo(_short(found["record"]))
    if found.get("nearest"):
        typer.echo(f"nearest chosen: {found['nearest']['id']}\n{_short(found['nearest']['record'])}")


def export(
    run: RunArgument,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="records, alpaca, sharegpt, messages, prompt_completion, parquet, llamafactory, axolotl or trl.",
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


def _short(record: dict[str, Any], width: int = 400) -> str:
    text = json.dumps(record, ensure_ascii=False)
    return f"  {text if len(text) <= width else text[:width] + '…'}"
