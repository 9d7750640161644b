"""How long the picks are beside the pool, in tokens of the run's own tokenizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .chart import Chart, Series
from .runs import RunData, role_in

N_BINS = 24


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
