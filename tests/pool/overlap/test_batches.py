import numpy as np
import pytest

from diverseevol.pool.overlap import batches
from diverseevol.pool.overlap.batches import sample_batches


def row(number, n_characters=1):
    return {"instruction": f"question {number}", "output": "x" * n_characters}


@pytest.mark.parametrize(("rows", "rows_read"), [(1, 1), (4, 3), (512, 32)])
def test_every_row_that_counts_once_and_in_order(read, monkeypatch, rows, rows_read):
    monkeypatch.setattr(batches, "ROWS", rows)
    monkeypatch.setattr(batches, "ROWS_READ", rows_read)
    records = read([row(number) for number in range(50)])
    for is_in in (np.ones(50, dtype=bool), np.zeros(50, dtype=bool), np.random.default_rng(0).random(50) < 0.3):
        found = list(sample_batches(records, is_in))
        positions = [position for some, _ in found for position in some]
        assert positions == np.flatnonzero(is_in).tolist()
        samples = [sample for _, some in found for sample in some]
        assert samples == [records.sample(position) for position in positions]
        assert all(len(some) < rows + rows_read for some, _ in found)


def test_long_rows_make_small_batches(read, monkeypatch):
    monkeypatch.setattr(batches, "CHARACTERS", 1000)
    monkeypatch.setattr(batches, "ROWS_READ", 2)
    records = read([row(number, 600) for number in range(10)])
    assert [len(some) for some, _ in sample_batches(records, np.ones(10, dtype=bool))] == [2] * 5
