"""What a run's rounds are worth: `heldout`, losses and lm-eval's tasks; `diversity` of the subsets."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SelectionError
from . import options as o
from .render import figure, show_json, show_lines, show_table

if TYPE_CHECKING:
    import numpy as np

    from ..evaluation.heldout import Measured, Report
    from ..selection.vectors import FileVectors

N_GROUPS = 20
HELDOUT_WORDS = "A run folder; or, with --model, settings such as prompt.template=chat."
HELDOUT_ROUND = "A round's number, all (with the base model), base, last or best."
HELDOUT_FILE = "Held-out rows in any of the pool's formats, instead of the run's own."
GROUP = "A column of the rows; losses are given per value of it, too."
TASKS = "Tasks of lm-eval, with commas between (pip install 'diverseevol[lm-eval]')."
BY_MODEL = "model"
RUN = "A run folder; its finished rounds are measured, and the figures also go to its diversity.json."
VECTORS = (
    "The pool's vectors, a row each: .npy, .safetensors, Parquet, a folder of such shards, or FILE:NAME. "
    "`model`, the default with RUN: by --model, computed once and kept in the run folder."
)
MODEL = "The fixed model that RUN's pool is embedded with; if not given, its untuned base model."
CHOSEN = (
    "Without RUN: the subset, a row number or an id (of ids.txt beside the vectors) a line, or JSONL. None: "
    "all rows are measured."
)
VENDI = {"vendi_0.5": "q = 0.5", "vendi_1": "q = 1", "vendi_2": "q = 2", "vendi_inf": "q = ∞"}
DISTANCES = {
    "covering_radius": "covering radius",
    "mean_nearest_to_subset": "pool → subset",
    "mean_nearest_within": "within",
}
COVERAGE = {"cells_hit": "share hit", "cell_entropy": "entropy, bits"}
VENDI_TITLE = "Vendi score of order q: an effective number of different directions (rows of unit length)"
DISTANCES_TITLE = (
    "Euclidean distances between the vectors as they are: of the worst-covered pool row from its "
    "nearest chosen row; the mean of that over all pool rows; the mean over the chosen rows to the nearest "
    "other one"
)
HOW_TO_READ = (
    "Below a value: where nine of ten of {n} random sets of that size lie (5 % to 95 % quantile); + above "
    "it, - below. More diverse: a larger Vendi score, distance within, share, entropy; a smaller radius and "
    "distance to the subset. Whether a model tuned on it is better is another question."
)


def heldout(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN] [KEY=VALUE]…", help=HELDOUT_WORDS)
    ] = None,
    round_name: Annotated[str, typer.Option("--round", help=HELDOUT_ROUND)] = "all",
    file: Annotated[str | None, typer.Option("--file", help=HELDOUT_FILE)] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Measure this model on --file, without a run.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", help=GROUP)] = None,
    tasks: Annotated[str | None, typer.Option("--tasks", help=TASKS)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts; with all groups.")] = False,
) -> None:
    """Loss a token and perplexity on held-out rows, by round and group.

    What is measured once is kept in the run folder.
    """
    from ..config.verbs import TasksConfig

    given, words = o.read_settings(TasksConfig, words)
    runs = [word for word in words if "=" not in word]
    if len(runs) > 1 or bool(runs) == bool(model):
        raise typer.BadParameter("give one run folder, or --model and --file")
    if model and not file:
        raise typer.BadParameter("--model needs --file, the held-out rows")
    if runs and len(words) > 1:
        raise typer.BadParameter("a run is measured with its own settings; key=value goes with --model")
    from ..base import dist
    from .watch import open_watch, quiet_libraries

    def quiet() -> None:
        quiet_libraries()
        logging.getLogger("lm_eval").setLevel(logging.ERROR)

    dist.start()
    request = None
    if tasks is not None:
        from ..evaluation.lm_eval import TaskRequest

        names = tuple(dict.fromkeys(name.strip() for name in tasks.split(",") if name.strip()))
        request = TaskRequest(names, given.limit, Path(given.task_folder) if given.task_folder else None)
    if model:
        config = o.config_from(words, None, {"pool": file, "model": model, "rounds": 0}, needs_out=False)
        from ..evaluation.heldout import heldout_of_model

        quiet()
        with tempfile.TemporaryDirectory(prefix="diverseevol-") as folder:
            report = heldout_of_model(config, group, request, Path(folder), open_watch())
    else:
        from ..evaluation.heldout import heldout as heldout_of_run

        report = heldout_of_run(Path(runs[0]), round_name, file, group, request, open_watch(), quiet)
    if not dist.is_main():
        return
    if as_json:
        show_json(asdict(report))
    else:
        show_heldout(report)


def show_heldout(report: Report) -> None:
    """A line a model, a line a group, and what is to be known of them."""
    show_models(report)
    if report.rows and report.rows.groups and any(one.heldout for one in report.models):
        show_groups(report)
    for one in report.models:
        if one.n_trained_on:
            trained = f"{one.model} was trained on {one.n_trained_on:,} of these rows"
            typer.echo(f"{trained}: its loss on them proves nothing.")
    if report.not_kept:
        names = ", ".join(report.not_kept)
        typer.echo(f"Not measured, for the weights are not kept (keep: all keeps every round's): {names}.")


def show_models(report: Report) -> None:
    """A line a model: losses, and each task's headline."""
    rows, models = report.rows, report.models
    losses = [one.heldout or {} for one in models]
    columns = {"samples": ["" if one.n_chosen is None else f"{one.n_chosen:,}" for one in models]}
    if rows:
        columns["loss"] = [figure(found.get("loss")) for found in losses]
        columns["perplexity"] = [figure(found.get("perplexity"), ",.2f") for found in losses]
    has_groups = any("by_group" in found for found in losses)
    if has_groups:
        worst = [found.get("by_group", {}).get(found.get("worst_group")) for found in losses]
        columns["balanced"] = [figure(found.get("balanced_loss")) for found in losses]
        columns["worst"] = [figure(loss) for loss in worst]
    figures = [task_figures(one) for one in models]
    for name in dict.fromkeys(name for of_model in figures for name in of_model):
        columns[name] = [figure(of_model.get(name)) for of_model in figures]
    title = f"{rows.name}: {rows.n_rows:,} rows, {rows.n_tokens:,} trained tokens" if rows else "lm-eval"
    if has_groups:
        columns["worst group"] = [found.get("worst_group") or "" for found in losses]
    lines = zip([one.model for one in models], *columns.values(), strict=True)
    show_table(["model", *columns], lines, title=title, texts=("model", "worst group"), is_wrapped=True)


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


