"""Which rows are picked: held against the definitions word for word, against published figures, and through the command line."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from outside import must, read_jsonl, refused, run_cli, run_process
from sklearn.datasets import load_diabetes, load_digits

from diverseevol import DiverseEvolError, select, vendi_score


def farthest_first(rows, chosen, n_new):
    """Greedy K-Center by its definition: float64, direct differences, equal distances to the lowest row."""
    points = np.asarray(rows, dtype=np.float64)
    nearest = np.full(len(points), np.inf)
    for row in chosen:
        nearest = np.minimum(nearest, np.square(points - points[row]).sum(axis=1))
    picks, gone = [], list(chosen)
    for _ in range(n_new):
        nearest[gone] = -1
        picks.append(int(nearest.argmax()))
        gone.append(picks[-1])
        nearest = np.minimum(nearest, np.square(points - points[picks[-1]]).sum(axis=1))
    return picks


def odd_pools():
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(160, 12)).astype(np.float32)
    copies = plain[rng.integers(0, 40, 160)]
    return {
        "duplicates": copies,
        "near duplicates": (copies * (1 + 1e-6 * rng.normal(size=copies.shape))).astype(np.float32),
        "zeros among them": np.where(rng.random((160, 1)) < 0.5, 0, plain),
        "all equal": np.full((160, 12), 0.3, np.float32),
        "squares overflow in float32": plain * np.float32(1e25),
        "squares vanish in float32": plain * np.float32(1e-30),
        "norms of all sizes": plain * np.float32(10) ** rng.integers(-12, 12, (160, 1)),
        "a large offset": plain.astype(np.float64) + 1e9,
        "float16 near its end": np.clip(plain * 3e4, -65504, 65504).astype(np.float16),
        "whole numbers": rng.integers(0, 3, (160, 4)).astype(np.int8),
        "one dimension": rng.integers(0, 99, (160, 1)).astype(np.float32),
        "every other column": np.repeat(plain, 2, axis=1)[:, ::2],
        "column by column": np.asfortranarray(plain),
        "backwards": plain[::-1],
    }


@pytest.mark.parametrize("kind", odd_pools())
def test_k_center_is_the_definition_pick_for_pick(kind):
    rows = odd_pools()[kind]
    for chosen in ([7], [159, 3, 40, 41], list(range(0, 160, 2))):
        n_new = len(rows) - len(chosen)  # every row that is left
        expected = farthest_first(rows, chosen, n_new)
        for block_rows in (None, 7):
            assert select(rows, chosen, n_new, block_rows=block_rows).rows.tolist() == expected


def test_k_center_reads_every_kind_of_array_alike(tmp_path):
    rows = odd_pools()["near duplicates"]
    np.save(tmp_path / "x.npy", rows)
    expected = farthest_first(rows, [5, 2], 30)
    for form in (np.load(tmp_path / "x.npy", mmap_mode="r"), torch.from_numpy(rows), torch.from_numpy(rows.T.copy()).T):
        assert select(form, [5, 2], 30).rows.tolist() == expected
    halves = torch.from_numpy(rows).bfloat16()
    assert select(halves, [5, 2], 30).rows.tolist() == farthest_first(halves.float().numpy(), [5, 2], 30)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("strategy", ["k_center", "k_means", "vendi", "facility_location"])
def test_rows_that_are_no_numbers_are_named(bad, strategy):
    rows = odd_pools()["backwards"].copy()
    rows[33, 3] = bad
    with pytest.raises(DiverseEvolError, match="33"):
        select(rows, [1], 5, strategy=strategy)
    left_out = np.arange(len(rows)) != 33
    assert 33 not in select(rows, [1], 5, strategy=strategy, selectable=left_out).rows


def test_k_center_finds_the_farthest_points_of_scikit_matter():
    """Its tests/test_sample_simple_fps.py at 929fd4d (BSD-3): the diabetes data from row 0."""
    rows = load_diabetes().data
    assert select(rows, [0], 9).rows.tolist() == [123, 441, 187, 117, 276, 261, 281, 251, 193]


@pytest.fixture(scope="module")
def digits():
    """Vectors of which the dot product is the squared cosine of two digits."""
    rows = load_digits().data
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    upper = np.triu_indices(rows.shape[1])
    return (rows[:, :, None] * rows[:, None, :])[:, *upper] * np.where(upper[0] == upper[1], 1, np.sqrt(2))


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_facility_location_is_the_greedy_in_float64(digits, dtype):
    """apricot's tests/test_functions/test_facility_location.py at 27b8d27 (MIT); all hundred by the plain greedy."""
    rows = digits.astype(dtype)
    picks = select(rows, [], 100, strategy="facility_location")
    units = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    similar, best, expected, gains = units @ units.T, np.zeros(len(rows)), [], []
    for _ in range(100):
        gain = np.maximum(similar - best[:, None], 0).sum(axis=0)
        expected.append(int(gain.argmax()))
        gains.append(gain.max())
        best = np.maximum(best, similar[expected[-1]])
    assert picks.rows.tolist() == expected
    assert picks.columns["gain"] == pytest.approx(gains, abs=1e-9)
    if dtype is np.float64:
        assert expected[:10] == [424, 615, 1545, 1385, 1482, 112, 1539, 1075, 331, 493]
        assert gains[:5] == pytest.approx([1126.631, 76.1809, 43.868, 35.4606, 33.088], abs=1e-3)


