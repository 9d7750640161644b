"""`diversity`: the figures of `measure_diversity`, for runs and for vectors from anywhere; every mistake said in a line or two."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from diverseevol import diversity, load_config
from diverseevol.base.progress import SILENT
from diverseevol.cli.app import app
from diverseevol.cli.measure import digits, side_of_band
from diverseevol.data import Pool
from diverseevol.errors import (
    ConfigError,
    DiverseEvolError,
    EmbedError,
    NonFiniteError,
    PoolError,
    RunFolderError,
    SelectionError,
)
from diverseevol.evaluation import base_embedding
from diverseevol.loop.setup import open_rounds
from diverseevol.run import locked

N = 50
POINTS = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
ROUNDS = [[7, 3, 150, 22], [0, 199], [61, 60, 8]]


@pytest.fixture(scope="module")
def run(made_model, pool_file, tmp_path_factory):
    """A run of three rounds as their files tell of it, with nothing trained."""
    out = tmp_path_factory.mktemp("diversity") / "run"
    options = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 0, "n_init": 1}
    with locked(out) as run:
        open_rounds(run, load_config(options=options), frozenset(), SILENT)
    for index, rows in enumerate(ROUNDS):
        run.save_picks(index, [{"id": str(row), "row": row} for row in rows])
        run.add_metrics(index, {"n_new": len(rows), "n_chosen": sum(map(len, ROUNDS[: index + 1]))})
        run.finish(index)
    return run


def call(*words):
    """Call the verb inside this process; return what it printed, or raise its error."""
    ended = CliRunner().invoke(app, ["diversity", *map(str, words)])
    if isinstance(ended.exception, DiverseEvolError):
        assert len(str(ended.exception).splitlines()) <= 2
        raise ended.exception
    assert ended.exit_code == 0, ended.output
    return ended.stdout


# --- runs


def test_a_run_is_measured_by_its_base_model_round_by_round(run, monkeypatch):
    found = json.loads(call(run.root, "--random-sets", 4, "--seed", 2, "--labels", "skill", "--json"))
    pool, vectors = Pool.open(run.pool_dir), np.load(run.root / "signals/base/embeddings.npy")
    records = [pool.record(row) for row in range(200)]
    labels = np.array([record["skill"] for record in records])
    report = diversity(vectors, np.concatenate(ROUNDS), [4, 6, 9], random_sets=4, seed=2, labels=labels).values()
    assert [each.pop("round") for each in found["sets"]] == [0, 1, 2]
    assert (found["sets"], found["pool"]) == (report["sets"], report["pool"])
    assert (found["n_rows"], found["width"], found["random_sets"], found["seed"]) == (200, 32, 4, 2)
    assert found["coverage_of"] == "labels in 'skill'"
    assert found["n_cells"] == len({record["skill"] for record in records})
    assert found["embeddings"].startswith("model ")
    # The same figures lie in the run folder, and the vectors are not made again.
    assert len(json.loads(run.diversity_file.read_text())["sets"]) == 3
    monkeypatch.setattr(base_embedding, "load_model", None)
    text = call(run.root, "--random-sets", 0, "--cells", 5)
    assert "Coverage of 5 k-means cells" in text
    assert [line.split()[:3] for line in text.splitlines() if line.startswith(" round")][:3] == [
        ["round", "0", "4"],
        ["round", "1", "6"],
        ["round", "2", "9"],
    ]


def test_vectors_of_the_runs_pool_from_anywhere(run, tmp_path):
    vectors = np.random.default_rng(1).normal(size=(200, 3))
    np.save(tmp_path / "x.npy", vectors)
    (tmp_path / "ids.txt").write_text("".join(f"{name}\n" for name in Pool.open(run.pool_dir).ids))
    found = json.loads(call(run.root, "--embeddings", tmp_path / "x.npy", "--random-sets", 1, "--json"))
    assert found["width"] == 3
    report = diversity(vectors, np.concatenate(ROUNDS), [4, 6, 9], random_sets=1)
    for each, expected in zip(found["sets"], report.values()["sets"], strict=True):
        for name, value in expected["measures"].items():
            assert each["measures"][name] == pytest.approx(value)
    names = (tmp_path / "ids.txt").read_text().split()
    (tmp_path / "ids.txt").write_text("\n".join([names[1], names[0], *names[2:]]) + "\n")
    with pytest.raises(EmbedError, match=f"row 0 is {names[1]}, the pool's is {names[0]}. Give vectors in the pool's order"):
        call(run.root, "--embeddings", tmp_path / "x.npy")
    np.save(tmp_path / "y.npy", vectors[:199])
    (tmp_path / "ids.txt").unlink()
    with pytest.raises(EmbedError, match=r"y.npy has 199 rows, the pool of .*run 200\. Give one vector for each pool row"):
        call(run.root, "--embeddings", tmp_path / "y.npy")


def test_random_sets_hold_no_row_that_is_held_out(made_model, pool_file, tmp_path):
    options = {"pool.path": str(pool_file), "model": str(made_model), "out": str(tmp_path / "r"), "rounds": 0, "n_init": 1}
    with locked(tmp_path / "r") as run:
        stages = open_rounds(run, load_config(options=options | {"pool.holdout": 30}), frozenset(), SILENT)
    choosable = np.setdiff1d(np.arange(200), stages.excluded_rows)
    assert len(choosable) <= 170
    run.save_picks(0, [{"id": str(row), "row": int(row)} for row in choosable[:5]])
    run.add_metrics(0, {"n_new": 5, "n_chosen": 5})
    run.finish(0)
    vectors = np.random.default_rng(1).normal(size=(200, 3))
    np.save(tmp_path / "x.npy", vectors)
    found = json.loads(call(run.root, "--embeddings", tmp_path / "x.npy", "--random-sets", 4, "--json"))
    report = diversity(vectors, choosable[:5], random_sets=4, choosable_rows=choosable)
    for name, value in report.values()["sets"][0]["measures"].items():
        assert found["sets"][0]["measures"][name] == pytest.approx(value)


def test_runs_that_cannot_be_measured(run, tmp_path, made_model, pool_file):
    with pytest.raises(RunFolderError, match="is not a run folder"):
        call(tmp_path)
    with pytest.raises(ConfigError, match="--labels needs a column 'skil', which no record has. They have: source, "):
        call(run.root, "--labels", "skil")
    options = {"pool.path": str(pool_file), "model": str(made_model), "out": str(tmp_path / "r"), "rounds": 0, "n_init": 1}
    with locked(tmp_path / "r") as new:
        open_rounds(new, load_config(options=options), frozenset(), SILENT)
    with pytest.raises(RunFolderError, match="has no finished round yet, so there is no subset to measure"):
        call(tmp_path / "r")


# --- vectors from anywhere


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", POINTS)
    return tmp_path


def test_a_subset_of_vectors(here):
    (here / "rows.txt").write_text("5\n17\n3\n")
    found = json.loads(call("--embeddings", "x.npy", "--chosen", "rows.txt", "--random-sets", 3, "--cells", 4, "--json"))
    report = diversity(POINTS, np.array([5, 17, 3]), random_sets=3, n_cells=4).values()
    assert found == report | {"embeddings": "x.npy"}
    (here / "ids.txt").write_text("".join(f"id{row}\n" for row in range(N)))
    (here / "ids").write_text("id5\nid17\nid3\n")
    assert json.loads(call("--embeddings", "x.npy", "--chosen", "ids", "--random-sets", 3, "--cells", 4, "--json")) == found
    text = call("--embeddings", "x.npy", "--chosen", "ids", "--random-sets", 3)
    assert " chosen" in text
    assert "nine of ten of 3 random sets" in text
    assert "Words" not in text


def test_vectors_alone(here):
    found = json.loads(call("--embeddings", "x.npy", "--json"))
    report = diversity(POINTS).pool
    assert found["sets"] == []
    assert found["pool"] == pytest.approx(report)
    text = call("--embeddings", "x.npy")
    assert "covering radius" not in text
    assert f"{report['vendi_1']:.4g}" in text


def test_labels_of_a_file_of_records(here):
    (here / "records.jsonl").write_text(
        "".join(json.dumps({"kind": None if row < 6 else f"k{row % 3}"}) + "\n" for row in range(N))
    )
    (here / "rows.txt").write_text("1\n6\n9\n")
    words = ("--embeddings", "x.npy", "--chosen", "rows.txt", "--columns", "records.jsonl", "--labels", "kind")
    found = json.loads(call(*words, "--json"))
    assert (found["n_cells"], found["n_without_label"]) == (3, 6)
    assert found["sets"][0]["measures"]["cells_hit"]["value"] == pytest.approx(1 / 3)
    assert "Coverage of 3 labels in 'kind'; 6 rows have none" in call(*words)
    with pytest.raises(
        SelectionError, match="--labels needs a column 'kin', which is not there. Known: kind; --columns gives more"
    ):
        call("--embeddings", "x.npy", "--columns", "records.jsonl", "--labels", "kin")


def test_vectors_that_cannot_be_measured(here):
    for text, error, message in (
        ("", SelectionError, "rows.txt names no rows. Give one a line"),
        ("50\n", SelectionError, r"line 1: row 50 is outside 0\.\.49"),
        ("3\n3\n", SelectionError, "line 2: row 3 is chosen already in line 1"),
    ):
        (here / "rows.txt").write_text(text)
        with pytest.raises(error, match=message):
            call("--embeddings", "x.npy", "--chosen", "rows.txt")
    with pytest.raises(PoolError, match="no.txt"):
        call("--embeddings", "x.npy", "--chosen", "no.txt")
    with pytest.raises(EmbedError, match="no.npy"):
        call("--embeddings", "no.npy")
    with pytest.raises(SelectionError, match="cannot make 51 cells of 50 rows. Lower --cells"):
        call("--embeddings", "x.npy", "--cells", 51)
    for value, error, message in ((np.nan, NonFiniteError, "in the rows 4"), (0, EmbedError, "the rows 4 are all zeros")):
        points = POINTS.copy()
        points[4] = value
        np.save("bad.npy", points)
        with pytest.raises(error, match=message):
            call("--embeddings", "bad.npy")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a run folder, or a file of --embeddings"),
        (["--embeddings", "x.npy", "--model", "m"], "--model embeds the pool of a run"),
        (["--embeddings", "x.npy", "--labels", "a"], "Give --columns"),
        (["run", "--labels", "a", "--cells", "3"], "give --labels or --cells, not both"),
        (["run", "--chosen", "c"], "leave out --chosen"),
        (["run", "--columns", "c"], "leave out --chosen and --columns"),
        (["run", "--embeddings", "x.npy", "--model", "m"], "give --model or a file of --embeddings, not both"),
        (["run", "cell=0"], "'cell=0' is no setting of this verb"),
    ],
)
def test_wrong_usage_exits_with_2(words, message):
    ended = CliRunner().invoke(app, ["diversity", *words], env={"COLUMNS": "300"})
    assert ended.exit_code == 2
    assert message in " ".join(ended.output.replace("│", " ").split())


# --- tables


def test_a_value_says_on_which_side_of_the_band_it_lies():
    band = {"random_low": 1.0, "random_high": 2.0}
    assert [side_of_band({"value": value, **band}) for value in (0.9, 1.0, 2.0, 2.1)] == ["-", " ", " ", "+"]
    assert side_of_band({"value": 3.0}) == " "
    assert side_of_band({"value": None, "random_low": None, "random_high": None}) == " "


def test_numbers_are_short():
    numbers = [(0.0123456, 4), (12.3456, 4), (12345.6, 4), (999.7, 3), (1e12, 4), (0.0, 4), (None, 4)]
    assert [digits(value, n) for value, n in numbers] == [
        "0.01235",
        "12.35",
        "12,346",
        "1,000",
        "1e+12",
        "0",
        "·",
    ]
