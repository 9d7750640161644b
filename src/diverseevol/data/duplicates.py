"""Duplicates inside a pool: records with the same dialogue, and, if asked for, those with nearly the same.

Exact: the same turns, inputs, thinking and tools to the character; columns beside them (an id, a category) do
not count. Near: the Jaccard similarity of what is asked, of the inputs and of the answers, each as a set of
shingles (runs of characters, which suit every script), is at least the threshold.

Source of near: Broder, "On the resemblance and containment of documents" (1997); bands as in Leskovec,
Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3; datasketch makes the MinHash signatures. Texts
of similarity s share a band of r functions with probability s^r; with b bands they meet with 1 - (1 - s^r)^b.
Meeting only proposes: the true similarity decides. Texts are looked at in order. One that is similar enough
to a text that stays is a duplicate of the most similar such text (of equals the first); otherwise it stays.
So no two texts that stay are near-duplicates, and every duplicate has one that stays
beside it: no chain of small steps ties unlike texts together, as connected components do.
Cost of near: some 0.6 ms a text of 350 characters; 4 bytes a band and text (datasketch's own index needs 10
kB a text). A key remembers `MAX_MET` texts at most and a text is compared with as many at most, so that a
pool of one template stays linear, at the price of missing duplicates there.
Shape letters: R records, T texts, B bands, F functions a band.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base.progress import SILENT, Watch
from .pool import Records
from .sample import Sample

WIDTH = 5
"""Characters of a shingle."""
# Sentences' signs, not those of formulas. Chinese and Japanese stops, between letters, always go.
SIGNS = r"""[.,;:!?"'`…‘’“”«»„¿¡]"""
EDGES = re.compile(rf"(?<!\w){SIGNS}+|{SIGNS}+(?!\w)|[。、「」『』・]")
N_HASHES = 128
MISSED = 0.01
"""Share of the pairs exactly at the threshold that may never meet; above it far fewer are missed."""
MAX_MET = 64
HELD_TEXTS = 512
"""Shingle sets that are held for comparisons, the most recent ones."""

Shingles = tuple[set[str], ...]
"""A text's shingles: a set for each of the parts that are compared one by one."""


class Duplicate(NamedTuple):
    """A record and the earlier one that stays in its place, as positions among the records.

    `kind` is exact or near; `similarity` the Jaccard similarity of the part in which they differ most.
    """

    position: int
    kept: int
    kind: str
    similarity: float


def folded(text: str) -> str:
    """A text without case, in Unicode's compatibility form (NFKC)."""
    # The compatibility form may bring capitals back (㎏ is not kg before it); ASCII is its own.
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def plain(text: str) -> str:
    """A text as it is compared, without what two people write differently who mean the same.

    Case, superfluous blanks and the punctuation at the edges of words go; "5-3" and "5+3", "3.5" and "35"
    stay different.
    """
    return " ".join(EDGES.sub(" ", folded(text)).split())


def shingles(text: str) -> set[str]:
    """A text's runs of `WIDTH` characters; a shorter text is filled up with blanks, an empty one has none."""
    filled = text.ljust(WIDTH) if text else ""
    return {filled[at : at + WIDTH] for at in range(len(filled) - WIDTH + 1)}


def find_duplicates(
    records: Records, is_in: NDArray[np.bool_], threshold: float | None, watch: Watch
) -> list[Duplicate]:
    """The records that repeat an earlier one, ascending; no record is both repeated and a repetition.

    Args:
        records: The records.
        is_in: Which of them count; bool[R].
        threshold: The least similarity of near-duplicates; None: exact ones only.
        watch: Sees the progress of near-duplicates.
    """
    positions, dialogues = np.flatnonzero(is_in), records.table["dialogue"].to_numpy()
    _, first, group_of = np.unique(dialogues[positions], return_index=True, return_inverse=True)
    kept = positions[first[group_of]]
    is_first = kept == positions
    pairs = zip(positions[~is_first].tolist(), kept[~is_first].tolist(), strict=True)
    exact = [Duplicate(position, of, "exact", 1.0) for position, of in pairs]
    if threshold is None:
        return exact
    positions = positions[is_first]
    is_asked = np.zeros(len(records), dtype=bool)
    is_asked[positions] = True
    texts = (_shingles(sample) for _, sample in records.some(is_asked))
    keys_TB = band_keys(texts, len(positions), threshold, watch)

    @lru_cache(HELD_TEXTS)
    def shingles_of(text: int) -> Shingles:
        at = int(positions[text])
        return _shingles(records.samples(at, at + 1)[0])

    near = {}
    for one in near_duplicates(keys_TB, shingles_of, threshold, watch):
        at, of = int(positions[one.position]), int(positions[one.kept])
        near[at] = one._replace(position=at, kept=of)
    # Copies of a record that is dropped itself are near-duplicates of what stays.
    moved = [near[one.kept]._replace(position=one.position) if one.kept in near else one for one in exact]
    return sorted([*moved, *near.values()])


def compared_parts(sample: Sample) -> tuple[str, str, str]:
    """What is asked, the separate input and what is answered, in the form that is compared.

    Each must be alike in near-duplicates: one text for all would call two questions about the same long
    passage duplicates.
    """
    asked = (turn.text for turn in sample.turns if turn.role != "assistant")
    inputs = (turn.input for turn in sample.turns)
    answered = ("\n".join(turn.texts) for turn in sample.turns if turn.role == "assistant")
    return plain("\n".join(asked)), plain("\n".join(inputs)), plain("\n".join(answered))


def _shingles(sample: Sample) -> Shingles:
    return tuple(map(shingles, compared_parts(sample)))


def least_jaccard(one: Shingles, other: Shingles) -> float:
    """The Jaccard similarity of the part in which two texts differ most; 1 of two empty ones."""
    least = 1.0
    for mine, yours in zip(one, other, strict=True):
        n_both = len(mine & yours)
        n_any = len(mine) + len(yours) - n_both
        least = min(least, n_both / n_any if n_any else 1.0)
    return least


def rows_per_band(threshold: float) -> int:
    """As many functions a band as find all but `MISSED` of the pairs at the threshold."""
    fitting = [rows for rows in range(1, 33) if (1 - threshold**rows) ** (N_HASHES // rows) <= MISSED]
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
    factors_F = np.random.default_rng(0).integers(1 << 64, size=n_rows, dtype=np.uint64) | np.uint64(1)
    named = ([f"{part}{shingle}" for part, some in enumerate(text) for shingle in some] for text in texts)
    with watch.task("compare texts", n_texts, "rows") as task:
        for at, signature in enumerate(MinHash.generator(named, num_perm=N_HASHES, hashfunc=_hash)):
            signed_BF = signature.hashvalues[: n_bands * n_rows].reshape(n_bands, n_rows).astype(np.uint64)
            keys_TB[at] = (signed_BF * factors_F).sum(axis=1) >> np.uint64(32)
            task.advance()
    return keys_TB


def _hash(shingle: str) -> int:
    return zlib.crc32(shingle.encode("utf-8", "surrogatepass"))


def near_duplicates(
    keys_TB: NDArray[np.uint32],
    shingles_of: Callable[[int], Shingles],
    threshold: float,
    watch: Watch = SILENT,
) -> list[Duplicate]:
    """The texts that repeat an earlier one, ascending, by their numbers.

    Args:
        keys_TB: The texts' band keys.
        shingles_of: Gives a text's shingles; a text without any repeats none.
        threshold: The least similarity of near-duplicates.
        watch: Sees the progress.
    """
    # Only texts that share a band's key with another can have a near one.
    is_meeting = np.zeros(len(keys_TB), dtype=bool)
    for keys in keys_TB.T:
        _, group_of, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        is_meeting |= sizes[group_of] > 1
    meeting = np.flatnonzero(is_meeting).tolist()
    found: list[Duplicate] = []
    buckets: dict[int, list[int]] = {}
    with watch.task("compare similar texts", len(meeting), "rows") as task:
        for text in meeting:
            task.advance()
            bands = enumerate(keys_TB[text].tolist())
            met = [buckets.setdefault(band << 32 | key, []) for band, key in bands]
            own = shingles_of(text)
            others = Counter(other for bucket in met for other in bucket) if any(own) else Counter[int]()
            near = [
                Duplicate(text, other, "near", least_jaccard(own, shingles_of(other)))
                for other, _ in others.most_common(MAX_MET)
            ]
            best = max(near, key=lambda near: (near.similarity, -near.kept), default=None)
            if best and best.similarity >= threshold:
                found.append(best)
                continue
            for bucket in met:
                if len(bucket) < MAX_MET:
                    bucket.append(text)
    return found
