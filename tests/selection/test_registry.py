import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from diverseevol.errors import SelectionError
from diverseevol.selection import Selection, check_strategy, known_strategies, make_strategy, registry, select


class LastRows:
    """A third party's strategy: no base class, one option without a default."""

    needs = frozenset()

    def __init__(self, step, reverse=False):
        self.step, self.reverse = step, reverse

    def select(self, signals, chosen_rows, n_new, rng):
        free = np.setdiff1d(np.arange(signals.n_rows), chosen_rows)[:: -self.step]
        return Selection(free[:n_new])


@pytest.fixture
def registered(monkeypatch):
    entries = [
        EntryPoint("last_rows", "somewhere:LastRows", registry.GROUP),
        EntryPoint("random", "somewhere:Mine", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry for entry in entries if entry.group == group])
    monkeypatch.setattr(EntryPoint, "load", lambda self: LastRows)


def test_built_in_names():
    assert {*known_strategies()} >= {"facility_location", "k_center", "k_means", "quality_diversity", "random", "vendi"}
    assert known_strategies() == sorted(known_strategies())
    assert type(make_strategy("k_center", metric="cosine")).__name__ == "KCenter"
    assert make_strategy("k_center", metric="cosine").metric == "cosine"


def test_unknown_names_and_options_name_the_nearest():
    with pytest.raises(
        SelectionError, match=r"no strategy is called 'kcenter'. Did you mean 'k_center'. Known: .*k_center, .*random, .*;"
    ):
        check_strategy("kcenter")
    with pytest.raises(SelectionError, match=r"no strategy is called 'zzz'. Known: .*k_center, .*random, .*;"):
        make_strategy("zzz")
    with pytest.raises(
        SelectionError,
        match=r"'k_center' has no option 'metrik': its options are metric, device, block_rows. Did you mean 'metric'",
    ):
        make_strategy("k_center", metrik="cosine")
    with pytest.raises(SelectionError, match=r"'random' has no option 'metric': it has no options."):
        select(np.ones((3, 2)), [], 1, strategy="random", metric="cosine")


def test_installed_packages_add_strategies_but_do_not_replace_ours(registered):
    assert {*known_strategies()} == {*registry.BUILT_IN, "last_rows"}
    assert select(np.ones((6, 1)), [4], 2, strategy="last_rows", step=2).rows.tolist() == [5, 2]
    assert type(make_strategy("random")).__name__ == "RandomDraw"
    with pytest.raises(SelectionError, match=r"the strategy 'last_rows' needs the option 'step'"):
        make_strategy("last_rows")
    with pytest.raises(SelectionError, match=r"has no option 'steps': its options are step, reverse. Did you mean 'step'"):
        make_strategy("last_rows", steps=1)


def test_options_of_every_strategy_wrap_it_unless_it_has_its_own(registered, monkeypatch):
    wrapped = make_strategy("k_center", minimum={"a": 1}, quota={"by": "b"}, whiten=2, outliers={"share": 0.1}, metric="cosine")
    names = []
    while not hasattr(wrapped, "metric"):
        names.append(type(wrapped).__name__)
        wrapped = wrapped.strategy
    assert names == ["Minimum", "Outliers", "Whitened", "Quota"] and wrapped.metric == "cosine"
    with pytest.raises(
        SelectionError, match=r"Did you mean 'outliers'. Every strategy also takes quota, whiten, outliers, minimum."
    ):
        make_strategy("random", outlier={"share": 0.1})
    monkeypatch.setitem(registry.COMMON, "step", ("Minimum", "least"))
    assert make_strategy("last_rows", step=2).step == 2


def test_a_strategy_object_does_as_well_as_a_name():
    assert select(np.ones((6, 1)), [5], 2, strategy=LastRows(1)).rows.tolist() == [4, 3]
    with pytest.raises(SelectionError, match=r"options go with a strategy's name; found step beside an object"):
        select(np.ones((6, 1)), [5], 2, strategy=LastRows(1), step=1)


def test_names_are_known_without_torch():
    code = "import sys, diverseevol.selection as unit; unit.check_strategy('k_center'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_which_options_a_strategy_takes():
    from diverseevol.selection.registry import takes_option

    assert takes_option("k_center", "whiten")  # one of every strategy's
    assert takes_option("vendi", "q")
    assert not takes_option("k_center", "q")
    with pytest.raises(SelectionError, match="no strategy is called 'vendy'"):
        takes_option("vendy", "q")
