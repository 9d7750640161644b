"""The page: one HTML file with everything in it, which fetches nothing and runs no script but its own.

A Content-Security-Policy with the scripts' hashes keeps anything else from running, whatever a text might
smuggle in; texts are escaped all the same, by jinja2's autoescape and `script_json`. plotly.js (vendor/,
MIT) is the basic bundle of the npm package plotly.js-basic-dist-min, unchanged.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from .. import __version__
from ..base.files import write_text
from ..base.progress import SILENT, Watch
from ..config import yaml_text
from ..errors import ConfigError
from .cost import BILL, SIDE_BY_SIDE, side_by_side
from .figure import shown
from .gather import Content, gather
from .runs import open_subject
from .text import script_json, shortened, visible
from .vectors import Method


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
    content = gather(open_subject(paths), method, labels, watch)
    options = [*(["--map", method] if method != "pca" else []), *(["--labels", labels] if labels else [])]
    again = shlex.join(["diverseevol", "report", *map(str, paths), "--out", str(out), *options])
    write_text(out, _render(content, paths[0].name, again))


def _render(content: Content, name: str, page_again: str) -> str:
    """The page as text; `name` is that of the folder asked for, `page_again` the command that was given."""
    subject, run = content.subject, content.subject.main
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_finalize)
    page.filters |= {"shortened": shortened, "shown": shown}
    scripts = [_part(f"page/{name}.js") for name in ("charts", "map", "table")]
    script = "\n".join(["(() => {", "'use strict';", *scripts, "})();", ""])
    plotly = _part("vendor/plotly-basic.min.js")
    # Our own files; of what comes from a run nothing is marked as safe but the JSON that script_json escaped.
    own = {
        "style": _part("page/page.css"),
        "plotly": plotly,
        "script": script,
        "data": script_json(_data(content)),
    }
    own["script_hashes"] = " ".join(_hash(text) for text in (plotly, script))
    config = {key: value for key, value in run.config.items() if key not in ("versions", "fingerprint")}
    return page.from_string(_part("page/page.html")).render(
        **{key: Markup(text) for key, text in own.items()},
        version=__version__,
        name=name,
        content=content,
        subject=subject,
        run=run,
        bills=(BILL, list(content.costs.rows())),
        side_by_side=(SIDE_BY_SIDE, side_by_side(subject)),
        config_text=yaml_text(config),
        run_again=shlex.join(["diverseevol", "run", str(run.folder.config_file), "--out", "NEW_FOLDER"]),
        page_again=page_again,
    )


def _data(content: Content) -> dict[str, Any]:
    """For the page's scripts; samples are named by their pool rows."""
    figures = [figure for group in content.figures.values() for figure in group]
    placed = content.map
    xy = [] if placed is None else [[float(f"{value:.5g}") for value in at] for at in placed.xy_P2.tolist()]
    runs = []
    for run in content.shown_runs:
        rows = [[line["row"] for line in picks] for picks in run.picks]
        runs.append({"name": run.name, "rounds": list(zip(run.rounds, rows, strict=True))})
    return {
        "figures": {figure.key: {"data": figure.traces, "layout": figure.layout} for figure in figures},
        "map": placed and {"rows": placed.rows_P.tolist(), "xy": xy},
        "samples": content.samples,
        "picks": content.picks,
        "runs": runs,
    }


def _finalize(value: object) -> object:
    """What stands in the page in place of a value, before it is escaped."""
    return visible(value) if type(value) is str else value


def _part(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
