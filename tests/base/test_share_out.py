from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diverseevol.base.share_out import share_out


def largest_remainder(n, shares):
    """The textbook, with fractions."""
    dues = [Fraction(n) * share / sum(shares) for share in shares]
    seats = [int(due) for due in dues]
    for group in sorted(range(len(dues)), key=lambda group: (seats[group] - dues[group], group))[: n - sum(seats)]:
        seats[group] += 1
    return seats


@given(st.integers(0, 500), st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any))
def test_equals_the_textbook_where_nothing_is_short(n, shares):
    assert share_out(n, np.array(shares, float), np.full(len(shares), 10**6)).tolist() == largest_remainder(n, shares)


@pytest.mark.parametrize(
    ("n", "shares", "room", "have", "expected"),
    [
        (10, [1, 1, 1], [9, 9, 9], None, [4, 3, 3]),
        (10, [1, 1, 1], [9, 1, 9], None, [5, 1, 4]),  # a group that runs out gives its rest to the others
        (12, [4, 2, 1], [2, 9, 9], None, [2, 7, 3]),  # in proportion
        (10, [0, 1, 1], [9, 9, 9], None, [0, 5, 5]),
        (6, [1, 1, 1], [9, 9, 9], [5, 0, 1], [0, 4, 2]),  # a total of 12: the first is over 4, the others come to 3.5 each
        (6, [1, 1, 1], [9, 9, 9], [2, 0, 1], [1, 3, 2]),
        (3, [1, 1], [3, 0], [0, 0], [3, 0]),
        (2, [1, 4, 1], [9, 9, 9], None, [1, 1, 0]),  # equal remainders, whatever float64 makes of thirds
        (0, [1, 1], [3, 0], None, [0, 0]),
    ],
)
def test_worked_examples(n, shares, room, have, expected):
    have = None if have is None else np.array(have)
    assert share_out(n, np.array(shares, float), np.array(room), have).tolist() == expected


@given(st.data())
def test_never_more_than_the_room_and_never_fewer_than_asked(data):
    groups = data.draw(st.lists(st.tuples(st.floats(0.01, 9), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=9))
    shares, room, have = (np.array(column) for column in zip(*groups, strict=True))
    n = data.draw(st.integers(0, int(room.sum())))
    given_G = share_out(n, shares, room, have)
    assert given_G.sum() == n and (given_G >= 0).all() and (given_G <= room).all()
    levels = (given_G + have) / shares  # nobody who could take more stands far below one who was given some
    for group in np.flatnonzero(given_G > 0):
        assert ((levels[group] - 1 / shares[group] <= levels + 1 / shares + 1e-6) | (given_G == room)).all()
