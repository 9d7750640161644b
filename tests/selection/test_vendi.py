import math
import warnings

import numpy as np
import pytest
import torch

from diverseevol.errors import ConfigError, EmbedError, NonFiniteError
from diverseevol.selection import vendi
from diverseevol.selection.vectors import open_vectors
from diverseevol.selection.vendi import vendi_score


def units_of(embeddings):
    units = embeddings / np.abs(embeddings).max(axis=1, keepdims=True)
    return units / np.linalg.norm(units, axis=1, keepdims=True)


def package_score(embeddings, q, is_dual=None):
    """The published package: by X Xᵀ, or by Xᵀ X where that is the smaller one."""
    units, order = units_of(embeddings), "inf" if q == math.inf else q
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package imports names that scipy has deprecated
        package = pytest.importorskip("vendi_score.vendi")
        if len(units) > units.shape[1] if is_dual is None else is_dual:
            return package.score_dual(units, q=order, normalize=False)
        return package.score_K(units @ units.T, q=order)


def exact_score(embeddings, q, rank):
    """From the singular values, whose squares keep half the digits more; those beyond the rank are noise and left out."""
    shares = np.linalg.svd(units_of(embeddings), compute_uv=False)[:rank] ** 2 / len(embeddings)
    if q == 1:
        return math.exp(-(shares * np.log(shares)).sum())
    return 1 / shares.max() if q == math.inf else (shares**q).sum() ** (1 / (1 - q))


def random_input(seed):
    rng = np.random.default_rng(seed)
    shape = rng.integers(2, 120, 2)
    return rng.normal(size=shape) * rng.uniform(0.3, 3, shape[1]) + rng.normal()


GENERATOR = np.random.default_rng(7)
DEGENERATE = {
    "one row": (GENERATOR.normal(size=(1, 7)), 1),
    "equal rows": (np.repeat(GENERATOR.normal(size=(1, 9)), 40, axis=0) * np.arange(1, 41)[:, None], 1),
    "orthogonal rows": (np.linalg.qr(GENERATOR.normal(size=(12, 12)))[0], 12),
    "more rows than columns": (GENERATOR.normal(size=(300, 10)), 10),
    "rank 3": (GENERATOR.normal(size=(60, 3)) @ GENERATOR.normal(size=(3, 80)), 3),
    "huge": (GENERATOR.normal(size=(30, 50)) * 1e200, 30),
    "tiny": (GENERATOR.normal(size=(50, 20)).astype(np.float32) * 1e-30, 20),
}


@pytest.mark.parametrize("q", vendi.ORDERS)
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_published_package_on_random_rows(seed, q):
    embeddings = random_input(seed)
    score = vendi_score(embeddings, q)
    assert score == pytest.approx(package_score(embeddings, q), abs=1e-6)
    assert score == pytest.approx(exact_score(embeddings, q, min(embeddings.shape)), rel=1e-9)


@pytest.mark.parametrize("q", vendi.ORDERS)
@pytest.mark.parametrize("name", DEGENERATE)
def test_equals_the_published_package_and_the_exact_score_on_degenerate_rows(name, q):
    embeddings, rank = DEGENERATE[name]
    score = vendi_score(embeddings, q)
    assert score == pytest.approx(package_score(embeddings.astype(np.float64), q), abs=1e-6)
    assert score == pytest.approx(exact_score(embeddings.astype(np.float64), q, rank), rel=1e-9)


def test_rounding_noise_does_not_count_where_the_package_counts_it():
    embeddings, rank = DEGENERATE["more rows than columns"]
    exact = exact_score(embeddings, 0.5, rank)
    assert (
        package_score(embeddings, 0.5, is_dual=False) - exact > 1e-6
    )  # 290 eigenvalues that should be 0: half of them count by their roots
    assert vendi_score(embeddings, 0.5) == pytest.approx(exact, abs=1e-10)
    assert vendi_score(DEGENERATE["equal rows"][0], 0.5) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("n", [8, 9, 40])
def test_one_call_for_all_orders_and_sizes_equals_many(n, monkeypatch):
    monkeypatch.setattr(vendi, "BLOCK_NUMBERS", 24)
    embeddings = np.random.default_rng(3).normal(size=(n, 8)) + 0.3
    sizes = [size for size in (1, 2, 7, 8, 9, 13, 40) if size <= n]
    found = vendi.vendi_scores(embeddings, sizes=sizes)
    assert found.shape == (len(sizes), 4)
    for size, scores in zip(sizes, found, strict=True):
        for q, score in zip(vendi.ORDERS, scores, strict=True):
            assert score == pytest.approx(vendi_score(embeddings[:size], q), rel=1e-10)


def test_all_orders_are_one_eigenvalue_problem(monkeypatch):
    calls = []
    eigvalsh = np.linalg.eigvalsh
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda kernel: calls.append(kernel.shape) or eigvalsh(kernel))
    vendi.vendi_scores(np.random.default_rng(0).normal(size=(30, 6)))
    vendi.vendi_scores(np.random.default_rng(0).normal(size=(5, 6)))
    assert calls == [(6, 6), (5, 5)]


def test_sizes_that_are_none():
    for sizes in ([0, 2], [2, 5], [3, 2]):
        with pytest.raises(EmbedError, match="sizes must ascend from 1 to at most 4, the number of rows; found"):
            vendi.vendi_scores(np.eye(4), sizes=sizes)


@pytest.mark.parametrize("q", [0.0, 0.3, 1.0, 3.0, math.inf])
def test_counts_different_directions_whatever_their_length(q):
    embeddings = np.repeat(np.eye(5), 3, axis=0) * np.arange(1, 16)[:, None]
    assert vendi_score(embeddings, q) == pytest.approx(5)
    assert vendi_score(embeddings[:3], q) == pytest.approx(1)


def test_reads_any_kind_of_array(tmp_path):
    embeddings = np.random.default_rng(2).normal(size=(40, 8)).astype(np.float16)
    expected = vendi_score(embeddings.astype(np.float64))
    np.save(tmp_path / "e.npy", embeddings)
    assert vendi_score(np.load(tmp_path / "e.npy", mmap_mode="r")) == expected
    assert vendi_score(open_vectors(tmp_path / "e.npy")) == expected
    assert vendi_score(torch.from_numpy(embeddings).requires_grad_()) == expected
    assert vendi_score(torch.from_numpy(embeddings).bfloat16()) == pytest.approx(expected, rel=0.01)
    assert vendi_score(embeddings.astype(np.float64) * 1e200) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("embeddings", "q", "error", "message"),
    [
        (np.ones(3), 1, EmbedError, r"2-D array of at least one row; found the shape \(3,\)"),
        (np.ones((0, 3)), 1, EmbedError, r"found the shape \(0, 3\)"),
        (np.ones((3, 2)), -1, ConfigError, "order q must be 0 or more, up to infinity; found -1"),
        (np.ones((3, 2)), math.nan, ConfigError, "found nan"),
        (np.array([[1, 1], [0, 0]]), 1, EmbedError, "the rows 1 are all zeros"),
        (np.array([[1, 1], [np.nan, 1], [np.inf, 1]]), 1, NonFiniteError, "in the rows 1, 2"),
    ],
)
def test_says_what_is_wrong(embeddings, q, error, message):
    with pytest.raises(error, match=message):
        vendi_score(embeddings, q)
