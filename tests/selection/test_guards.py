import numpy as np
import pytest

from diverseevol.errors import PoolExhaustedError, SelectionError
from diverseevol.selection import Signals, make_strategy
from diverseevol.selection.isolation import isolation_of
from diverseevol.selection.reader import RowReader

POINTS = np.random.default_rng(0).normal(size=(100, 6))
COLUMNS = {
    "loss": np.random.default_rng(1).random(100),
    "length": np.arange(100),
    "score": np.where(np.arange(100) % 10 == 0, np.nan, np.arange(100) % 7),
    "name": np.full(100, "x"),
}


def pick(n_new=20, chosen=(2, 50), selectable=None, strategy="k_center", points=POINTS, **options):
    signals = Signals(len(points), points, COLUMNS if len(points) == 100 else {}, selectable)
    return make_strategy(strategy, **options).select(signals, np.array(chosen, dtype=int), n_new, np.random.default_rng(3))


def expected(kept_out, n_new=20):
    selectable = np.ones(100, dtype=bool)
    selectable[kept_out] = False
    return pick(n_new, selectable=selectable).rows.tolist()


def test_minimum_keeps_out_what_is_below_or_missing():
    free = np.setdiff1d(np.arange(100), [2, 50])
    low = [row for row in free if not COLUMNS["score"][row] >= 3 or COLUMNS["length"][row] < 20.5]
    picks = pick(minimum={"score": 3, "length": 20.5})
    assert picks.rows.tolist() == expected(low) and picks.skipped["minimum"].tolist() == low
    assert make_strategy("random", minimum={"score": 3}).needs == {"score"}
    assert make_strategy("k_center", minimum={"score": 3}).needs == {"score", "embedding"}
    assert pick(minimum={"length": 0}).skipped["minimum"].tolist() == []


def test_outliers_by_isolation_leave_planted_junk_alone():
    rng = np.random.default_rng(5)
    points = rng.normal(size=(1500, 8))
    junk = np.sort(rng.choice(1500, 30, replace=False))
    points[junk] += 40 * rng.normal(size=(30, 8))
    assert np.isin(pick(25, (), points=points).rows, junk).all()  # what K-Center does by itself
    picks = pick(30, (), points=points, outliers={"share": 0.02})
    assert picks.skipped["outliers"].tolist() == junk.tolist() and not np.isin(picks.rows, junk).any()


def test_outliers_are_a_share_of_what_may_be_picked_rounded_down():
    free = np.setdiff1d(np.arange(100), [2, 50])
    measure = isolation_of(RowReader(POINTS), free, np.arange(100))
    most = np.sort(free[np.argsort(-measure, kind="stable")[:9]])  # 0.1 × 98
    picks = pick(outliers={"share": 0.1, "by": "isolation"})
    assert picks.skipped["outliers"].tolist() == most.tolist() and picks.rows.tolist() == expected(most)
    assert len(pick(n_new=5, chosen=(), outliers={"share": 0.29}).skipped["outliers"]) == 29
    assert pick(outliers={"share": 0}).rows.tolist() == pick().rows.tolist()


def test_outliers_by_a_signal():
    free = np.setdiff1d(np.arange(100), [2, 50])
    picks = pick(outliers={"share": 0.1, "by": "loss"})
    highest = np.sort(free[np.argsort(-COLUMNS["loss"][free])[:9]])
    assert picks.skipped["outliers"].tolist() == highest.tolist() and picks.rows.tolist() == expected(highest)
    by_score = pick(outliers={"share": 0.11, "by": "score"}).skipped["outliers"]  # 10: those without a value, then the first 6s
    assert by_score.tolist() == sorted([0, 10, 20, 30, 40, 60, 70, 80, 90, 6])
    assert make_strategy("random", outliers={"share": 0.1, "by": "loss"}).needs == {"loss"}
    assert make_strategy("random", outliers={"share": 0.1}).needs == {"embedding"}


def test_guards_add_up_and_only_narrow():
    selectable = np.arange(100) >= 10
    picks = pick(selectable=selectable, minimum={"length": 30}, outliers={"share": 0.5, "by": "loss"})
    low = np.setdiff1d(np.arange(10, 30), [])
    left = np.setdiff1d(np.arange(30, 100), [50])
    highest = np.sort(left[np.argsort(-COLUMNS["loss"][left])[: len(left) // 2]])
    assert picks.skipped["minimum"].tolist() == low.tolist() and picks.skipped["outliers"].tolist() == highest.tolist()
    assert not np.isin(picks.rows, [*range(30), *highest, 50]).any() and selectable.sum() == 90


def test_too_few_left_is_said_with_the_guard():
    with pytest.raises(
        PoolExhaustedError,
        match="cannot select 20 new samples: minimum keeps out 89 and leaves 9 of 100. Lower n_new, or loosen m",
    ):
        pick(minimum={"length": 91})
    with pytest.raises(PoolExhaustedError, match="outliers keeps out 88 and leaves 10 of 100. Lower n_new, or loosen outliers"):
        pick(outliers={"share": 0.9})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minimum": 3}, "minimum must be a mapping of columns to numbers; found 3"),
        ({"minimum": {}}, "found {}"),
        ({"minimum": {"score": "high"}}, "minimum must give each column a number; found 'score': 'high'"),
        ({"minimum": {"scoer": 1}}, "minimum needs the column 'scoer', which is not there. Known: length, loss, name, score."),
        ({"minimum": {"name": 1}}, "minimum needs numbers in the column 'name'; found 'x'"),
        ({"outliers": 0.02}, "outliers must be a mapping of share, by; found 0.02"),
        ({"outliers": {"share": 0.1, "of": "loss"}}, "outliers has no key 'of': its keys are share, by"),
        ({"outliers": {"by": "loss"}}, "outliers.share must be a number from 0 to below 1; found None"),
        ({"outliers": {"share": 1}}, "found 1"),
        ({"outliers": {"share": 0.1, "by": 3}}, "outliers.by must be isolation or the name of a signal or column; found 3"),
        ({"outliers": {"share": 0.1, "by": "los"}}, "outliers needs the column 'los', which is not there"),
    ],
)
def test_says_what_is_wrong(options, message):
    with pytest.raises(SelectionError, match=message):
        pick(**options)


def test_isolation_needs_embeddings():
    strategy = make_strategy("random", outliers={"share": 0.1})
    with pytest.raises(SelectionError, match="outliers needs embeddings and got none"):
        strategy.select(Signals(5), np.array([], int), 1, np.random.default_rng(0))
