"""Guards, whitened vectors and quotas: each against its definition, and around any strategy."""

import numpy as np
import pytest
import torch

from diverseevol.base.share_out import share_out
from diverseevol.errors import NonFiniteError, PoolExhaustedError, SelectionError
from diverseevol.selection import Signals, make_strategy, select
from diverseevol.selection import options as unit
from diverseevol.selection.options import isolation_of, whiten
from diverseevol.selection.rows import RowReader

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


@pytest.mark.parametrize("offset", [0, 1e4])
def test_isolation_is_its_definition(offset, monkeypatch):
    monkeypatch.setattr(unit, "N_LANDMARKS", 30)
    monkeypatch.setattr(unit, "BLOCK_NUMBERS", 300)
    points = np.random.default_rng(0).normal(size=(90, 5)) + offset
    rows, counted = np.arange(10, 90), np.arange(5, 90)
    landmarks = np.random.default_rng(0).choice(counted, 30, replace=False)
    expected = []
    for row in rows:
        distances = np.linalg.norm(points[row] - points[landmarks[landmarks != row]], axis=1)
        expected.append(np.sort(distances)[3])
    found = isolation_of(RowReader(points), rows, counted)
    assert found == pytest.approx(np.array(expected), rel=1e-6) and found.dtype == np.float32


def test_copies_are_equally_isolated_and_few_rows_are_enough():
    points = np.repeat(np.random.default_rng(1).normal(size=(12, 700)) + 50, 5, axis=0)
    found = isolation_of(RowReader(points), np.arange(60), np.arange(60))
    assert (found.reshape(12, 5) == found[::5, None]).all()
    assert isolation_of(RowReader(np.array([[1.0], [4]])), np.arange(2), np.arange(2)).tolist() == [3, 3]
    assert isolation_of(RowReader(np.ones((1, 2))), np.arange(1), np.arange(1)).tolist() == [np.inf]


def by_svd(points, n):
    """METHOD: mean-centre, covariance, SVD, U · diag(1/√s), first n columns, each row to unit length."""
    centred = points - points.mean(axis=0)
    u, s, _ = np.linalg.svd(np.cov(points.T))
    whitened = centred @ (u @ np.diag(1 / np.sqrt(s)))[:, :n]
    return whitened / np.linalg.norm(whitened, axis=1, keepdims=True)


@pytest.mark.parametrize("n", [1, 4, 9])
def test_whitening_equals_the_singular_value_decomposition(n, monkeypatch):
    monkeypatch.setattr(unit, "BLOCK_NUMBERS", 100)
    points = np.random.default_rng(0).normal(size=(70, 9)) @ np.diag(np.arange(1, 10)) + 30
    for kind in (points, torch.from_numpy(points)):
        found = whiten(kind, n)
        assert found.dtype == np.float32 and found.shape == (70, n)
        assert found @ found.T == pytest.approx(by_svd(points, n) @ by_svd(points, n).T, abs=1e-5)  # up to the columns' signs
    assert np.abs(found) == pytest.approx(np.abs(by_svd(points, n)), abs=1e-5)


def test_only_the_rows_that_count_are_whitened():
    points = np.random.default_rng(1).normal(size=(50, 4))
    rows = np.arange(3, 50, 2)
    expected = whiten(points[rows], 3)
    points[::2] = np.nan
    found = whiten(points, 3, rows)
    assert (found[rows] == expected).all() and not found[::2].any()
    with pytest.raises(NonFiniteError, match="values: 0, 2, 4, 6, 8, …"):
        whiten(points, 3)


def test_a_row_at_the_mean_stays_zero_and_too_many_directions_are_refused():
    points = np.array([[1.0, 0, 5], [-1, 0, 5], [0, 2, 5], [0, -2, 5], [0, 0, 5]])
    assert whiten(points, 2)[4].tolist() == [0, 0]
    with pytest.raises(SelectionError, match="whiten is 3, but the 5 rows vary in 2 directions only. Lower whiten."):
        whiten(points, 3)
    with pytest.raises(SelectionError, match="vary in 0 directions only"):
        whiten(np.full((5, 3), 0.1), 1)


