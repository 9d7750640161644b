"""Sharing a number of picks out over groups, in whole numbers: by shares, what each has and what it can give.

Source: the method of the largest remainder (Hamilton),
https://en.wikipedia.org/wiki/Largest_remainders_method.
Shape letters: G groups.
"""

from __future__ import annotations

import numpy as np

ROUNDING = 9  # digits of a remainder that count, so that equal shares have equal ones


def share_out(
    n: int, shares_G: np.ndarray, room_G: np.ndarray, have_G: np.ndarray | None = None
) -> np.ndarray:
    """Share `n` out so that what the groups have afterwards comes as near to the shares as it can: int64[G].

    A group's exact due is level × share - have, but not below 0 nor above its room, with the one level at
    which the dues add up to `n`; so a group that runs out gives its rest to the others, in proportion. Each
    gets the whole part of its due, and the largest remainders one more (of equal ones the first).
    A group of share 0 gets nothing; the room of the others must suffice.
    """
    have_G = np.zeros(len(shares_G)) if have_G is None else have_G
    has_share = shares_G > 0
    assert room_G[has_share].sum() >= n, "fewer than n can be given"

    def dues_at(level: float) -> np.ndarray:
        return np.where(has_share, np.clip(level * shares_G - have_G, 0, room_G), 0)

    low, high = 0.0, float(((room_G + have_G)[has_share] / shares_G[has_share]).max())
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if dues_at(middle).sum() < n else (low, middle)
    due_G = dues_at(high)
    whole_G = np.floor(due_G + 10.0**-ROUNDING).astype(np.int64)
    order = np.argsort(-np.round(due_G - whole_G, ROUNDING), kind="stable")
    whole_G[order[: n - whole_G.sum()]] += 1
    return whole_G