def show_groups(report: Report) -> None:
    """A line a group: the loss of the first and of the last model that has one, the worst group first."""
    from ..evaluation.loss import perplexity

    assert report.rows is not None
    by_model = {one.model: (one.heldout or {}).get("by_group") for one in report.models}
    named = [name for name, losses in by_model.items() if losses]
    shown = named if len(named) == 1 else [named[0], named[-1]]
    last: dict[str, float] = by_model[shown[-1]] or {}
    order = sorted(last, key=lambda name: -last[name])
    rows = []
    for name in order[:N_GROUPS]:
        size, losses = report.rows.groups[name], [(by_model[model] or {}).get(name) for model in shown]
        cells = (*map(figure, losses), figure(perplexity(last[name]), ",.2f"))
        rows.append((name, f"{size.n_rows:,}", f"{size.n_tokens:,}", *cells))
    headings = ("group", "rows", "tokens", *shown, "perplexity")
    show_table(headings, rows, title="Loss by group", texts=("group",), is_wrapped=True)
    if len(order) > N_GROUPS:
        typer.echo(f"{len(order) - N_GROUPS} more groups, all with lower losses: --json names them.")


def diversity(
    words: Annotated[list[str] | None, typer.Argument(metavar="[RUN] [KEY=VALUE]…", help=RUN)] = None,
    embeddings: Annotated[str, typer.Option("--embeddings", help=VECTORS)] = BY_MODEL,
    model: Annotated[str | None, typer.Option("--model", help=MODEL)] = None,
    chosen: Annotated[Path | None, typer.Option("--chosen", help=CHOSEN)] = None,
    as_json: o.AsJson = False,
) -> None:
    """Measure how diverse a subset is, round by round: Vendi scores, distances, coverage."""
    from ..config.verbs import DiversityConfig

    given, others = o.read_settings(DiversityConfig, words)
    run, labels, cells = o.only_run(others), given.labels, given.cells
    columns = Path(given.columns) if given.columns else None
    is_by_model = embeddings == BY_MODEL
    mistakes = {
        "give --labels or --cells, not both": labels is not None and cells is not None,
        "a run says itself what is chosen and what its records hold: leave out --chosen and --columns": run
        and (chosen or columns),
        "give --model or a file of --embeddings, not both": run and model and not is_by_model,
        "--model embeds the pool of a run: give the run folder": not run and model,
        "give a run folder, or a file of --embeddings": not run and is_by_model,
        "--labels is a column of which file? Give --columns": not run and labels is not None and not columns,
    }
    for mistake, is_made in mistakes.items():
        if is_made:
            raise typer.BadParameter(mistake)
    from ..base import dist
    from ..evaluation.diversity import diversity as measured
    from .watch import open_watch, quiet_libraries

    watch = open_watch()
    dist.start()
    how: dict[str, Any] = {"n_cells": cells, "random_sets": given.random_sets, "seed": given.seed}
    if run is None:
        from ..selection.vectors import open_vectors

        vectors = open_vectors(embeddings, None, watch)
        rows, column = _rows_and_labels(vectors, chosen, labels, columns)
        report = measured(vectors, rows, labels=column, watch=watch, **how)
        coverage_of = report.coverage_of if labels is None else f"labels in {labels!r}"
        report = replace(report, embeddings=embeddings, coverage_of=coverage_of)
    else:
        quiet_libraries()
        file = None if is_by_model else embeddings
        report = measured(file, run=run, model=model, labels=labels, watch=watch, **how)
    if not dist.is_main():
        return
    if as_json:
        show_json(report.values())
    else:
        show_diversity(report.values())