def test_the_option_of_every_strategy_that_needs_embeddings():
    points, selectable = np.random.default_rng(2).normal(size=(60, 6)) * [9, 1, 1, 1, 1, 1], np.arange(60) != 7
    points[7] = np.inf  # neither chosen nor selectable
    chosen, counted = [3, 40], np.delete(np.arange(60), 7)
    expected = select(whiten(points, 4, counted), chosen, 8, selectable=selectable)
    found = select(points, chosen, 8, selectable=selectable, whiten=4)
    assert found.rows.tolist() == expected.rows.tolist() != select(points, chosen, 8, selectable=selectable).rows.tolist()
    selectable[chosen] = False  # chosen rows count all the same
    assert select(points, chosen, 8, selectable=selectable, whiten=4).rows.tolist() == expected.rows.tolist()
    assert make_strategy("k_center", whiten=4).needs == {"embedding"}


GROUPED = np.random.default_rng(0).normal(size=(100, 5))
KINDS = np.array(["qa", "code", "chat", "chat", "chat"])[np.arange(100) % 5]
OF_GROUPS = {"kind": KINDS, "level": np.where(np.arange(100) < 40, np.nan, np.arange(100) % 2), "x": np.zeros(100)}


def pick_shared(n_new, chosen=(), strategy="k_center", by="kind", selectable=None, columns=OF_GROUPS, **shares):
    signals = Signals(100, GROUPED, columns, selectable)
    chooser = make_strategy(strategy, quota={"by": by, **shares})
    return chooser.select(signals, np.array(chosen, dtype=int), n_new, np.random.default_rng(3))


def counts(picks):
    names, found = np.unique(picks.columns["group"], return_counts=True)
    return dict(zip(names.tolist(), found.tolist(), strict=True))


@pytest.mark.parametrize(
    ("shares", "n_new", "expected"),
    [
        ("equal", 30, {"chat": 10, "code": 10, "qa": 10}),
        ("equal", 31, {"chat": 11, "code": 10, "qa": 10}),
        ("equal", 90, {"chat": 50, "code": 20, "qa": 20}),  # two groups run out
        ("proportional", 30, {"chat": 18, "code": 6, "qa": 6}),
        ({"code": 0.5, "chat": 0.25, "qa": 0.25}, 20, {"chat": 5, "code": 10, "qa": 5}),
        ({"code": 3, "qa": 1}, 8, {"code": 6, "qa": 2}),
        ({"code": 3, "qa": 1}, 36, {"code": 20, "qa": 16}),
    ],
)
@pytest.mark.parametrize("strategy", ["k_center", "random", "facility_location"])
def test_each_group_gets_its_share(shares, n_new, expected, strategy):
    picks = pick_shared(n_new, strategy=strategy, shares=shares)
    assert counts(picks) == expected and len(set(picks.rows)) == n_new
    assert (picks.columns["group"] == KINDS[picks.rows]).all()
    for stop in range(1, n_new):  # each beginning keeps to the shares
        for group, total in expected.items():
            assert abs((picks.columns["group"][:stop] == group).sum() - total * stop / n_new) < 2


def test_equals_the_strategy_group_by_group():
    chosen, rng = [4, 11, 50], np.random.default_rng(3)
    picks = pick_shared(17, chosen, shares="proportional")
    free = np.setdiff1d(np.arange(100), chosen)
    names = ["chat", "code", "qa"]
    room = np.array([(KINDS[free] == name).sum() for name in names])
    so_far, expected = list(chosen), []
    for name, n in zip(names, share_out(17, room.astype(float), room), strict=True):
        part = make_strategy("k_center").select(Signals(100, GROUPED, selectable=name == KINDS), np.array(so_far), int(n), rng)
        expected += [
            ((i + 0.5) / n, name, *triple) for i, triple in enumerate(zip(part.rows, part.columns["distance"], strict=True))
        ]
        so_far += part.rows.tolist()
    expected.sort(key=lambda entry: entry[:2])
    assert picks.rows.tolist() == [row for *_, row, _ in expected]
    assert picks.columns["distance"].tolist() == [distance for *_, distance in expected]


