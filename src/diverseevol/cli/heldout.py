"""`heldout`: losses on held-out rows, and lm-eval's tasks, of a run's models or of any model."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options as o
from .settings import read_settings

if TYPE_CHECKING:
    from rich.table import Table

    from ..evaluation.heldout import Measured, Report, Rows
    from ..evaluation.lm_eval import TaskRequest

N_GROUPS = 20
WORDS = "A run folder; or, with --model, settings such as prompt.template=chat."
FILE = "Held-out rows in any of the pool's formats, instead of the run's own."
TASKS = "Tasks of lm-eval, with commas between (pip install 'diverseevol[lm-eval]')."

Words = Annotated[list[str] | None, typer.Argument(metavar="[RUN] [KEY=VALUE]…", help=WORDS)]
RoundName = Annotated[
    str, typer.Option("--round", help="A round's number, all (with the base model), base, last or best.")
]
File = Annotated[str | None, typer.Option("--file", help=FILE)]
Model = Annotated[str | None, typer.Option("--model", help="Measure this model on --file, without a run.")]
Group = Annotated[
    str | None, typer.Option("--group", help="A column of the rows; losses are given per value of it, too.")
]
Tasks = Annotated[str | None, typer.Option("--tasks", help=TASKS)]


def heldout(
    words: Words = None,
    round_name: RoundName = "all",
    file: File = None,
    model: Model = None,
    group: Group = None,
    tasks: Tasks = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts; with all groups.")] = False,
) -> None:
    """Loss a token and perplexity on held-out rows, by round and group.

    What is measured once is kept in the run folder.
    """
    from ..config.verbs import TasksConfig

    given, words = read_settings(TasksConfig, words)
    runs = [word for word in words if "=" not in word]
    if len(runs) > 1 or bool(runs) == bool(model):
        raise typer.BadParameter("give one run folder, or --model and --file")
    if model and not file:
        raise typer.BadParameter("--model needs --file, the held-out rows")
    if runs and len(words) > 1:
        raise typer.BadParameter("a run is measured with its own settings; key=value goes with --model")
    from ..base import dist

    dist.start()
    request = _request(tasks, given.limit, Path(given.task_folder) if given.task_folder else None)
    if model:
        report = _of_model(words, model, str(file), group, request)
    else:
        from ..evaluation.heldout import heldout as heldout_of_run
        from .watch import open_watch

        report = heldout_of_run(Path(runs[0]), round_name, file, group, request, open_watch(), _quiet)
    if dist.is_main():
        _print(report, as_json)


def _request(tasks: str | None, limit: int | None, folder: Path | None) -> TaskRequest | None:
    if tasks is None:
        return None
    from ..evaluation.lm_eval import TaskRequest

    return TaskRequest(
        tuple(dict.fromkeys(name.strip() for name in tasks.split(",") if name.strip())), limit, folder
    )


def _of_model(
    words: list[str] | None, model: str, file: str, group: str | None, request: TaskRequest | None
) -> Report:
    config = o.config_from(words, None, {"pool": file, "model": model, "rounds": 0}, needs_out=False)
    from ..evaluation.heldout import heldout_of_model
    from .watch import open_watch

    _quiet()
    with tempfile.TemporaryDirectory(prefix="diverseevol-") as folder:
        return heldout_of_model(config, group, request, Path(folder), open_watch())


def _quiet() -> None:
    from .run import quiet_libraries

    quiet_libraries()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)


def _print(report: Report, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(report), ensure_ascii=False))
        return
    from .tables import open_console

    console = open_console()
    console.print(models_table(report))
    if report.rows and report.rows.groups and any(one.heldout for one in report.models):
        console.print(groups_table(report.rows, report.models))
    for one in report.models:
        if one.n_trained_on:
            typer.echo(
                f"{one.model} was trained on {one.n_trained_on:,} of these rows: its loss on them proves "
                "nothing."
            )
    if report.not_kept:
        typer.echo(
            "Not measured, for the weights are not kept (keep: all keeps every round's): "
            f"{', '.join(report.not_kept)}."
        )


def models_table(report: Report) -> Table:
    """A line a model: losses, and each task's headline."""
    from .tables import new_table

    rows, models = report.rows, report.models
    losses = [one.heldout or {} for one in models]
    columns = {"samples": ["" if one.n_chosen is None else f"{one.n_chosen:,}" for one in models]}
    if rows:
        columns["loss"] = [_figure(found.get("loss")) for found in losses]
        columns["perplexity"] = [_figure(found.get("perplexity"), ",.2f") for found in losses]
    has_groups = any("by_group" in found for found in losses)
    if has_groups:
        columns["balanced"] = [_figure(found.get("balanced_loss")) for found in losses]
        columns["worst"] = [
            _figure(found.get("by_group", {}).get(found.get("worst_group"))) for found in losses
        ]
    figures = [task_figures(one) for one in models]
    for name in dict.fromkeys(name for of_model in figures for name in of_model):
        columns[name] = [_figure(of_model.get(name)) for of_model in figures]
    title = f"{rows.name}: {rows.n_rows:,} rows, {rows.n_tokens:,} trained tokens" if rows else "lm-eval"
    if has_groups:
        columns["worst group"] = [found.get("worst_group") or "" for found in losses]
    table = new_table(["model", *columns], title, ("model", "worst group"), is_wrapped=True)
    for one, *cells in zip(models, *columns.values(), strict=True):
        table.add_row(one.model, *cells)
    return table


def task_figures(one: Measured) -> dict[str, float]:
    """Each task's headline, by the task's name and the metric's."""
    from ..evaluation.lm_eval import headline

    figures = {}
    for key, of_tasks in one.tasks.items():
        limit = key.partition(" ")[2]
        for task, scores in of_tasks.items():
            best = headline(scores)
            if best:
                figures[" ".join(filter(None, (task, best[0], limit)))] = best[1]
    return figures


def groups_table(rows: Rows, models: Sequence[Measured]) -> Table:
    """A line a group: the loss of the first and of the last model that has one, the worst group first."""
    from ..evaluation.loss import perplexity
    from .tables import new_table

    with_losses = [one for one in models if "by_group" in (one.heldout or {})]
    shown = with_losses if len(with_losses) == 1 else [with_losses[0], with_losses[-1]]
    headings = ("group", "rows", "tokens", *(one.model for one in shown), "perplexity")
    table = new_table(headings, "Loss by group", texts=("group",), is_wrapped=True)
    last = (shown[-1].heldout or {})["by_group"]
    order = sorted(last, key=lambda name: -last[name])
    for name in order[:N_GROUPS]:
        losses = [(one.heldout or {})["by_group"].get(name) for one in shown]
        size = rows.groups[name]
        table.add_row(
            name,
            f"{size.n_rows:,}",
            f"{size.n_tokens:,}",
            *map(_figure, losses),
            _figure(perplexity(last[name]), ",.2f"),
        )
    if len(order) > N_GROUPS:
        table.caption = f"{len(order) - N_GROUPS} more groups, all with lower losses: --json names them."
    return table


def _figure(value: float | None, form: str = ".4f") -> str:
    return "-" if value is None else format(value, form)
