"""Ids that follow the content, and draws that follow the ids.

An id is 16 hexadecimal characters of BLAKE2b over the record's canonical JSON: keys sorted, null-valued keys
and our own "_id" left out, so that JSONL and Parquet of the same data agree and the order of the file does
not matter. The second and later records of equal content get "-1", "-2", … in order of appearance. With 64
bits two different records among ten million share their hash with a chance of 3 in a million; they then
differ by the counter like copies.
Cost: 4 µs a record; 8 bytes of memory a record while they are sorted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from fractions import Fraction
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sample import RowError, Sample, Turn

OWN_ID = "_id"
N_HASH = 16
"""Characters of an id that tell the content; the counter of equal records follows them."""
GOLDEN = 0x9E3779B97F4A7C15
_values = attrgetter(*(field.name for field in fields(Turn)))
_HASHED = "\0".join("%s" for _ in fields(Turn))
_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def content_hash(record: dict[str, Any]) -> int:
    """The 64-bit hash of a record's content."""
    if OWN_ID in record:
        record = {key: value for key, value in record.items() if key != OWN_ID}
    try:
        text = _encode(record)
        if ":null" in text:
            text = _encode(_without_nulls(record))
        return _hash(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise RowError("half of a surrogate pair, which is no character") from None
    except ValueError as error:
        raise RowError(f"a number that JSON cannot write: {error}") from None


def dialogue_hash(sample: Sample) -> int:
    """The 64-bit hash of all that is read and trained on of a sample, and of nothing else in its record.

    Two different ones among ten million agree by chance once in 400,000 pools.
    """
    # NUL is no character of a good row's texts, so it separates them.
    said = [_HASHED % _values(turn) for turn in sample.turns]
    return _hash("\0".join([*said, sample.tools]).encode("utf-8", "surrogatepass"))


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def counters(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """How many equal hashes stand before each one."""
    order = np.argsort(hashes, kind="stable")
    ordered, positions = hashes[order], np.arange(len(hashes))
    is_first = np.ones(len(hashes), dtype=bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    counts = np.empty(len(hashes), dtype=np.int64)
    counts[order] = positions - np.maximum.accumulate(np.where(is_first, positions, 0))
    return counts


def id_texts(hashes: NDArray[np.uint64], counts: NDArray[np.int64]) -> list[str]:
    """The ids of hashes and their counters."""
    pairs = zip(hashes.tolist(), counts.tolist(), strict=True)
    return [f"{value:016x}-{count}" if count else f"{value:016x}" for value, count in pairs]


def priorities(hashes: NDArray[np.uint64], counts: NDArray[np.int64], seed: int) -> NDArray[np.uint64]:
    """A pseudo-random number for each id, by the seed and the id alone; the smallest are drawn first.

    The mixing is that of SplitMix64 (Steele, Lea and Flood 2014), on arrays.
    """
    # In whole numbers: NumPy warns where a single one overflows, though not where an array does.
    start = np.uint64(seed * GOLDEN % (1 << 64))
    return _mix(_mix(hashes + start) + counts.astype(np.uint64))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    mixed = values + np.uint64(GOLDEN)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def draw(
    group: NDArray[np.int32],
    rank: NDArray[np.uint64],
    caps: Sequence[int | None],
    weights: Sequence[float | None],
    total: int | None,
) -> NDArray[np.bool_]:
    """Which rows stay: of each group at most its cap, then by the weights, then at most `total` of all.

    The groups' sizes are the largest in proportion to the weights that the rows allow, rounded down, though
    no group that has rows is rounded away; a group without a weight keeps all.

    Args:
        group: The group of each row.
        rank: The priority of each row; the smallest stay, equal ones in order.
        caps: At most so many rows a group.
        weights: The groups' shares, relative to each other.
        total: At most so many rows in all.
    """
    is_kept = np.ones(len(group), dtype=bool)

    def keep_first(rows: NDArray[np.int64], n: int) -> None:
        is_kept[rows[np.argsort(rank[rows], kind="stable")[n:]]] = False

    if any(value is not None for value in (*caps, *weights)):
        rows_of = [np.flatnonzero(group == index) for index in range(len(caps))]
        sizes = [
            len(rows) if cap is None else min(cap, len(rows)) for rows, cap in zip(rows_of, caps, strict=True)
        ]
        exact = [None if weight is None else Fraction(str(weight)) for weight in weights]
        scales = [n / weight for n, weight in zip(sizes, exact, strict=True) if weight is not None and n]
        for rows, n, weight in zip(rows_of, sizes, exact, strict=True):
            keep_first(rows, n if weight is None or not n else min(n, max(1, int(min(scales) * weight))))
    if total is not None:
        keep_first(np.flatnonzero(is_kept), total)
    return is_kept
