"""What the figures hold, against the run folders that they are made from."""

import shutil
import statistics

import numpy as np
import pytest

from diverseevol.base.files import read_json, write_json
from diverseevol.data import Pool
from diverseevol.report.cost import cost_figure, costs_of, flops_shown, side_by_side
from diverseevol.report.coverage import cluster_names, coverage_figure, lengths_figure
from diverseevol.report.curves import difference_figures, diversity_figures, quality_figures
from diverseevol.report.figure import Line, line_layout, line_traces, shown
from diverseevol.report.samples import PoolVectors, find_vectors

MEASURED = [600 * n + 12_000 for n in (6, 10, 14)]
PLANNED = [540 * n + 12_000 for n in (6, 10, 14)]
DRAWN = "random sets, mean and 5–95 %"


def of(figures, key):
    return next(figure for figure in figures if figure.key == key)


def columns(figure, at="x", of="y"):
    return {trace["name"]: (list(trace[at]), list(trace[of])) for trace in figure.traces}


def test_losses_and_relative_scores_by_round(whole_run, opened):
    loss, balanced, verdicts = quality_figures(opened(whole_run))
    assert [figure.key for figure in (loss, balanced, verdicts)] == ["heldout-loss", "heldout-balanced-loss", "verdicts-0"]
    assert columns(loss) == {"k_center": ([6, 10, 14], [3.0, 2.5, 2.25])}
    assert columns(balanced) == {"k_center": ([6, 10, 14], [3.5, 3.0, 2.75])}
    assert loss.tile == ("2.25", "Held-out loss", "3 at 6 samples")
    assert loss.says == "Held-out loss at 14 samples: k_center 2.25."
    assert loss.layout["xaxis"]["title"]["text"] == "samples chosen"
    assert (verdicts.title, verdicts.layout["yaxis"]["title"]["text"]) == ("Verdicts: vicuna against base", "Relative Score")
    found = columns(verdicts)
    assert found["k_center"] == ([6, 14], pytest.approx([100 * 24 / 31, 100 * 26 / 26]))
    edges = zip(found["k_center, low"][1], found["k_center"][1], found["k_center, high"][1], strict=True)
    assert all(low < value < high for low, value, high in edges)


def test_seeds_make_a_band_and_the_whole_pool_a_level_line(made, opened, tmp_path):
    roots = [made.make_run(tmp_path / f"k{seed}", seed=seed, losses=(3.0 + seed, 2.0, 1.0)).root for seed in (0, 1, 2)]
    other = made.make_run(tmp_path / "random", strategy="random")
    other.plan_file.unlink()
    roots += [other.root, made.make_run(tmp_path / "all", rounds=[list(range(60))], losses=[0.5], strategy="random").root]
    figure = of(quality_figures(opened(*roots)), "heldout-loss")
    name, spread = "k_center, mean of 3 seeds", statistics.stdev([3.0, 4.0, 5.0])
    assert columns(figure) == {
        f"{name}, low": ([6, 10, 14], [4.0 - spread, 2.0, 1.0]),
        f"{name}, high": ([6, 10, 14], [4.0 + spread, 2.0, 1.0]),
        name: ([6, 10, 14], [4.0, 2.0, 1.0]),
        "random": ([6, 10, 14], [3.0, 2.5, 2.25]),
        "the whole pool": ([6, 14], [0.5, 0.5]),
    }
    assert [trace["marker"]["color"] for trace in figure.traces] == ["--accent"] * 3 + ["--random", "--full"]
    assert figure.note.endswith("Bands: one standard deviation over 3 seeds.")
    assert figure.says == f"Held-out loss at 14 samples: {name} 1 (1 to 1); random 2.25; the whole pool 0.5."
    assert side_by_side(opened(*roots))[:2] == [
        ["k_center", "3", "14", "1", "54 kFLOPs", "1.12", "12 s"],
        ["random", "1", "14", "2.25", "54 kFLOPs", "–", "12 s"],
    ]


