"""Near-duplicates among many texts: every text that is as similar as the threshold to an earlier one that stays.

Source: Broder, "On the resemblance and containment of documents" (1997); bands as in Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", chapter 3. A text is the set of its runs of `WIDTH` characters, which suits every script; datasketch makes the MinHash
signatures. Texts of similarity s share a band of r functions with probability s^r; with b bands they meet with 1 - (1 - s^r)^b.
Meeting only proposes: the true Jaccard similarity of the sets decides. Texts are looked at in order. One that is similar enough to a
text that stays is a duplicate of the most similar such text (of equals the first); otherwise it stays. So no two texts that stay are
near-duplicates, and every duplicate has one that stays beside it: no chain of small steps ties unlike texts together, as connected
components do.
Cost: some 0.6 ms a text of 350 characters; 4 bytes a band and text (datasketch's own index, MinHashLSH, needs 10 kB a text). A key
remembers `MAX_MET` texts at most and a text is compared with as many at most, so that a pool of one template stays linear, at the
price of missing duplicates there.
Shape letters: T texts, B bands, R functions a band.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...base.progress import SILENT, Watch

WIDTH = 5
"""Characters of a shingle."""
N_HASHES = 128
MISSED = 0.01
"""Share of the pairs exactly at the threshold that may never meet; those a little above it are missed far more rarely."""
MAX_MET = 64

Shingles = tuple[set[str], ...]
"""A text's shingles: a set for each of the parts that are compared one by one."""


class Near(NamedTuple):
    """A text, the earlier one that it repeats, and their similarity."""

    text: int
    kept: int
    similarity: float


def shingles(text: str) -> set[str]:
    """A text's runs of `WIDTH` characters; a shorter text is filled up with blanks, an empty one has none."""
    filled = text.ljust(WIDTH) if text else ""
    return {filled[at : at + WIDTH] for at in range(len(filled) - WIDTH + 1)}


def jaccard(one: set[str], other: set[str]) -> float:
    """The Jaccard similarity of two sets, 1 of two empty ones."""
    n_both = len(one & other)
    return n_both / (len(one) + len(other) - n_both) if one or other else 1.0


def least_jaccard(one: Shingles, other: Shingles) -> float:
    """The Jaccard similarity of the part in which two texts differ most."""
    return min(map(jaccard, one, other))


def rows_per_band(threshold: float) -> int:
    """As many functions a band as find all but `MISSED` of the pairs at the threshold: the fewest false alarms."""
    fitting = [r for r in range(1, 33) if (1 - threshold**r) ** (N_HASHES // r) <= MISSED]
    return max(fitting, default=1)


def band_keys(
    texts: Iterable[Shingles], n_texts: int, threshold: float, watch: Watch = SILENT
) -> NDArray[np.uint32]:
    """A key a band for every text, uint32[T, B]; texts whose functions agree in a band have the same.

    Args:
        texts: The texts, which may be made one by one.
        n_texts: How many they are.
        threshold: The similarity from which on they shall meet.
        watch: Sees the progress.
    """
    from datasketch import MinHash

    n_rows = rows_per_band(threshold)
    n_bands = N_HASHES // n_rows
    keys_TB = np.empty((n_texts, n_bands), dtype=np.uint32)
    factors_R = np.random.default_rng(0).integers(1 << 64, size=n_rows, dtype=np.uint64) | np.uint64(1)
    named = ([f"{part}{shingle}" for part, some in enumerate(text) for shingle in some] for text in texts)
    with watch.task("compare texts", n_texts, "rows") as task:
        for at, signature in enumerate(MinHash.generator(named, num_perm=N_HASHES, hashfunc=_hash)):
            signed_BR = signature.hashvalues[: n_bands * n_rows].reshape(n_bands, n_rows).astype(np.uint64)
            keys_TB[at] = (signed_BR * factors_R).sum(axis=1) >> np.uint64(32)
            task.advance()
    return keys_TB


def near_duplicates(
    keys_TB: NDArray[np.uint32],
    shingles_of: Callable[[int], Shingles],
    threshold: float,
    watch: Watch = SILENT,
) -> list[Near]:
    """The texts that repeat an earlier one, ascending.

    Args:
        keys_TB: The texts' band keys.
        shingles_of: Gives a text's shingles; a text without any repeats none.
        threshold: The least similarity of near-duplicates.
        watch: Sees the progress.
    """
    found: list[Near] = []
    buckets: dict[int, list[int]] = {}
    meeting = _meeting(keys_TB).tolist()
    with watch.task("compare similar texts", len(meeting), "rows") as task:
        for text in meeting:
            task.advance()
            names = [band << 32 | key for band, key in enumerate(keys_TB[text].tolist())]
            best = _most_similar(text, names, buckets, shingles_of)
            if best and best.similarity >= threshold:
                found.append(best)
                continue
            for name in names:
                bucket = buckets.setdefault(name, [])
                if len(bucket) < MAX_MET:
                    bucket.append(text)
    return found


def _hash(shingle: str) -> int:
    return zlib.crc32(shingle.encode("utf-8", "surrogatepass"))


def _most_similar(
    text: int,
    names: Sequence[int],
    buckets: Mapping[int, Sequence[int]],
    shingles_of: Callable[[int], Shingles],
) -> Near | None:
    """The text in the same buckets that is most like `text`, of equals the first; None where there is none."""
    own = shingles_of(text)
    met = Counter(other for name in names for other in buckets.get(name, ())) if any(own) else Counter[int]()
    found = [
        Near(text, other, least_jaccard(own, shingles_of(other))) for other, _ in met.most_common(MAX_MET)
    ]
    return max(found, key=lambda near: (near.similarity, -near.kept), default=None)


def _meeting(keys_TB: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The texts that share a band's key with another, ascending."""
    is_meeting = np.zeros(len(keys_TB), dtype=bool)
    for keys in keys_TB.T:
        _, group_of, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        is_meeting |= sizes[group_of] > 1
    return np.flatnonzero(is_meeting)
