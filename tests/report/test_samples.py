"""Picks with what was left out near them, the samples with their texts, and the vectors that map and neighbours are found in."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from diverseevol.errors import ConfigError
from diverseevol.report import map as page_map
from diverseevol.report import samples
from diverseevol.report.map import project
from diverseevol.report.samples import (
    PoolVectors,
    find_vectors,
    gather_samples,
    nearest_unchosen,
    reason_of,
    table_of_picks,
    texts_of,
)

CHOSEN = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 20, 21, 22, 23]


def of(points, rows=None):
    return PoolVectors(points, np.arange(len(points)) if rows is None else rows, "the model")


def brute_force(points, picked, barred, n=3):
    left = [row for row in range(len(points)) if row not in set(barred)]
    return [sorted((float(np.linalg.norm(points[pick].astype(float) - points[row])), row) for row in left)[:n] for pick in picked]


def test_every_pick_with_what_was_left_out_nearby(whole_run, opened, made, monkeypatch):
    run = opened(whole_run).main
    found = table_of_picks([run], find_vectors(run))
    assert [pick["row"] for pick in found] == CHOSEN
    for pick, near in zip(found, brute_force(made.vectors(60), CHOSEN, CHOSEN), strict=True):
        assert [row for row, _ in pick["left_out"]] == [row for _, row in near]
        assert [far for _, far in pick["left_out"]] == pytest.approx([far for far, _ in near])
    shown = {name: found[6][name] for name in ("run", "round", "pick", "id", "distance", "nearest")}
    assert shown == {"run": 0, "round": 1, "pick": 1, "id": run.pool.id(10), "distance": 0.5, "nearest": 0}
    assert found[0]["nearest"] is None
    assert all(pick["left_out"] == [] for pick in table_of_picks([run], None))
    monkeypatch.setattr(samples, "N_TABLE", 10)
    assert [pick["row"] for pick in table_of_picks([run, run], None)] == CHOSEN[:5] * 2


def test_held_out_rows_were_not_left_out(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r", vectors=made.vectors(60))
    before = table_of_picks([opened(run.root).main], find_vectors(opened(run.root).main))
    nearest = before[0]["left_out"][0][0]
    run.heldout_dir.mkdir()
    run.holdout_file.write_text(opened(run.root).main.pool.id(nearest) + "\n")
    after = table_of_picks([opened(run.root).main], find_vectors(opened(run.root).main))
    assert nearest not in [row for pick in after for row, _ in pick["left_out"]]
    assert after[0]["left_out"][0] == before[0]["left_out"][1]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"round": 0, "distance": None}, "first draw"),
        ({"round": 2}, "drawn; the strategy gives no figures"),
        ({"round": 1, "distance": 2.0, "nearest_id": "x", "quality_score": 4, "flag": True, "name": "n"}, "2 from its nearest chosen sample, quality score 4"),
    ],
)  # fmt: skip
def test_reasons_in_words(values, reason):
    assert reason_of(values) == reason


def test_named_rows_come_first_with_their_answers_and_all_are_in_pool_order(whole_run, opened, monkeypatch):
    pool = opened(whole_run).main.pool
    pick = {"row": 2, "nearest": 30, "left_out": [(31, 0.5)]}
    found = gather_samples(pool, [pick], np.array([2, 40]), np.arange(60))
    assert found["rows"] == list(range(60)) and found["tokens"] == pool.n_tokens.tolist()
    assert [row for row, answer in enumerate(found["answered"]) if answer] == [2, 30, 31, 40]
    assert (found["asked"][2], found["answered"][2]) == ("Question 2 on colours", "Answer 2 and more and more")
    monkeypatch.setattr(samples, "N_SAMPLES", 10)
    found = gather_samples(pool, [], np.array([50, 51, 52]), np.arange(60))["rows"]
    assert len(found) == 10 and {50, 51, 52} <= set(found) and found == sorted(found)
    assert gather_samples(pool, [], np.arange(12), np.arange(60))["rows"] == list(range(10))


def test_texts_are_cut_so_that_the_page_stays_small(made, opened, tmp_path, monkeypatch):
    rows = [{"instruction": "long " * 400, "input": "", "output": "&" * 5_000} for _ in range(29)]
    said = [("system", "Be kind."), ("user", "First?"), ("assistant", "One."), ("user", "Second?"), ("assistant", "Two.")]
    rows += [{"messages": [{"role": role, "content": text} for role, text in said]}]
    pool = opened(made.make_run(tmp_path / "r", rows).root).main.pool
    monkeypatch.setattr(samples, "TEXT_BYTES", 8_000)
    found = gather_samples(pool, [], np.arange(20), np.arange(29))
    assert all(text.startswith("long long") and text.endswith("… (2,000 characters)") for text in found["asked"])
    assert max(len(text) for text in found["answered"]) < 130
    assert texts_of(pool, 29) == ("First?\nOne.\nSecond?", "Two.")


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_nearest_rows_match_brute_force(offset):
    points = (np.random.default_rng(0).normal(size=(80, 5)) + offset).astype(np.float32)
    picked, barred = np.array([70, 3, 11]), np.array([70, 3, 11, 0, 40])
    rows, distances = nearest_unchosen(of(points), picked, barred)
    expected = brute_force(points, picked, barred.tolist())
    assert rows.tolist() == [[row for _, row in each] for each in expected]
    assert np.allclose(distances, [[far for far, _ in each] for each in expected], rtol=1e-6)
    part, _ = nearest_unchosen(of(points, np.arange(80) * 10), picked * 10, barred * 10)
    assert np.array_equal(part, rows * 10)  # rows of a part of the pool are named by their place in it


def test_a_copy_is_at_no_distance_few_rows_may_be_left_and_of_many_a_random_part_is_looked_at(monkeypatch):
    points = np.random.default_rng(1).normal(size=(40, 64)).astype(np.float32) + 3
    points[20:30] = points[:10]
    rows, distances = nearest_unchosen(of(points), np.arange(10), np.arange(10))
    assert rows[:, 0].tolist() == list(range(20, 30)) and distances[:, 0].tolist() == [0.0] * 10
    rows, distances = nearest_unchosen(of(np.eye(4)), np.array([0]), np.array([0, 1]))
    assert (sorted(rows[0].tolist()), distances.shape) == ([2, 3], (1, 2))
    assert nearest_unchosen(of(np.eye(4)), np.array([0]), np.arange(4))[0].shape == (1, 0)
    assert nearest_unchosen(of(np.eye(4)), np.arange(0), np.array([2, 3]))[0].shape == (0, 2)
    monkeypatch.setattr(samples, "MOST_NUMBERS", 64 * 10 + 2)
    rows, _ = nearest_unchosen(of(points), np.arange(10), np.arange(10))
    assert rows.shape == (10, 3) and rows.min() >= 10 and 3 < len(np.unique(rows)) <= 10


def test_fixed_vectors_come_before_the_outer_models_and_those_before_a_rounds(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    assert find_vectors(opened(run.root).main) is None
    places = [
        (run.signals_dir(0), "round 0's model"), (run.signals_dir(1), "round 1's model"), (run.outer_dir, "the outer model"),
        (run.fixed_file("base").parent, "the untuned base model"),
    ]  # fmt: skip
    for number, (folder, whose) in enumerate(places):
        folder.mkdir(parents=True)
        np.save(folder / "embeddings.npy", made.vectors(60, seed=number))
        found = find_vectors(opened(run.root).main)
        assert found.whose == whose
        assert np.array_equal(found.read(np.array([7, 3])), made.vectors(60, seed=number)[[7, 3]])


def test_vectors_of_a_part_of_the_pool(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    run.signals_dir(2).mkdir()
    np.save(run.signals_dir(2) / "embeddings.npy", made.vectors(4))
    assert find_vectors(opened(run.root).main) is None  # four vectors for sixty rows
    run.save_seen_rows(2, np.array([2, 3, 5, 59]))
    found = find_vectors(opened(run.root).main)
    assert found.known(np.array([59, 4, 2])).tolist() == [59, 2]
    assert np.array_equal(found.read(np.array([59, 2])), made.vectors(4)[[3, 0]])
    assert project(found, np.arange(60)).rows_P.tolist() == [2, 3, 5, 59]


def test_the_map_is_the_principal_components_of_the_shown_rows(monkeypatch):
    points = np.random.default_rng(0).normal(size=(300, 12)) * np.array([9.0, 5.0, *[0.1] * 10]) + 40
    rows = np.arange(0, 300, 3)[::-1]
    found = project(of(points.astype(np.float32)), rows)
    _, values, components = np.linalg.svd(points[rows] - points[rows].mean(axis=0), full_matrices=False)
    expected = (points[rows] - points[rows].mean(axis=0)) @ components[:2].T
    assert np.allclose(np.abs(found.xy_P2), np.abs(expected), atol=1e-3)
    shares = values**2 / (values**2).sum()
    assert found.axes == (f"first component ({shares[0]:.0%} of the variance)", f"second component ({shares[1]:.0%})")
    assert found.note == "Principal components of the shown rows' vectors by the model."
    monkeypatch.setattr(page_map, "FIT_NUMBERS", 12 * 100)  # the components of many rows are those of every so many
    found = project(of(points.astype(np.float32)), np.arange(200))
    assert found.note.startswith("Principal components of 67 of the shown rows' vectors") and len(found.xy_P2) == 200


@pytest.mark.parametrize("points", [np.ones((9, 3), np.float32), np.arange(9, dtype=np.float32)[:, None]])
def test_no_map_where_all_rows_are_alike_or_on_a_line(points):
    assert project(of(points), np.arange(9)) is None


def test_umap_where_it_is_installed_and_where_it_is_not(monkeypatch):
    def fake(random_state, n_jobs):
        return SimpleNamespace(fit_transform=lambda reduced: reduced[:, :2] + 2)

    points = of(np.random.default_rng(6).normal(size=(10, 4)).astype(np.float32))
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=fake))
    found = project(points, np.arange(10), "umap")
    assert found.axes == ("UMAP 1", "UMAP 2") and found.note.startswith("UMAP of the vectors by the model.")
    assert np.allclose(found.xy_P2, project(points, np.arange(10)).xy_P2 + 2, atol=1e-5)
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match=r"--map umap needs a package .* Install it with: pip install 'diverseevol\[umap\]'"):
        project(points, np.arange(10), "umap")
