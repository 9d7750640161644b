import numpy as np
import pytest

from diverseevol.errors import ConfigError
from diverseevol.report.coverage import cluster_names, coverage_chart, label_column, lengths_chart
from diverseevol.report.vectors import PoolVectors, find_vectors


def test_shares_of_labels_in_pool_and_picks(whole_run, opened):
    run = opened(whole_run).main
    chart = coverage_chart([run], None, None)
    pool, picks = chart.series
    assert list(pool.x) == ["letters", "numbers", "colours"] and pool.y == pytest.approx([1 / 3] * 3)
    counts = [sum(row % 3 == at for row in run.chosen_rows.tolist()) for at in range(3)]
    assert picks.y == pytest.approx([n / 14 for n in counts])
    assert (picks.role, pool.role, chart.title, chart.kind) == ("main", "full", "Coverage of labels", "dot")
    assert chart.says.startswith("a reaches 3 of 3; most above its share: numbers (33.3% of the pool, 35.7% of the picks)")


def test_which_column_holds_labels(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r", config={"heldout": None, "selection": {"strategy": "k_center", "quota": {"by": "topic"}}})
    assert label_column(opened(run.root).main) == "topic"
    run = made.make_run(tmp_path / "s", config={"heldout": None})
    assert label_column(opened(run.root).main) is None
    assert coverage_chart([opened(run.root).main], None, None) is None
    assert coverage_chart([opened(run.root).main], None, "topic").title == "Coverage of labels"
    with pytest.raises(ConfigError, match="--labels needs a column 'nope', which no record has. They have: source, instruction"):
        coverage_chart([opened(run.root).main], None, "nope")


def test_clusters_where_there_are_no_labels(made, opened, tmp_path):
    centres = np.repeat(np.array([[0.0, 0], [50, 0], [0, 50]]), 20, axis=0).astype(np.float32)
    run = made.make_run(
        tmp_path / "r",
        vectors=centres + made.vectors(60, 2) * 0.01,
        config={"heldout": {"path": "heldout.jsonl", "group": "not in the pool"}},
    )
    data = opened(run.root).main
    chart = coverage_chart([data], find_vectors(data), None)
    assert chart.title == "Coverage of clusters"
    assert sum(chart.series[0].y) == pytest.approx(1)
    assert len(chart.series[0].x) == 6
    few = coverage_chart([data], PoolVectors(centres[:19], np.arange(19), "m", 60), None)
    assert few is None  # too few rows to cluster


def test_clusters_are_called_by_their_words(made, opened, tmp_path):
    rows = [
        {"instruction": f"Write about {word}", "input": "", "output": "yes"} for word in ("cats cats", "dogs") for _ in range(20)
    ]
    run = opened(made.make_run(tmp_path / "r", rows, rounds=[[0, 39]], losses=[1.0]).root).main
    names = cluster_names(run, np.repeat([0, 1], 20), np.arange(40))
    assert names == {0: "1: cats, about, write", 1: "2: dogs, about, write"}


def test_lengths_beside_the_pool(whole_run, opened):
    run = opened(whole_run).main
    chart = lengths_chart([run])
    pool, picks = chart.series
    assert sum(pool.y) == pytest.approx(1) and sum(picks.y) == pytest.approx(1)
    lengths = run.pool.n_tokens
    assert chart.says.startswith(f"Tokens a sample, median and range of the middle 90 %: pool {np.median(lengths):,.0f} (")
    assert f"picks {np.median(lengths[run.chosen_rows]):,.0f} (" in chart.says
    assert chart.is_log and chart.is_share


def test_no_lengths_where_all_rows_are_alike_or_unknown(made, opened, tmp_path):
    rows = [{"instruction": "same", "input": "", "output": "same"}] * 20
    assert lengths_chart([opened(made.make_run(tmp_path / "r", rows, rounds=[[0, 1]], losses=[1.0]).root).main]) is None


def test_no_lengths_of_a_pool_that_was_never_tokenised(whole_run, opened):
    run = opened(whole_run).main
    run.pool.__dict__["n_tokens"] = np.full(60, -1)
    assert lengths_chart([run]) is None


def test_clusters_count_the_picks_that_have_a_vector(made, opened, tmp_path):
    run = opened(made.make_run(tmp_path / "r", config={"heldout": None}).root).main
    part = PoolVectors(made.vectors(50), np.arange(10, 60), "m", 60)  # without the six picks of round 0
    chart = coverage_chart([run], part, None)
    assert sum(chart.series[1].y) == pytest.approx(1)
    assert sum(round(share * 8, 6) % 1 for share in chart.series[1].y) == 0  # eight picks
