import math
import warnings

import numpy as np
import pytest
import torch

from diverseevol import vendi
from diverseevol.errors import ConfigError, EmbedError, NonFiniteError
from diverseevol.vendi import vendi_score


def package_score(embeddings, q):
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package imports names that scipy has deprecated
        return pytest.importorskip("vendi_score.vendi").score_K(units @ units.T, q="inf" if q == math.inf else q)


@pytest.mark.parametrize("q", [0.5, 1.0, 2.0, 7.0, math.inf])
@pytest.mark.parametrize("shape", [(30, 90), (60, 60), (1, 5)])
def test_equals_the_published_package(shape, q):
    embeddings = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
    assert vendi_score(embeddings, q) == pytest.approx(package_score(embeddings, q), abs=1e-6)


@pytest.mark.parametrize("q", [1.0, 2.0, math.inf])
def test_more_rows_than_columns_gives_the_same_through_the_small_matrix(q, monkeypatch):
    monkeypatch.setattr(vendi, "BLOCK_ROWS", 37)
    embeddings = np.random.default_rng(1).normal(size=(200, 12)) + 0.5
    assert vendi_score(embeddings, q) == pytest.approx(package_score(embeddings, q), abs=1e-6)


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
