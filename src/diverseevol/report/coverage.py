"""How the picks spread against the pool itself: over its labels or clusters of its vectors, and over the samples' lengths.

Clusters are k-means cells (evaluation/cells.py), each called by the words that its rows hold more often than the rest of the pool.
Shape letters: N pool rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..evaluation.cells import k_means_cells
from ..pool.groups import group_names
from .chart import N_DOTS, Chart, Series
from .runs import RunData, role_in
from .samples import texts_of
from .text import plain
from .vectors import PoolVectors

N_CLUSTERS = 24
N_BINS = 24
ROWS_READ = 2_400
"""So many random rows are read for the clusters' names."""
WORD = re.compile(r"[^\W\d_]{4,20}")


def label_column(run: RunData) -> str | None:
    """The column of the run's records that its configuration treats as a label, if there is one."""
    config = run.config
    heldout, quota = config.get("heldout") or {}, config.get("selection", {}).get("quota") or {}
    return config.get("pool", {}).get("holdout_by") or heldout.get("group") or quota.get("by")


def coverage_chart(runs: Sequence[RunData], vectors: PoolVectors | None, column: str | None) -> Chart | None:
    """Shares of the pool's groups in the pool and in each run's picks; None where the pool has neither labels nor vectors.

    Args:
        runs: Runs over one pool.
        vectors: Of that pool.
        column: The labels' column; None: the run's own, and clusters where it has none.

    Raises:
        ConfigError: no record has the column that was asked for.
    """
    groups = _labels(runs[0], column)
    what = column or label_column(runs[0]) or ""
    rows = np.arange(len(runs[0].pool))
    if groups is None and vectors is not None:
        groups, rows, what = _clusters(runs[0], vectors), vectors.known_rows, ""
    if groups is None or len(set(groups)) < 2:
        return None
    return _chart(runs, np.array(groups, dtype=np.str_), rows, what)


def _labels(run: RunData, column: str | None) -> list[str] | None:
    asked = column or label_column(run)
    if asked is None:
        return None
    try:
        return [plain(name, 80) or "(empty)" for name in group_names(run.pool, asked, key="--labels")]
    except ConfigError:
        if column:
            raise
        return None  # the held-out file has the column, the pool does not


def _clusters(run: RunData, vectors: PoolVectors) -> list[str] | None:
    n_cells = min(N_CLUSTERS, len(vectors.known_rows) // 10)
    if n_cells < 2:
        return None
    cells = k_means_cells(vectors.vectors_ND, n_cells, seed=0)
    names = cluster_names(run, cells, vectors.known_rows)
    return [names[cell] for cell in cells.tolist()]


def cluster_names(run: RunData, cells: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[int, str]:
    """A name for each cluster: its number, and three words that its rows hold more often than the pool's."""
    rng = np.random.default_rng(0)
    read = np.sort(rng.choice(len(rows), min(len(rows), ROWS_READ), replace=False))
    words_of: dict[int, Counter[str]] = {}
    n_of: Counter[int] = Counter()
    for at in read.tolist():
        cell = int(cells[at])
        n_of[cell] += 1
        words_of.setdefault(cell, Counter()).update(
            {word.lower() for word in WORD.findall(texts_of(run.pool, int(rows[at]))[0][:2_000])}
        )
    everywhere = sum(words_of.values(), Counter())
    names = {}
    for number, (cell, _) in enumerate(Counter(cells.tolist()).most_common(), start=1):
        lift = {
            word: n / n_of[cell] * log(n / n_of[cell] / (everywhere[word] / len(read)))
            for word, n in words_of.get(cell, Counter()).items()
        }
        best = sorted(lift, key=lambda word: (-lift[word], word))[:3]
        names[cell] = plain(f"{number}: {', '.join(best)}" if best else str(number), 80)
    return names


def _chart(runs: Sequence[RunData], groups: NDArray[np.str_], rows: NDArray[np.int64], column: str) -> Chart:
    in_pool = Counter(groups.tolist())
    names = [name for name, _ in in_pool.most_common()]
    series = [Series("pool", names, [in_pool[name] / len(groups) for name in names], "full")]
    findings = []
    for run in runs:
        known = run.chosen_rows[np.isin(run.chosen_rows, rows)]
        chosen = Counter(groups[np.searchsorted(rows, known)].tolist())
        n = max(1, len(known))
        series.append(
            Series(
                f"picks of {run.name}" if len(runs) > 1 else "picks",
                names,
                [chosen[name] / n for name in names],
                role_in(run, runs),
            )
        )
        findings.append(
            f"{run.name} reaches {sum(chosen[name] > 0 for name in names)} of {len(names)}"
            + (f"; most above its share: {_most_above(names, in_pool, len(groups), chosen, n)}" if run is runs[0] else "")
        )
    kind = f"values of {column!r}" if column else "k-means clusters of the vectors, called by their most particular words"
    return Chart(
        key="coverage",
        title="Coverage of labels" if column else "Coverage of clusters",
        x_title="label" if column else "cluster",
        y_title="share of the rows",
        series=tuple(series),
        kind="dot",
        says=". ".join(findings) + ".",
        note=f"The groups are {kind}, the largest first" + (f"; the {N_DOTS} largest are drawn." if len(names) > N_DOTS else "."),
        is_share=True,
    )


def _most_above(names: Sequence[str], in_pool: Counter[str], n_pool: int, chosen: Counter[str], n_chosen: int) -> str:
    best = max(names, key=lambda name: chosen[name] / n_chosen - in_pool[name] / n_pool)
    return f"{best} ({in_pool[best] / n_pool:.1%} of the pool, {chosen[best] / n_chosen:.1%} of the picks)"


def lengths_chart(runs: Sequence[RunData]) -> Chart | None:
    """Shares of the pool's and of each run's picks by length; None where the pool was never tokenised."""
    pool = runs[0].pool.n_tokens.astype(np.int64)
    if not len(pool) or pool.min() < 1:
        return None
    n_bins = int(min(N_BINS, max(6, len(runs[0].chosen_rows) ** 0.5)))  # few picks in many bins are noise
    edges = np.unique(np.geomspace(pool.min(), pool.max() + 1, n_bins + 1).round().astype(np.int64))
    if len(edges) < 3:
        return None
    middles = [float(middle) for middle in np.sqrt(edges[:-1] * (edges[1:] - 1.0)).round(1)]
    series = [Series("pool", middles, _shares(pool, edges), "full")]
    findings = [f"pool {_about(pool)}"]
    for run in runs:
        chosen = pool[run.chosen_rows]
        name = f"picks of {run.name}" if len(runs) > 1 else "picks"
        series.append(Series(name, middles, _shares(chosen, edges), role_in(run, runs)))
        findings.append(f"{name} {_about(chosen)}")
    return Chart(
        key="lengths",
        title="Lengths",
        x_title="tokens of a sample",
        y_title="share of the rows",
        series=tuple(series),
        says=f"Tokens a sample, median and range of the middle 90 %: {'; '.join(findings)}.",
        note="Prompt and response together, by the run's tokenizer and template, as cut to prompt.max_length. Each point is a bin.",
        is_log=True,
        is_share=True,
    )


def _shares(lengths: NDArray[np.int64], edges: NDArray[np.int64]) -> list[float]:
    counts = np.histogram(lengths, edges)[0]
    return [float(share) for share in counts / max(1, len(lengths))]


def _about(lengths: NDArray[np.int64]) -> str:
    low, middle, high = np.quantile(lengths, (0.05, 0.5, 0.95))
    return f"{middle:,.0f} ({low:,.0f} to {high:,.0f})"