def test_vendi_score_gives_the_published_figures():
    """vendi-score's README: kernels of its examples, as vectors with those cosines."""

    def vectors(kernel):
        values, directions = np.linalg.eigh(np.array(kernel))
        return directions * np.sqrt(np.maximum(values, 0))

    samples = np.array([0, 0, 10, 10, 20, 20])
    assert vendi_score(vectors(np.exp(-np.abs(samples[:, None] - samples)))) == pytest.approx(2.99999999588, abs=1e-9)
    assert vendi_score(vectors([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])) == pytest.approx(2.15730048338, abs=1e-9)
    assert vendi_score(np.array([[100.0, 0], [99, 1], [1, 99], [0, 100]])) == pytest.approx(1.99989799128, abs=1e-9)


def test_select_on_two_processes_picks_what_one_picks(tmp_path):
    rows = odd_pools()["duplicates"]
    np.save(tmp_path / "x.npy", rows)
    (tmp_path / "chosen.txt").write_text("5\n2\n")
    words = ["select", "--embeddings", tmp_path / "x.npy", "--chosen", tmp_path / "chosen.txt", "--n-new", 30, "--out"]
    must(run_cli(*words, tmp_path / "one.jsonl"))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "diverseevol"]
    ended = subprocess.run([*launcher, *map(str, words), tmp_path / "two.jsonl"], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    picks = read_jsonl(tmp_path / "one.jsonl")
    assert read_jsonl(tmp_path / "two.jsonl") == picks
    assert [pick["row"] for pick in picks] == farthest_first(rows, [5, 2], 30)
    refused(run_cli("select", "--embeddings", tmp_path / "x.npy", "--n", 3, "--out", tmp_path / "p.jsonl"), "--n-new")


HOW_TO_WAIT = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.mark.skipif(sys.platform != "linux", reason="the OpenMP of other systems shows its settings otherwise")
@pytest.mark.parametrize(("given", "shown"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "active"}, "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(given, shown, tmp_path, monkeypatch):
    """OpenMP itself says how it waits when torch loads it: from Python and from the command line."""
    for name in HOW_TO_WAIT:
        monkeypatch.delenv(name, raising=False)
    np.save(tmp_path / "x.npy", odd_pools()["backwards"])
    from_python = [sys.executable, "-c", "import diverseevol, torch"]
    said = subprocess.run(
        from_python, capture_output=True, text=True, env=os.environ | {"OMP_DISPLAY_ENV": "verbose"} | given, timeout=60
    ).stderr
    assert f"OMP_WAIT_POLICY = '{shown}'" in said
    assert ("GOMP_SPINCOUNT = '3000'" in said) == (not given)
    if not given:
        words = ("select", "--embeddings", tmp_path / "x.npy", "--n-new", 3, "--out", tmp_path / "p.jsonl")
        assert "OMP_WAIT_POLICY = 'PASSIVE'" in must(run_process(*words, OMP_DISPLAY_ENV="true")).err


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_a_users_own_time_of_spinning_is_left_alone(name):
    environment = {key: value for key, value in os.environ.items() if key not in HOW_TO_WAIT} | {name: "5"}
    code = "import diverseevol, os, sys; print('OMP_WAIT_POLICY' in os.environ, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60).stdout
    assert said.split() == ["False", "False"]
