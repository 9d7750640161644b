"""MinHash signatures of many texts at once, and the band keys by which similar texts meet.

Source: Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec, Rajaraman and Ullman, "Mining of
Massive Datasets", chapter 3. A text is the set of its runs of `WIDTH` characters, which suits every script. Shingles are hashed by a polynomial over
whole batches of characters, and each of `N_HASHES` hash functions is three array operations on a batch; packages that loop over
shingles or texts in Python need many times as long (benchmarks/overlap.py).
Texts of similarity s share a band of r functions with probability s^r; with b bands they meet with 1 - (1 - s^r)^b.
Cost: some 0.3 s a million characters on one core; 4 bytes a band and text.
Shape letters: T texts, S shingles, K hash functions, B bands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 5
"""Characters of a shingle."""
N_HASHES = 128
MISSED = 0.01
"""Share of the pairs exactly at the threshold that may never meet; those a little above it are missed far more rarely."""
PART_BITS = np.uint64(2)
BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
PART = 1 << 16
"""Shingles worked on at once: they stay in a core's cache through all hash functions."""


def shingles(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The 64-bit hashes of every text's shingles, in order and with repetitions.

    A text shorter than a shingle is filled up with blanks; an empty one has none.

    Returns:
        uint64[S], and where each text's begin and the last one's end, int64[T + 1].
    """
    filled = [text.ljust(WIDTH) if text else "" for text in texts]
    sizes = np.fromiter(map(len, filled), dtype=np.int64, count=len(filled))
    codes = np.frombuffer("".join(filled).encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    if not len(codes):
        return np.empty(0, dtype=np.uint64), np.zeros(len(texts) + 1, dtype=np.int64)
    hashed = np.zeros(len(codes) - WIDTH + 1, dtype=np.uint64)
    for offset in range(WIDTH):
        hashed *= BASE
        hashed += codes[offset : offset + len(hashed)]
    # Windows that reach into the next text are no shingles.
    n_shingles = np.maximum(sizes - (WIDTH - 1), 0)
    text_of = np.repeat(np.arange(len(texts)), sizes)[: len(hashed)]
    ends = np.cumsum(sizes)
    is_inside = np.arange(len(hashed)) + WIDTH <= ends[text_of]
    return _mixed(hashed[is_inside]), np.r_[0, np.cumsum(n_shingles)]


def shingles_by_part(parts_TP: Sequence[Sequence[str]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """As `shingles`, of texts of several parts; a shingle's highest bits name its part, so that those of two parts are never equal.

    Args:
        parts_TP: As many parts for every text, four at most.
    """
    n_parts = len(parts_TP[0]) if parts_TP else 1
    hashes_S, bounds = shingles([part for parts in parts_TP for part in parts])
    part_of_S = np.repeat(np.arange(len(bounds) - 1, dtype=np.uint64) % np.uint64(n_parts), np.diff(bounds))
    hashes_S = _mixed(hashes_S + part_of_S)
    return (hashes_S >> PART_BITS) | (part_of_S << (np.uint64(64) - PART_BITS)), bounds[::n_parts]


def signatures(hashes_S: NDArray[np.uint64], bounds: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The MinHash signatures of texts, uint32[T, K]; those of empty texts are all ones.

    Args:
        hashes_S: Their shingles.
        bounds: Where each text's begin, and the end.
    """
    factors, terms = _functions()
    low_S = hashes_S.astype(np.uint32)
    signed_TK = np.full((len(bounds) - 1, N_HASHES), 0xFFFFFFFF, dtype=np.uint32)
    filled = np.flatnonzero(np.diff(bounds))
    for some in _parts(bounds, filled):
        start = bounds[some[0]]
        part_S = low_S[start : bounds[some[-1] + 1]]
        values_S = np.empty_like(part_S)
        for number in range(N_HASHES):
            np.multiply(part_S, factors[number], out=values_S)
            np.add(values_S, terms[number], out=values_S)
            signed_TK[some, number] = np.minimum.reduceat(values_S, bounds[some] - start)
    return signed_TK


def band_keys(signed_TK: NDArray[np.uint32], rows_per_band: int) -> NDArray[np.uint32]:
    """A 32-bit key a band, uint32[T, B]; texts whose functions agree in a band have the same."""
    n_bands = N_HASHES // rows_per_band
    keys_TB = np.zeros((len(signed_TK), n_bands), dtype=np.uint64)
    for offset in range(rows_per_band):
        keys_TB = _mixed(keys_TB + signed_TK[:, offset : n_bands * rows_per_band : rows_per_band])
    return (keys_TB >> np.uint64(32)).astype(np.uint32)


def rows_per_band(threshold: float) -> int:
    """As many functions a band as find all but `MISSED` of the pairs at the threshold: the fewest false alarms."""
    fitting = [r for r in range(1, 33) if (1 - threshold**r) ** (N_HASHES // r) <= MISSED]
    return max(fitting, default=1)


def least_jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """The Jaccard similarity of the part in which two texts differ most; of a part that both lack it is 1.

    Args:
        one: A text's shingles by part, ascending and without repetitions.
        other: Another's.
    """
    both = np.intersect1d(one, other, assume_unique=True)
    n_one, n_other, n_both = (
        np.bincount((some >> (np.uint64(64) - PART_BITS)).astype(np.int64), minlength=4) for some in (one, other, both)
    )
    n_either = n_one + n_other - n_both
    return float((n_both[n_either > 0] / n_either[n_either > 0]).min(initial=1.0))


def _parts(bounds: NDArray[np.int64], texts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Texts in runs of about `PART` shingles."""
    cuts = np.flatnonzero(np.diff(bounds[texts] // PART)) + 1
    return [run for run in np.split(texts, cuts) if len(run)]


def _functions() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The K functions x → factor · x + term modulo 2^32; always the same."""
    rng = np.random.default_rng(0)
    return rng.integers(1 << 32, size=N_HASHES, dtype=np.uint32) | np.uint32(1), rng.integers(
        1 << 32, size=N_HASHES, dtype=np.uint32
    )


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(32))) * MIX
    values = (values ^ (values >> np.uint64(32))) * MIX
    return values ^ (values >> np.uint64(32))
