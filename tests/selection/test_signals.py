import numpy as np
import pytest

from diverseevol.errors import SelectionError
from diverseevol.selection import Signals


def test_every_part_has_one_entry_a_row():
    signals = Signals(n_rows=3, embeddings=np.ones((3, 2)), columns={"loss": np.ones(3)}, selectable=np.ones(3, dtype=bool))
    assert signals.columns["loss"].shape == (3,)
    with pytest.raises(SelectionError, match=r"the signal 'loss' must hold 3 values, one a row; found the shape \(2,\)"):
        Signals(n_rows=3, columns={"loss": np.ones(2)})
    with pytest.raises(SelectionError, match=r"embeddings must be 3 rows of one width, a 2-D array; found the shape \(2, 2\)"):
        Signals(n_rows=3, embeddings=np.ones((2, 2)))
