"""How the picks spread against the pool itself: over labels or clusters, and over the samples' lengths.

Clusters are k-means cells of the vectors (evaluation/coverage.py), each called by the words that its rows
hold more often than the rest of the pool.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from ..data.columns import group_names
from ..errors import ConfigError
from ..evaluation.coverage import k_means_cells
from .figure import Figure, Line, Trace, hover, line_layout, line_traces, looks_of
from .runs import RunData, Subject
from .samples import PoolVectors, texts_of
from .text import shortened

WORD = re.compile(r"[^\W\d_]{4,20}")
N_CLUSTERS = 24
N_DRAWN = 24
MOST_GROUPS = 500
"""In the figure's table and CSV."""
N_BINS = 24
SHARES = {"tickformat": ".0%", "rangemode": "tozero"}
ROWS_READ = 2_400
"""So many random rows are read for the clusters' names."""


def coverage_figure(
    subject: Subject, runs: Sequence[RunData], vectors: PoolVectors | None, column: str | None
) -> Iterator[Figure]:
    """Shares of groups in the pool and in each run's picks; none where it has neither labels nor vectors.

    The groups are the values of `column`, else of what the first run's configuration treats as a label, else
    clusters of the vectors.

    Raises:
        ConfigError: no record has the column that was asked for.
    """
    pool, config = runs[0].pool, runs[0].config
    heldout, quota = config.get("heldout") or {}, config.get("selection", {}).get("quota") or {}
    asked = column or config.get("pool", {}).get("holdout_by") or heldout.get("group") or quota.get("by")
    groups, rows, kind = None, np.arange(len(pool)), f"values of {asked!r}"
    if asked is not None:
        try:
            groups = [shortened(name, 80) or "(empty)" for name in group_names(pool, asked, "--labels")]
        except ConfigError:
            if column:
                raise  # else the held-out file has the column, the pool does not
    if groups is None and vectors is not None and len(vectors.rows_N) >= 20:
        n_cells, rows = min(N_CLUSTERS, len(vectors.rows_N) // 10), vectors.rows_N
        groups = cluster_names(runs[0], k_means_cells(vectors.vectors_ND, n_cells, seed=0), rows)
        kind = "k-means clusters of the vectors, called by their most particular words"
    if groups is not None and len(set(groups)) > 1:
        yield _dots(subject, runs, np.array(groups, dtype=np.str_), rows, kind)


def cluster_names(run: RunData, cells: NDArray[np.int64], rows: NDArray[np.int64]) -> list[str]:
    """Each row's cluster: a number by size, and three words that its rows hold more often than the pool's."""
    read = np.random.default_rng(0).choice(len(rows), min(len(rows), ROWS_READ), replace=False).tolist()
    words_of: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for at in read:
        text = texts_of(run.pool, int(rows[at]))[0][:2_000].lower()
        words_of[int(cells[at])].update(set(WORD.findall(text)))
    n_of, everywhere = Counter(cells[read].tolist()), sum(words_of.values(), Counter())
    names = {}
    for number, (cell, _) in enumerate(Counter(cells.tolist()).most_common(), start=1):
        share = {word: n / n_of[cell] for word, n in words_of[cell].items()}
        lift = {word: each * log(each / everywhere[word] * len(read)) for word, each in share.items()}
        best = sorted(lift, key=lambda word: (-lift[word], word))[:3]
        names[cell] = f"{number}: {', '.join(best)}" if best else str(number)
    return [names[cell] for cell in cells.tolist()]


def _dots(
    subject: Subject, runs: Sequence[RunData], groups: NDArray[np.str_], rows: NDArray[np.int64], kind: str
) -> Figure:
    """Dots at the shares of each group, the largest groups first."""
    in_pool = Counter(groups.tolist())
    names = [name for name, _ in in_pool.most_common()]
    pool_share = np.array([in_pool[name] / len(groups) for name in names])
    shares, findings = {"pool": pool_share}, []
    for run in runs:
        known = run.chosen_rows[np.isin(run.chosen_rows, rows)]
        chosen = Counter(groups[np.searchsorted(rows, known)].tolist())
        share = np.array([chosen[name] for name in names]) / max(1, len(known))
        shares[_called(run, runs)] = share
        most = int(np.argmax(share - pool_share))
        most_text = f"{names[most]} ({pool_share[most]:.1%} of the pool, {share[most]:.1%} of the picks)"
        findings.append(
            f"{run.name} reaches {len(chosen)} of {len(names)}; most above its share: {most_text}"
        )
    traces: list[Trace] = []
    looks = looks_of(["full", *map(subject.role, runs)])
    for (name, share), (color, _, symbol) in zip(shares.items(), looks, strict=True):
        dots = {
            "name": name,
            "mode": "markers",
            "orientation": "h",
            "hovertemplate": hover("x", ".2%", "%{y}: "),
        }
        marker = {"color": color, "symbol": symbol, "size": 10}
        traces.append(dots | {"x": share[:MOST_GROUPS].tolist(), "y": names[:MOST_GROUPS], "marker": marker})
    n_drawn = min(N_DRAWN, len(names))
    labels = {"tickvals": names[:n_drawn], "ticktext": [shortened(name, 30) for name in names[:n_drawn]]}
    layout = {
        "height": 110 + 23 * n_drawn,
        "hovermode": "closest",
        "xaxis": {"title": {"text": "share of the rows"}, "showgrid": True, **SHARES},
        "yaxis": {"title": {"text": "group"}, "type": "category", "range": [n_drawn - 0.4, -0.6], **labels},
    }
    note = f"The groups are {kind}, the largest first; the {n_drawn} largest are drawn."
    return Figure("coverage", "Coverage", traces, layout, ". ".join(findings) + ".", note)


def lengths_figure(subject: Subject, runs: Sequence[RunData]) -> Iterator[Figure]:
    """Shares of the pool's and of each run's picks by length; none where the pool was never tokenised."""
    pool = runs[0].pool.n_tokens.astype(np.int64)
    if not len(pool) or pool.min() < 1:
        return
    n_bins = int(min(N_BINS, max(6, len(runs[0].chosen_rows) ** 0.5)))  # few picks in many bins are noise
    edges = np.unique(np.geomspace(pool.min(), pool.max() + 1, n_bins + 1).round().astype(np.int64))
    if len(edges) < 3:
        return
    middles = np.sqrt(edges[:-1] * (edges[1:] - 1.0)).round(1).tolist()
    picks = [(_called(run, runs), pool[run.chosen_rows], subject.role(run)) for run in runs]
    lines, findings = [], []
    for name, lengths, role in [("pool", pool, "full"), *picks]:
        shares = np.histogram(lengths, edges)[0] / max(1, len(lengths))
        lines.append(Line(name, middles, shares.tolist(), role))
        low, middle, high = np.quantile(lengths, (0.05, 0.5, 0.95))
        findings.append(f"{name} {middle:,.0f} ({low:,.0f} to {high:,.0f})")
    layout = line_layout("tokens of a sample", "share of the rows", lines)
    layout["xaxis"] |= {"type": "log", "dtick": "D2"}
    layout["yaxis"] |= SHARES
    note = "Prompt and response in the run's tokens, cut to prompt.max_length. Each point is a bin."
    says = f"Tokens a sample, median and range of the middle 90 %: {'; '.join(findings)}."
    yield Figure("lengths", "Lengths", line_traces(lines, ".1%"), layout, says, note)


def _called(run: RunData, runs: Sequence[RunData]) -> str:
    return f"picks of {run.name}" if len(runs) > 1 else "picks"