def test_what_was_not_measured_has_no_figure(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r", losses=None)
    file = run.verdicts_file("vicuna", "round-01-vs-base")
    file.parent.mkdir(parents=True)
    file.write_text('{"question_id": 1, "nothing": true}\n')  # no verdict: passed over
    subject = opened(run.root)
    assert [*quality_figures(subject), *diversity_figures(subject), *difference_figures(subject)] == []
    assert side_by_side(subject) == []


def test_radius_and_vendi_beside_random_sets_and_other_runs_in_the_same_vectors(made, whole_run, opened, tmp_path):
    radius, vendi = diversity_figures(opened(whole_run))
    assert (radius.key, vendi.key) == ("covering-radius", "vendi-1")
    found = columns(radius)
    assert found["k_center"] == ([6, 10, 14], [0.9, 0.6, 0.4])
    for name, shift in ((DRAWN, 0.2), (f"{DRAWN}, low", 0.1), (f"{DRAWN}, high", 0.3)):
        assert found[name][1] == pytest.approx([value + shift for value in (0.9, 0.6, 0.4)])
    assert columns(vendi)["k_center"][1] == [4.0, 6.0, 7.5]
    assert "In the vectors of model models/tiny, the same for all rounds." in radius.note
    assert radius.says == f"Covering radius at 14 samples: k_center 0.4; {DRAWN} 0.6 (0.5 to 0.7)."
    two = made.make_run(tmp_path / "b", strategy="random")
    made.add_diversity(two, radii=(1.0, 0.9, 0.8))
    assert list(columns(next(diversity_figures(opened(whole_run, two.root))))) == ["k_center", "random"]
    made.add_diversity(two, embeddings="others.npy")
    assert list(columns(next(diversity_figures(opened(whole_run, two.root)))))[-1] == DRAWN


def test_losses_on_other_rows_are_said_not_to_compare(made, opened, tmp_path):
    one, two = made.make_run(tmp_path / "a"), made.make_run(tmp_path / "b", strategy="random")
    ids = Pool.open(one.pool_dir).ids
    for held, is_said in ((ids[40:42], False), (ids[40:43], True)):
        for run, rows in ((one, ids[40:42]), (two, held)):
            run.heldout_dir.mkdir(exist_ok=True)
            run.holdout_file.write_text("".join(f"{row}\n" for row in rows))
        note = of(quality_figures(opened(one.root, two.root)), "heldout-loss").note
        assert ("held-out rows are not the same, so their losses cannot be compared." in note) is is_said


def test_differences_by_round_with_the_line_that_they_are_held_against(made, opened, tmp_path):
    subject = opened(made.make_comparison(tmp_path))
    first, second = difference_figures(subject)
    assert (first.key, first.title) == ("difference-heldout-loss", "Held-out loss, to random")
    assert columns(first) == {
        "k_center, low": ([10, 14], [-0.3, -0.4]),
        "k_center, high": ([10, 14], [-0.1, -0.2]),
        "k_center": ([10, 14], [-0.2, -0.3]),
        "random": ([10, 14], [0.0, 0.0]),
    }
    assert "below the line of random is better" in first.note and "97.5% intervals" in first.note
    assert first.tile == ("-0.300", first.title, "better")
    assert first.says == "Held-out loss, to random: -0.300 for k_center at 14 samples, better."
    assert second.says.endswith("-0.100 for k_center at 14 samples, no difference shown.")
    assert [trace["mode"] for trace in second.traces[:2]] == ["markers"] * 2  # the edges of a single point are seen


def test_measured_beside_predicted_and_one_full_tuning_the_final_one_included(made, whole_run, opened, tmp_path):
    costs = costs_of(opened(whole_run).main)
    assert (costs.flops, costs.predicted, costs.full) == (MEASURED, PLANNED, 48_000)
    assert costs.seconds == pytest.approx(3 * 4.1)
    (figure,) = cost_figure(costs)
    for name, expected in (("predicted", PLANNED), ("measured", MEASURED)):
        assert columns(figure)[name] == (["0", "1", "2"], pytest.approx([n / 48_000 for n in expected]))
    assert figure.says == "Cost: 1.12 of one full fine-tuning on the pool (54 kFLOPs, 12 s); 1.09 were predicted."
    assert figure.tile == ("1.12", "Of one full fine-tuning", "1.09 predicted")
    choosing = ["0", "choosing", "–", "–", "0.1 s", "0.00 GB"]
    assert list(costs.rows())[:2] == [choosing, ["0", "tuning", "600", "3.6 kFLOPs", "2.0 s", "0.01 GB"]]
    run = made.make_run(tmp_path / "a")
    write_json(run.plan_file, {**read_json(run.plan_file), "final_flops": 8_000.0})
    assert costs_of(opened(run.root).main).predicted == PLANNED  # not made yet
    bill = {"model": "m", "seconds": 5.0, "peak_memory_bytes": 2_000_000_000, "tokens": 70, "flops": 9_000.0}
    write_json(run.final_metrics_file, bill)
    costs = costs_of(opened(run.root).main)
    assert (costs.flops, costs.predicted) == ([*MEASURED, 9_000], [*PLANNED, 8_000])
    assert list(costs.rows())[-1] == ["final", "tuning", "70", "9 kFLOPs", "5.0 s", "2.00 GB"]


def test_costs_of_rounds_to_come_of_silent_trainers_and_without_a_plan(made, whole_run, opened, tmp_path):
    shutil.copytree(whole_run, tmp_path / "r")
    (tmp_path / "r/rounds/02/done").unlink()
    costs = costs_of(opened(tmp_path / "r").main)
    assert (costs.flops, costs.predicted) == (MEASURED[:2], PLANNED[:2])
    run = made.make_run(tmp_path / "s", losses=None)
    metrics = read_json(run.metrics_file(1))
    del metrics["stages"]["train"]["flops"]
    write_json(run.metrics_file(1), metrics)
    costs = costs_of(opened(run.root).main)
    (figure,) = cost_figure(costs)
    assert columns(figure)["measured"][1][1] is None and figure.tile[0] == "–" and costs.predicted == PLANNED
    assert side_by_side(opened(run.root, whole_run))[0][3:6] == ["–", "–", "–"]
    run.plan_file.unlink()
    assert list(cost_figure(costs_of(opened(run.root).main))) == []


def test_shares_of_labels_in_pool_and_picks(made, whole_run, opened, tmp_path):
    subject = opened(whole_run)
    (figure,) = coverage_figure(subject, [subject.main], None, None)
    found = columns(figure, "y", "x")
    assert found["pool"] == (["letters", "numbers", "colours"], pytest.approx([1 / 3] * 3))
    counts = [sum(row % 3 == at for row in subject.main.chosen_rows.tolist()) for at in range(3)]
    assert found["picks"][1] == pytest.approx([n / 14 for n in counts])
    most = "numbers (33.3% of the pool, 35.7% of the picks)"
    assert figure.says == f"a reaches 3 of 3; most above its share: {most}."
    assert "values of 'topic'" in figure.note
    rows = [row | {"topic": "rare" if at < 2 else f"label {at}"} for at, row in enumerate(made.records(700))]
    subject = opened(made.make_run(tmp_path / "r", rows).root)
    (figure,) = coverage_figure(subject, [subject.main], None, None)
    assert "reaches 13 of 699; most above its share: rare (0.3% of the pool, 14.3% of the picks)" in figure.says
    assert [len(trace["x"]) for trace in figure.traces] == [500, 500]  # a label each does not fill the page
    assert len(figure.layout["yaxis"]["ticktext"]) == 24


def test_which_column_holds_labels(made, opened, tmp_path):
    quota = {"strategy": "k_center", "quota": {"by": "topic"}}
    subject = opened(made.make_run(tmp_path / "r", config={"heldout": None, "selection": quota}).root)
    assert len(list(coverage_figure(subject, subject.runs, None, None))) == 1
    subject = opened(made.make_run(tmp_path / "s", config={"heldout": None}).root)
    assert list(coverage_figure(subject, subject.runs, None, None)) == []
    assert len(list(coverage_figure(subject, subject.runs, None, "topic"))) == 1
    with pytest.raises(Exception, match="--labels needs a column 'nope', which no record has. They have: source, instr"):
        list(coverage_figure(subject, subject.runs, None, "nope"))


def test_clusters_called_by_their_words_where_there_are_no_labels(made, opened, tmp_path):
    config = {"heldout": {"path": "heldout.jsonl", "group": "not in the pool"}}
    subject = opened(made.make_run(tmp_path / "r", vectors=made.vectors(60), config=config).root)
    (figure,) = coverage_figure(subject, [subject.main], find_vectors(subject.main), None)
    names, shares = columns(figure, "y", "x")["pool"]
    assert len(names) == 6 and sum(shares) == pytest.approx(1) and "k-means clusters" in figure.note
    part = PoolVectors(made.vectors(50), np.arange(10, 60), "m")  # without the six picks of round 0
    (figure,) = coverage_figure(subject, [subject.main], part, None)
    shares = columns(figure, "y", "x")["picks"][1]
    assert sum(shares) == pytest.approx(1) and all(round(share * 8, 6) % 1 == 0 for share in shares)  # eight picks
    few = PoolVectors(made.vectors(19), np.arange(19), "m")
    assert list(coverage_figure(subject, [subject.main], few, None)) == []
    words = [f"Write about {word}" for word in ("cats cats", "dogs") for _ in range(20)] + [f"{at} + {at}" for at in range(40)]
    rows = [{"instruction": text, "input": "", "output": "yes"} for text in words]
    run = opened(made.make_run(tmp_path / "w", rows, rounds=[[0, 39]], losses=[1.0]).root).main
    names = cluster_names(run, np.repeat([0, 1], 20), np.arange(40))
    assert names == ["1: cats, about, write"] * 20 + ["2: dogs, about, write"] * 20
    assert set(cluster_names(run, np.repeat([0, 1], 20), np.arange(40, 80))) == {"1", "2"}  # no words at all


def test_lengths_beside_the_pool(made, whole_run, opened, tmp_path):
    subject = opened(whole_run)
    (figure,) = lengths_figure(subject, [subject.main])
    assert [sum(shares) for _, shares in columns(figure).values()] == pytest.approx([1, 1])
    lengths = subject.main.pool.n_tokens
    assert f": pool {np.median(lengths):,.0f} (" in figure.says
    assert f"picks {np.median(lengths[subject.main.chosen_rows]):,.0f} (" in figure.says
    subject.main.pool.__dict__["n_tokens"] = np.full(60, -1)  # never tokenised
    assert list(lengths_figure(subject, [subject.main])) == []
    same = [{"instruction": "same", "input": "", "output": "same"}] * 20
    subject = opened(made.make_run(tmp_path / "r", same, rounds=[[0, 1]], losses=[1.0]).root)
    assert list(lengths_figure(subject, [subject.main])) == []


def test_lines_are_told_apart_and_numbers_are_for_people():
    lines = [Line(str(at), [1.0], [2.0], "other") for at in range(4)] + [Line("r", [1.0], [2.0], "random")]
    found = [(each["marker"]["color"], each["line"]["dash"], each["marker"]["symbol"]) for each in line_traces(lines)]
    assert len(set(found)) == 5 and found[4] == ("--random", "dash", "diamond")
    assert line_layout("x", "y", lines)["xaxis"]["tickvals"] == [1.0]
    values = {None: "–", 1234567.0: "1,234,567", 0.123456: "0.1235", 23456.7: "23,457", 1.5e-7: "1.5e-07", 2.5e9 + 0.5: "2.5e+09"}
    assert [shown(value) for value in values] == list(values.values())
    assert (flops_shown(1.534e12), flops_shown(None)) == ("1.53 TFLOPs", "–")