def _rows_and_labels(
    vectors: FileVectors, chosen: Path | None, labels: str | None, columns: Path | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The rows that `--chosen` names, and the column of labels; None each where it is not asked for."""
    from ..loop.select_files import open_ids, read_chosen, read_columns

    n_rows, rows, column = len(vectors), None, None
    if chosen is not None:
        rows = read_chosen(chosen, n_rows, open_ids(None, vectors.folder, n_rows))
        if not len(rows):
            to_do = "Give one a line, or leave --chosen out to measure all rows."
            raise SelectionError(f"{chosen} names no rows. {to_do}")
    if labels is not None:
        column = read_columns(columns, vectors.folder, frozenset({labels}), n_rows, "--labels")[labels]
    return rows, column


def show_diversity(found: dict[str, Any]) -> None:
    """A table a kind of measure: a line a round, each measure with the band of the random sets below it."""
    show_lines([f"{found['n_rows']:,} × {found['width']:,} of {found['embeddings']}"])
    n_without = found["n_without_label"]
    missing = f"; {n_without:,} rows have none" if n_without else ""
    coverage = f"Coverage of {found['n_cells']:,} {found['coverage_of']}{missing}"
    for title, names in ((VENDI_TITLE, VENDI), (DISTANCES_TITLE, DISTANCES), (coverage, COVERAGE)):
        show_lines(["", title])
        if not found["sets"]:  # the pool alone: no distances to a subset
            names = {name: heading for name, heading in names.items() if name in found["pool"]}
        show_table(("", "rows", *names.values()), _diversity_rows(found, names), texts=("",))
    if found["sets"] and found["random_sets"]:
        show_lines([HOW_TO_READ.format(n=found["random_sets"])], "dim")


def _diversity_rows(found: dict[str, Any], names: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for measured in found["sets"]:
        label = f"round {measured['round']}" if "round" in measured else "chosen"
        measures = [measured["measures"][name] for name in names]
        values = [digits(measure["value"]) + side_of_band(measure) for measure in measures]
        yield (label, f"{measured['n_chosen']:,}", *values)
        if found["random_sets"]:
            bands = (f"{digits(one['random_low'], 3)}–{digits(one['random_high'], 3)} " for one in measures)
            yield ("", "", *bands)
    yield ("all", f"{found['n_rows']:,}", *(digits(found["pool"].get(name)) + " " for name in names))


def side_of_band(measure: dict[str, float | None]) -> str:
    """Whether the value is above or below the random sets' band."""
    value, low, high = measure["value"], measure.get("random_low"), measure.get("random_high")
    if value is None or low is None or high is None:
        return " "
    return "+" if value > high else "-" if value < low else " "


def digits(value: float | None, n_digits: int = 4) -> str:
    """So many digits, without an exponent where that is readable."""
    if value is None:
        return "·"
    return f"{value:,.0f}" if 10 ** (n_digits - 1) <= abs(value) < 1e9 else f"{value:.{n_digits}g}"
