"""The page: one HTML file with everything in it, which fetches nothing and runs no script but its own.

A Content-Security-Policy with the scripts' hashes keeps anything else from running, whatever a text might smuggle in; texts are
escaped all the same, by jinja2's autoescape and `script_json`. plotly.js (vendor/, MIT) is the basic bundle of the npm package
plotly.js-basic-dist-min, unchanged.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .. import __version__
from ..config import yaml_text
from .content import Content
from .cost import SIDE_BY_SIDE, side_by_side
from .differences import DIFFERENCES, ENDS, difference_rows, end_rows
from .picks import N_TABLE, for_table
from .runs import RunData
from .text import plain, script_json

SCRIPTS = ("charts.js", "map.js", "table.js")
PARTS = {
    "summary": "Summary",
    "quality": "Quality",
    "diversity": "Diversity",
    "map": "Map",
    "picks": "Picks",
    "coverage": "Coverage and lengths",
    "cost": "Cost",
    "data": "Data problems",
    "verdicts": "Verdicts",
    "environment": "Environment",
}


def render(content: Content, out: str, options: Sequence[str] = ()) -> str:
    """Write the page as text.

    Args:
        content: What it shows.
        out: The file's name as it was given, for the command that makes it again.
        options: What else was given.
    """
    subject, run = content.subject, content.subject.main
    names = [each.name for each in content.shown_runs]
    rows = for_table(content.picks, content.samples, names)
    data = {
        "charts": {chart.key: chart.as_values() for chart in content.charts},
        "map": content.map_values(),
        "samples": content.samples.as_values(run.pool),
        "picks": rows,
        "runs": names,
    }
    script = "(() => {\n'use strict';\n" + "\n".join(_part(f"page/{name}") for name in SCRIPTS) + "\n})();\n"
    plotly = _part("vendor/plotly-basic.min.js")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    # All of these are our own files; nothing that comes from a run is ever marked as safe but the JSON that script_json escaped.
    trusted = {"style": _part("page/page.css"), "plotly": plotly, "script": script, "data": script_json(data)}
    return environment.from_string(_part("page/page.html")).render(
        **{name: Markup(text) for name, text in trusted.items()},
        script_hashes=Markup(" ".join(_hash(text) for text in (plotly, script))),
        version=__version__,
        title=plain(_title(content), 120),
        facts=_facts(content),
        parts=PARTS.items(),
        content=content,
        differences=(DIFFERENCES, difference_rows(subject)),
        side_by_side=(ENDS, end_rows(subject)) if subject.comparison else (SIDE_BY_SIDE, side_by_side(subject)),
        map_note=_map_note(content),
        picks_note=_picks_note(content, rows),
        made=_made(run),
        run_again=_command("run", str(run.folder.config_file), "--out", "NEW_FOLDER"),
        page_again=_command("report", *map(str, subject.paths), "--out", out, *options),
    )


def _part(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _title(content: Content) -> str:
    subject = content.subject
    if len(subject.runs) == 1:
        return subject.main.name
    return (
        f"{subject.paths[0].name}: {' against '.join(subject.arms)}"
        if subject.comparison
        else " against ".join(run.name for run in subject.runs)
    )


def _facts(content: Content) -> list[str]:
    config = content.subject.main.config
    strategy = config.get("selection", {}).get("strategy", "?")
    facts = [
        f"strategy {strategy}",
        f"model {config.get('model', '?')}",
        f"pool {config.get('pool', {}).get('path', '?')}",
        f"seed {config.get('seed', '?')}",
    ]
    if len(content.subject.runs) > 1:
        facts = [f"{len(content.subject.runs)} runs", *facts[1:3]]
    return [plain(fact, 200) for fact in facts]


def _map_note(content: Content) -> str:
    samples = content.samples
    if content.projection is None:
        return ""
    n, n_pool = len(samples.rows_P), samples.n_pool
    text = content.projection.note
    if n < n_pool:
        text += f" Shown are {n:,} of the {n_pool:,} rows: all picks, what was left out near them, and a random part of the rest."
    if samples.n_named_left_out:
        text += f" There was no room for {samples.n_named_left_out:,} of the picks and their neighbours."
    left = [run.name for run in content.subject.one_an_arm if run not in content.shown_runs]
    return text + (f" Not on the map, for their pools are others: {', '.join(left)}." if left else "")


def _picks_note(content: Content, rows: list[dict[str, Any]]) -> str:
    n, n_all = len(rows), len(content.picks)
    text = "Open a sample to see its answer, what it was nearest to, and what was left out nearby."
    if n < n_all:
        text += f" The table holds {n:,} of {n_all:,} picks, the first of each run (room for {N_TABLE:,}); picks.csv beside the page has all."
    elif len(content.shown_runs) < len(content.subject.runs):
        text += " One run of each strategy is shown."
    return text


def _made(run: RunData) -> dict[str, Any]:
    """With what the run was made: versions of packages, hashes of the pool and the models, the whole configuration."""
    config = {key: value for key, value in run.config.items() if key not in ("versions", "fingerprint")}
    lines = yaml_text(config).splitlines()
    return {
        "versions": [(plain(str(name), 80), plain(str(version), 80)) for name, version in run.config.get("versions", {}).items()],
        "hashes": [(plain(str(name), 80), plain(str(value), 120)) for name, value in run.config.get("fingerprint", {}).items()],
        "config": "\n".join(plain(line, 400) for line in lines),
    }


def _command(*words: str) -> str:
    return plain(shlex.join(["diverseevol", *words]), 2_000)
