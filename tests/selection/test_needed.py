import numpy as np
import pytest

from diverseevol.errors import NonFiniteError, SelectionError
from diverseevol.selection import Signals
from diverseevol.selection import needed as unit
from diverseevol.selection.reader import RowReader


def test_columns_are_found_or_the_known_ones_listed():
    signals = Signals(2, columns={"b": np.array([1, 2]), "a": np.array(["x", ""])})
    assert unit.numbers_of(signals, "b", "k").tolist() == [1.0, 2.0] and unit.numbers_of(signals, "b", "k").dtype == np.float64
    assert unit.column_of(signals, "a", "k").tolist() == ["x", ""]
    with pytest.raises(SelectionError, match="k needs the column 'c', which is not there. Known: a, b."):
        unit.column_of(signals, "c", "k")
    with pytest.raises(SelectionError, match="Known: none."):
        unit.column_of(Signals(2), "c", "k")
    with pytest.raises(SelectionError, match="k needs numbers in the column 'a'; found 'x', ''. Name a numeric column."):
        unit.numbers_of(signals, "a", "k")


@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_every_rank_hears_of_a_bad_row(on_ranks, n_ranks):
    points = np.ones((9, 2))
    points[7] = np.nan
    for error in on_ranks(n_ranks, lambda: unit.check_rows(RowReader(points), np.arange(9))):
        assert isinstance(error, NonFiniteError) and "infinite values: 7." in str(error)
    assert on_ranks(n_ranks, lambda: unit.check_rows(RowReader(points), np.arange(7))) == [None] * n_ranks
    points[7] = 1e39
    for error in on_ranks(n_ranks, lambda: unit.check_rows(RowReader(points), np.arange(9))):
        assert isinstance(error, SelectionError) and "row 7 are too large for float32. Scale them down." in str(error)
    assert on_ranks(n_ranks, lambda: unit.check_rows(RowReader(points, is_unit=True), np.arange(9))) == [None] * n_ranks


@pytest.mark.parametrize(
    ("value", "is_whole", "is_number"),
    [
        (1, True, True),
        (0, False, True),
        (True, False, False),
        (1.5, False, True),
        (np.int64(3), True, True),
        (np.nan, False, False),
        (np.inf, False, False),
        ("1", False, False),
        (None, False, False),
    ],
)
def test_kinds_of_numbers(value, is_whole, is_number):
    assert unit.is_whole(value) is is_whole and unit.is_number(value) is is_number
