import numpy as np
import pytest

from diverseevol.errors import PoolExhaustedError, SelectionError
from diverseevol.selection import Signals, make_strategy
from diverseevol.selection.share_out import share_out

POINTS = np.random.default_rng(0).normal(size=(100, 5))
KINDS = np.array(["qa", "code", "chat", "chat", "chat"])[np.arange(100) % 5]
COLUMNS = {"kind": KINDS, "level": np.where(np.arange(100) < 40, np.nan, np.arange(100) % 2), "x": np.zeros(100)}


def pick(n_new, chosen=(), strategy="k_center", by="kind", selectable=None, columns=COLUMNS, **shares):
    signals = Signals(100, POINTS, columns, selectable)
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
    picks = pick(n_new, strategy=strategy, shares=shares)
    assert counts(picks) == expected and len(set(picks.rows)) == n_new
    assert (picks.columns["group"] == KINDS[picks.rows]).all()
    for stop in range(1, n_new):  # each beginning keeps to the shares
        for group, total in expected.items():
            assert abs((picks.columns["group"][:stop] == group).sum() - total * stop / n_new) < 2


def test_equals_the_strategy_group_by_group():
    chosen, rng = [4, 11, 50], np.random.default_rng(3)
    picks = pick(17, chosen, shares="proportional")
    free = np.setdiff1d(np.arange(100), chosen)
    names = ["chat", "code", "qa"]
    room = np.array([(KINDS[free] == name).sum() for name in names])
    so_far, expected = list(chosen), []
    for name, n in zip(names, share_out(17, room.astype(float), room), strict=True):
        part = make_strategy("k_center").select(Signals(100, POINTS, selectable=name == KINDS), np.array(so_far), int(n), rng)
        expected += [
            ((i + 0.5) / n, name, *triple) for i, triple in enumerate(zip(part.rows, part.columns["distance"], strict=True))
        ]
        so_far += part.rows.tolist()
    expected.sort(key=lambda entry: entry[:2])
    assert picks.rows.tolist() == [row for *_, row, _ in expected]
    assert picks.columns["distance"].tolist() == [distance for *_, distance in expected]


def test_groups_of_numbers_and_of_missing_values():
    assert counts(pick(9, by="level")) == {"": 3, "0": 3, "1": 3}
    assert counts(pick(4, by="level", shares={1: 3, 0: 1})) == {"0": 1, "1": 3}
    kinds = np.array(["a", None, 2.0, float("nan")] * 25, dtype=object)
    assert counts(pick(6, columns={"kind": kinds})) == {"": 2, "2": 2, "a": 2}


def test_only_what_may_be_picked_counts_and_guards_come_first():
    selectable = (KINDS == "chat") | (np.arange(100) < 10)
    assert counts(pick(30, (1,), selectable=selectable)) == {"chat": 27, "code": 1, "qa": 2}
    chooser = make_strategy("k_center", quota={"by": "kind"}, minimum={"x": 1}, outliers={"share": 0.1})
    assert chooser.needs == {"embedding", "kind", "x"}
    columns = COLUMNS | {"x": np.arange(100.0) - 60}
    picks = chooser.select(Signals(100, POINTS, columns), np.array([], int), 9, np.random.default_rng(0))
    assert picks.rows.min() > 60 and counts(picks) == {"chat": 3, "code": 3, "qa": 3}
    assert picks.skipped["minimum"].tolist() == list(range(61)) and len(picks.skipped["outliers"]) == 3
    assert len(picks.columns["group"]) == len(picks.columns["distance"]) == 9


@pytest.mark.parametrize(
    ("quota", "message"),
    [
        ("kind", "quota must be a mapping of by, shares; found 'kind'"),
        ({"by": "kind", "share": 1}, "quota has no key 'share': its keys are by, shares"),
        ({"shares": "equal"}, "quota.by must be the name of a column; found None"),
        ({"by": "kind", "shares": "fair"}, "quota.shares must be equal, proportional or a mapping of groups; found 'fair'"),
        ({"by": "kind", "shares": {"qa": -1, "code": 1}}, "numbers of at least 0, not all of them 0; found {'qa': -1}"),
        ({"by": "kind", "shares": {"qa": "1"}}, "found {'qa': '1'}"),
        ({"by": "kind", "shares": {"qa": 0}}, "found {'qa': 0}"),
        ({"by": "kind", "shares": {"q": 1}}, "quota.shares names the group 'q'; 'kind' has: chat, code, qa."),
        ({"by": "kin"}, "quota needs the column 'kin', which is not there. Known: kind, level, x."),
    ],
)
def test_says_what_is_wrong(quota, message):
    with pytest.raises(SelectionError, match=message):
        make_strategy("random", quota=quota).select(Signals(100, columns=COLUMNS), np.array([], int), 5, np.random.default_rng(0))


def test_groups_without_a_share_do_not_fill_up():
    with pytest.raises(
        PoolExhaustedError, match="cannot select 21 new samples: the groups with a share have 20 left. Lower n_new, or"
    ):
        pick(21, shares={"qa": 1, "code": 0})
