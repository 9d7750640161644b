import numpy as np

from diverseevol.loop.candidates import Candidates, draw_candidates
from diverseevol.selection import Selection, Signals


def test_candidates_are_the_chosen_and_a_share_of_the_others():
    chosen, excluded = [50, 3], np.array([0, 1])
    rows = draw_candidates(100, chosen, excluded, 0.1, 5, np.random.default_rng(0))
    assert {3, 50} <= set(rows.tolist())
    assert not {0, 1} & set(rows.tolist())
    assert len(rows) == 2 + 10  # a tenth of the 96 others, rounded up
    assert (np.diff(rows) > 0).all()
    assert len(draw_candidates(100, chosen, excluded, 0.1, 40, np.random.default_rng(0))) == 42  # as many as are to be picked
    assert len(draw_candidates(100, chosen, excluded, 0.1, 4000, np.random.default_rng(0))) == 98
    assert draw_candidates(100, chosen, excluded, 1.0, 5, np.random.default_rng(0)) is None
    again = draw_candidates(100, chosen, excluded, 0.1, 5, np.random.default_rng(0))
    assert rows.tolist() == again.tolist()


def test_positions_and_pool_rows():
    rows = np.array([2, 5, 7, 30])
    candidates = Candidates(Signals(n_rows=4), rows)
    assert candidates.positions_of([30, 5]).tolist() == [3, 1]
    picks = Selection(
        np.array([2, 0]), {"distance": np.array([4.0, 3.0]), "nearest_row": np.array([-1, 3])}, {"outliers": np.array([1])}
    )
    found = candidates.in_pool(picks)
    assert found.rows.tolist() == [7, 2]
    assert found.columns["nearest_row"].tolist() == [-1, 30]
    assert found.columns["distance"].tolist() == [4.0, 3.0]
    assert found.skipped["outliers"].tolist() == [5]
    everything = Candidates(Signals(n_rows=4))
    assert everything.positions_of([3, 1]).tolist() == [3, 1]
    assert everything.in_pool(picks) is picks
