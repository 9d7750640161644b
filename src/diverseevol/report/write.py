"""The page: one HTML file with everything in it, which fetches nothing and runs no script but its own.

A Content-Security-Policy with the scripts' hashes keeps anything else from running, whatever a text might
smuggle in; texts are escaped all the same, by jinja2's autoescape and `script_json`. Of what is missing the
page says what would add it. plotly.js (vendor/, MIT) is the basic bundle of the npm package
plotly.js-basic-dist-min, unchanged.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .. import __version__
from ..base.files import write_text
from ..base.progress import SILENT, Watch
from ..config import yaml_text
from ..errors import ConfigError
from .cost import cost_figure, costs_of, side_by_side
from .coverage import coverage_figure, lengths_figure
from .curves import difference_figures, diversity_figures, quality_figures
from .figure import shown
from .findings import judged_rounds, problems_of
from .map import Method, project
from .runs import Subject, open_subject
from .samples import find_vectors, gather_samples, table_of_picks
from .text import script_json, shortened, visible


def write_report(
    paths: Sequence[Path], out: Path, method: Method = "pca", labels: str | None = None, watch: Watch = SILENT
) -> None:
    """Write the page of runs.

    Args:
        paths: Run folders, or the folder of one comparison.
        out: The page.
        method: How the map is drawn.
        labels: The column whose values' coverage is shown.
        watch: Sees the progress.

    Raises:
        RunFolderError: a folder is neither a run nor a comparison, or has no finished round.
        ConfigError: `out` is no HTML file, no record has the column, or UMAP is not installed.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--out is {str(out)!r}, which is no page's name. Give a name that ends in .html.")
    subject, name = open_subject(paths), paths[0].name
    options = [*(["--map", method] if method != "pca" else []), *(["--labels", labels] if labels else [])]
    run, found_here = subject.main, ("versions", "fingerprint")
    config = {key: value for key, value in run.config.items() if key not in found_here}
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page.finalize = lambda value: visible(value) if type(value) is str else value
    page.filters |= {"shortened": shortened, "shown": shown}
    scripts = "\n".join(_part(f"page/{part}.js") for part in ("charts", "map", "table"))
    script, plotly = f"(() => {{\n'use strict';\n{scripts}\n}})();\n", _part("vendor/plotly-basic.min.js")
    content = _gather(subject, method, labels, watch)
    # Our own files; of what comes from a run nothing is marked as safe but the JSON that script_json escaped.
    own = {"style": _part("page/page.css"), "plotly": plotly, "script": script}
    own |= {"data": script_json(_data(content)), "script_hashes": f"{_hash(plotly)} {_hash(script)}"}
    text = page.from_string(_part("page/page.html")).render(
        **{key: Markup(text) for key, text in own.items()},
        **content,
        version=__version__,
        name=name,
        subject=subject,
        run=run,
        config_text=yaml_text(config),
        run_again=shlex.join(["diverseevol", "run", str(run.folder.config_file), "--out", "NEW_FOLDER"]),
        page_again=shlex.join(["diverseevol", "report", *map(str, paths), "--out", str(out), *options]),
    )
    write_text(out, text)


def _gather(subject: Subject, method: Method, labels: str | None, watch: Watch) -> dict[str, Any]:
    """Everything that the page shows of runs, by the names that it has in page.html.

    The runs on the map and in the table of picks are the first of each arm over the same pool; bills,
    problems and examples, of the last judged round, are those of the run that is looked at closely.
    """
    run = subject.main
    runs = [each for each in subject.one_an_arm or [run] if np.array_equal(run.pool.ids, each.pool.ids)]
    costs = costs_of(run)
    with watch.task("report", 4.0, "steps") as task:
        figures = {
            "differences": list(difference_figures(subject)),
            "quality": list(quality_figures(subject)),
            "diversity": list(diversity_figures(subject)),
            "cost": list(cost_figure(costs)),
        }
        task.advance()
        vectors = find_vectors(run)
        picks = table_of_picks(runs, vectors)
        task.advance()
        chosen = np.concatenate([each.chosen_rows for each in runs])
        others = np.arange(len(run.pool)) if vectors is None else vectors.rows_N
        samples = gather_samples(run.pool, picks, chosen, others)
        placed = None if vectors is None else project(vectors, np.array(samples["rows"]), method)
        task.advance()
        figures["coverage"] = list(coverage_figure(subject, runs, vectors, labels))
        figures["lengths"] = list(lengths_figure(subject, runs))
        task.advance()
    return {
        "shown_runs": runs,
        "figures": figures,
        "costs": costs,
        "side_by_side": side_by_side(subject),
        "map": placed,
        "samples": samples,
        "picks": picks,
        "problems": list(problems_of(run)),
        "examples": {judged.name: judged.examples() for judged in judged_rounds(run)},
    }


def _data(content: dict[str, Any]) -> dict[str, Any]:
    """For the page's scripts; samples are named by their pool rows."""
    figures, placed = [figure for group in content["figures"].values() for figure in group], content["map"]
    xy = placed and [[float(f"{value:.5g}") for value in at] for at in placed.xy_P2.tolist()]
    runs = []
    for run in content["shown_runs"]:
        rows = [[line["row"] for line in picks] for picks in run.picks]
        runs.append({"name": run.name, "rounds": list(zip(run.rounds, rows, strict=True))})
    return {
        "figures": {figure.key: {"data": figure.traces, "layout": figure.layout} for figure in figures},
        "map": placed and {"rows": placed.rows_P.tolist(), "xy": xy},
        "samples": content["samples"],
        "picks": content["picks"],
        "runs": runs,
    }


def _part(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
