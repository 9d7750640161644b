import numpy as np
import pytest

from diverseevol.data.overlap import vectors as module
from diverseevol.data.overlap.vectors import near_vectors


def brute_force(vectors, threshold):
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    cosines = (centred / np.where(lengths > 0, lengths, 1)) @ (centred / np.where(lengths > 0, lengths, 1)).T
    kept, found = [], []
    for row in range(len(vectors)):
        best = max(((cosines[row, other], -other) for other in kept), default=(-2, 0))
        if best[0] >= threshold:
            found.append((row, -best[1], pytest.approx(best[0], abs=1e-5)))
        else:
            kept.append(row)
    return found


@pytest.mark.parametrize("block", [3, 64, 1024])
@pytest.mark.parametrize("threshold", [0.6, 0.9, 0.99])
def test_as_brute_force_in_any_blocks(monkeypatch, block, threshold):
    monkeypatch.setattr(module, "BLOCK", block)
    rng = np.random.default_rng(0)
    base = rng.normal(size=(60, 12))
    vectors = 100 + base[rng.integers(60, size=120)] + rng.choice([0.02, 0.2, 0.6], size=(120, 1)) * rng.normal(size=(120, 12))
    vectors = vectors.astype(np.float32)
    expected = brute_force(vectors, threshold)
    assert len(expected) > 5
    assert [tuple(one) for one in near_vectors(vectors, threshold)] == expected


def test_equal_vectors_and_one_at_the_mean(tmp_path):
    vectors = np.array([[1, 0], [1, 0], [-1, 0], [0, 0], [0, 0], [-1, 0]], dtype=np.float32)
    np.save(tmp_path / "x.npy", vectors)
    found = near_vectors(np.load(tmp_path / "x.npy", mmap_mode="r"), 0.99)
    assert [(one.text, one.kept) for one in found] == [(1, 0), (5, 2)]
    assert near_vectors(vectors[:0], 0.5) == []
