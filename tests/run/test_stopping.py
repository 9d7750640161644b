import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diverseevol import load_config
from diverseevol.config import StopConfig
from diverseevol.errors import ConfigError
from diverseevol.run import Metrics
from diverseevol.run.stopping import measured, reason_to_stop


def history(values, name="covering_radius"):
    gauges = [{} if value is None else {"gauge": {name: float(value)}} for value in values]
    return [Metrics(round=at, **gauge) for at, gauge in enumerate(gauges)]


def bills(*rounds):
    return [{"stages": {name: {"seconds": float(seconds), "flops": flops} for name, seconds, flops in one}} for one in rounds]


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.floats(0.1, 10)), max_size=8),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.05, 0.3, 0.9]),
)
def test_settled_is_what_its_definition_says(values, rounds, share):
    """None of the last `rounds` rounds differs from the one before them by more than the share, and all of them are known."""
    window = values[len(values) - rounds - 1 :] if len(values) > rounds else [None]
    settled = None not in window
    for value in window[1:]:
        settled = settled and abs(value - window[0]) <= share * window[0]
    reason = reason_to_stop(StopConfig(measure="covering_radius", share=share, rounds=rounds), history(values))
    assert (reason is not None) == settled


def test_the_reason_says_what_moved_how_far():
    stop = StopConfig(measure="covering_radius", share=0.05, rounds=2)
    assert reason_to_stop(stop, history([9, 4.0, 3.9, 4.1])) == (
        "covering_radius has moved by at most 2.50% over the last 2 rounds, from 4 to 4.1 (stop.share: 5.00%)"
    )
    assert reason_to_stop(stop, history([9, 4.0, 4.3, 4.0])) is None  # it went away and came back: that is a move
    assert reason_to_stop(stop, history([4.0, 4.0])) is None  # two rounds make one move
    assert reason_to_stop(StopConfig(measure="vendi", share=0.05), history([4.0, 4.0, 4.0])) is None  # another measure's
    assert "vendi" in reason_to_stop(StopConfig(measure="vendi", share=0.05), history([4.0, 4.0, 4.0], "vendi"))
    assert "by at most 0.00%" in reason_to_stop(stop, history([0, 0, 0]))  # everything is covered
    assert reason_to_stop(StopConfig(), history([4.0] * 9)) is None


def test_the_heldout_loss_counts_whichever_way_it_moves():
    stop = StopConfig(measure="heldout", share=0.01, rounds=1)
    metrics = [Metrics(heldout={"loss": loss}) for loss in (3.0, 2.0, 1.99, 2.5, 2.51)]
    assert [reason_to_stop(stop, metrics[:n]) is not None for n in range(6)] == [False, False, False, True, False, True]
    assert measured("heldout", Metrics()) is None


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"samples": 30}, "stop.samples is reached: 30 of 30"),
        ({"tokens": 3999}, "stop.tokens is reached: 4,000 of 3,999"),
        ({"flops": 7e12}, "stop.flops is reached: 7.5e+12 of 7e+12"),
        ({"hours": 1.5}, "stop.hours is reached: 2 of 1.5"),
        ({"samples": 31, "tokens": 4001, "flops": 7.6e12, "hours": 2.01}, None),
        ({"samples": 30, "hours": 0.1}, "stop.samples is reached: 30 of 30"),
    ],
)
def test_budgets_count_what_they_name(limit, reason):
    metrics = bills([("train", 1800, 2e12), ("embed", 1800, 1e12)], [("select", 600, 0.0), ("train", 3000, 4.5e12)])
    metrics[0] |= {"n_chosen": 20, "tokens_chosen": 2500}
    metrics[1] |= {"n_chosen": 30, "tokens_chosen": 4000}
    assert reason_to_stop(StopConfig(**limit), [Metrics(**each) for each in metrics]) == reason


def test_heldout_needs_held_out_rows():
    with pytest.raises(ConfigError, match="stop.measure: heldout needs held-out rows: set heldout.path or pool.holdout"):
        load_config(None, ("stop.measure=heldout",), options={"pool.path": "p", "model": "m", "out": "o"})
