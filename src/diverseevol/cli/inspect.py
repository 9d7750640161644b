"""`status`, `explain` and `export`: what a run folder says, without loading torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command(epilog="Example: diverseevol status runs/a")(status)
    app.command(epilog="Example: diverseevol explain runs/a 3f9c0d7a1b2e4c58")(explain)
    app.command(epilog="Example: diverseevol export runs/a --format llamafactory --out data/chosen")(export)


def status(run: RunArgument, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Say which rounds are done, what is under way and what it cost so far."""
    from ..progress import duration
    from ..status import run_status
    from .run import round_line

    state = run_status(run)
    if as_json:
        typer.echo(json.dumps(state, ensure_ascii=False))
        return
    typer.echo(
        f"{run}: {state['state']}; {state['strategy']}, pool {state['n_pool']:,} rows ({state['n_quarantined']:,} in quarantine)"
    )
    for metrics in state["rounds"]:
        typer.echo(round_line(metrics))
    if state["stopped"]:
        typer.echo(f"stopped by itself: {state['stopped']}")
    if state["stage"]:
        typer.echo(f"round {state['round']}: at stage {state['stage']}")
    if state["progress"]:
        for line in progress_lines(state["progress"]):
            typer.echo(line)
    seconds = sum(bill["seconds"] for metrics in state["rounds"] for bill in metrics.get("stages", {}).values())
    typer.echo(
        f"{len(state['rounds'])} of {state['n_rounds']} rounds done, {duration(seconds)} so far, {state['bytes'] / 1e6:,.0f} MB on disk"
    )


def progress_lines(progress: dict[str, Any]) -> list[str]:
    """Predicted beside measured, a line a stage, and the time that is left."""
    from ..progress import duration

    lines = []
    for stage in ("train", "embed"):
        tokens, flops = progress[stage]["tokens"], progress[stage]["flops"]
        if flops["measured"]:
            lines.append(
                f"{stage}: {tokens['predicted']:,.0f} tokens predicted, {tokens['measured']:,.0f} measured; FLOPs {flops['predicted']:.3g} "
                f"predicted, {flops['measured']:.3g} measured ({flops['measured'] / flops['predicted'] - 1:+.0%})"
            )
    memory = progress["memory"]
    if memory["predicted"] and memory["measured"]:
        lines.append(f"peak memory: {memory['predicted'] / 1e9:.2f} GB predicted, {memory['measured'] / 1e9:.2f} GB measured")
    if progress["seconds_left"]:
        lines.append(f"about {duration(progress['seconds_left'])} left, at the rate of the finished rounds")
    return lines


def explain(
    run: RunArgument,
    sample: Annotated[str, typer.Argument(metavar="ID", help="A sample's id, or its pool row.")],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say when and why a sample was chosen, or how near to a chosen one it lies."""
    from ..status import explain_sample

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
            "--format", help="records, alpaca, sharegpt, messages, prompt_completion, parquet, llamafactory, axolotl or trl."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="File, or folder for llamafactory, axolotl and trl.")],
    round_name: Annotated[str, typer.Option("--round", help="A round's number, last, or best (lowest held-out loss).")] = "last",
) -> None:
    """Write the chosen subset in the form another tool reads."""
    from ..pool import Pool
    from ..pool.export import export_rows
    from ..run_folder import RunFolder
    from ..status import round_named

    folder = RunFolder(run)
    folder.config()
    index = round_named(folder, round_name)
    rows = sorted(folder.chosen_before(index + 1))
    export_rows(Pool.open(folder.pool_dir), rows, format, out)
    typer.echo(f"Wrote {len(rows)} samples of round {index} as {format} to {out}")


def _short(record: dict[str, Any], width: int = 400) -> str:
    text = json.dumps(record, ensure_ascii=False)
    return f"  {text if len(text) <= width else text[:width] + '…'}"
