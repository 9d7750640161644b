"""Near-duplicates among many texts: every text that is as similar as the threshold to an earlier one that stays.

Texts are looked at in order. One that is similar enough to a text that stays is a duplicate of the most similar such text (of equals the
first); otherwise it stays. So no two texts that stay are near-duplicates, and every duplicate has one that stays beside it: no
chain of small steps ties unlike texts together, as connected components do. Band keys (minhash.py) only propose; the true
Jaccard similarity of the shingle sets decides.
Cost: linear in the texts that share a band with another; B keys of 4 bytes a text. A key remembers `MAX_MET` texts at most and a text is
compared with as many at most, so that a pool of one template stays linear, at the price of missing duplicates there.
Shape letters: T texts, B bands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...progress import SILENT, Watch
from .minhash import least_jaccard

MAX_MET = 64


class Near(NamedTuple):
    """A text, the earlier one that it repeats, and their Jaccard similarity."""

    text: int
    kept: int
    similarity: float


def near_duplicates(
    keys_TB: NDArray[np.uint32], shingles_of: Callable[[int], NDArray[np.uint64]], threshold: float, watch: Watch = SILENT
) -> list[Near]:
    """The texts that repeat an earlier one, ascending.

    Args:
        keys_TB: The texts' band keys.
        shingles_of: Gives a text's shingles, ascending and without repetitions; a text without any repeats none.
        threshold: The least Jaccard similarity of near-duplicates.
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


def _most_similar(
    text: int, names: Sequence[int], buckets: Mapping[int, Sequence[int]], shingles_of: Callable[[int], NDArray[np.uint64]]
) -> Near | None:
    """The text in the same buckets that is most like `text`, of equals the first; None where there is none."""
    own = shingles_of(text)
    met = Counter(other for name in names for other in buckets.get(name, ())) if len(own) else Counter[int]()
    found = [Near(text, other, least_jaccard(own, shingles_of(other))) for other, _ in met.most_common(MAX_MET)]
    return max(found, key=lambda near: (near.similarity, -near.kept), default=None)


def _meeting(keys_TB: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The texts that share a band's key with another, ascending."""
    is_meeting = np.zeros(len(keys_TB), dtype=bool)
    for keys in keys_TB.T:
        order = np.argsort(keys, kind="stable")
        is_same = keys[order][1:] == keys[order][:-1]
        is_meeting[order[1:][is_same]] = True
        is_meeting[order[:-1][is_same]] = True
    return np.flatnonzero(is_meeting)
