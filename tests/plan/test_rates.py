"""Rates by the table, and from a longer and a shorter tuning; the measuring itself runs in tests/cli/test_plan.py."""

import pytest

from diverseevol.errors import ConfigError
from diverseevol.plan.rates import rate_and_start, rates_of
from diverseevol.run.metrics import Cost


def test_a_share_of_the_peak():
    rates = rates_of("a100", 0.5)
    assert rates.train == rates.embed == 156e12
    assert rates.source == "a100, 312 TFLOP/s bf16 × 0.5"
    with pytest.raises(ConfigError, match="--hardware 'tpu' is not known. Known: a100, h100"):
        rates_of("tpu", 0.4)


def test_what_a_tuning_takes_before_its_first_step_is_told_from_its_steps():
    rate, start = rate_and_start(Cost(2.0 + 10 * 0.5, flops=1000.0), Cost(2.0 + 0.5, flops=100.0))
    assert (rate, start) == (pytest.approx(200.0), pytest.approx(2.0))


def test_noise_gives_no_negative_rate_or_start():
    assert rate_and_start(Cost(2.0, flops=1000.0), Cost(3.0, flops=100.0)) == (500.0, pytest.approx(2.8))
    assert rate_and_start(Cost(10.0, flops=1000.0), Cost(0.5, flops=100.0))[1] == 0.0