def test_groups_of_numbers_and_of_missing_values():
    assert counts(pick_shared(9, by="level")) == {"": 3, "0": 3, "1": 3}
    assert counts(pick_shared(4, by="level", shares={1: 3, 0: 1})) == {"0": 1, "1": 3}
    kinds = np.array(["a", None, 2.0, float("nan")] * 25, dtype=object)
    assert counts(pick_shared(6, columns={"kind": kinds})) == {"": 2, "2": 2, "a": 2}


def test_only_what_may_be_picked_counts_and_guards_come_first():
    selectable = (KINDS == "chat") | (np.arange(100) < 10)
    assert counts(pick_shared(30, (1,), selectable=selectable)) == {"chat": 27, "code": 1, "qa": 2}
    chooser = make_strategy("k_center", quota={"by": "kind"}, minimum={"x": 1}, outliers={"share": 0.1})
    assert chooser.needs == {"embedding", "kind", "x"}
    columns = OF_GROUPS | {"x": np.arange(100.0) - 60}
    picks = chooser.select(Signals(100, GROUPED, columns), np.array([], int), 9, np.random.default_rng(0))
    assert picks.rows.min() > 60 and counts(picks) == {"chat": 3, "code": 3, "qa": 3}
    assert picks.skipped["minimum"].tolist() == list(range(61)) and len(picks.skipped["outliers"]) == 3
    assert len(picks.columns["group"]) == len(picks.columns["distance"]) == 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minimum": 3}, "minimum: least: Input should be a valid dictionary; found 3"),
        ({"minimum": {}}, "minimum: least: Dictionary should have at least 1 item"),
        ({"minimum": {"score": "high"}}, "minimum: least: Input should be a valid number; found 'high'"),
        ({"minimum": {"scoer": 1}}, "minimum needs the column 'scoer', which is not there. Known: length, loss, name, score."),
        ({"minimum": {"name": 1}}, "minimum needs numbers in the column 'name'; found 'x', 'x', 'x'. Name a numeric column."),
        ({"outliers": 0.02}, "outliers must be a mapping of its settings"),
        ({"outliers": {"share": 0.1, "of": "loss"}}, "outliers has no option 'of': its options are share, by"),
        ({"outliers": {"by": "loss"}}, "outliers needs the option 'share'"),
        ({"outliers": {"share": 1}}, "outliers: share: Input should be less than 1; found 1"),
        ({"outliers": {"share": 0.1, "by": "los"}}, "outliers needs the column 'los', which is not there"),
        ({"quota": {"by": "name", "shares": "fair"}}, "quota: shares: Input should be 'equal' or 'proportional'; found 'fair'"),
        ({"quota": {"by": "name", "shares": {"x": -1}}}, "quota: shares: Input should be greater than or equal to 0; found -1"),
        ({"quota": {"by": "name", "shares": {"y": 1}}}, "quota.shares names the group 'y'; 'name' has: x."),
        ({"quota": {"by": "kin"}}, "quota needs the column 'kin', which is not there. Known: length, loss"),
        ({"whiten": True}, "whiten: n: Input should be a valid integer; found True"),
        ({"strategy": "random", "whiten": 3}, "whiten is for strategies that need embeddings; this one needs none"),
    ],
)
def test_says_what_is_wrong(options, message):
    with pytest.raises(SelectionError, match=message):
        pick(**options)


@pytest.mark.parametrize(("strategy", "option"), [("random", {"outliers": {"share": 0.1}}), ("k_center", {"whiten": 3})])
def test_embeddings_are_needed(strategy, option):
    with pytest.raises(SelectionError, match=f"{next(iter(option))} needs embeddings and got none"):
        make_strategy(strategy, **option).select(Signals(5), np.array([], int), 1, np.random.default_rng(0))


def test_groups_without_a_share_do_not_fill_up():
    message = "cannot select 21 new samples: the groups with a share have 20 left. Lower n_new, or"
    with pytest.raises(PoolExhaustedError, match=message):
        pick_shared(21, shares={"qa": 1, "code": 0})
