"""Rates from a longer and a shorter tuning; the measuring itself runs in tests/cli/test_plan.py."""

import pytest

from diverseevol.calibrating import rate_and_start
from diverseevol.ledger import Cost


def cost(seconds, flops):
    return Cost(seconds=seconds, flops=flops)


def test_what_a_tuning_takes_before_its_first_step_is_told_from_its_steps():
    rate, start = rate_and_start(cost(2.0 + 10 * 0.5, 1000.0), cost(2.0 + 0.5, 100.0))
    assert (rate, start) == (pytest.approx(200.0), pytest.approx(2.0))


def test_noise_gives_no_negative_rate_or_start():
    rate, start = rate_and_start(cost(2.0, 1000.0), cost(3.0, 100.0))
    assert (rate, start) == (500.0, pytest.approx(2.8))
    rate, start = rate_and_start(cost(10.0, 1000.0), cost(0.5, 100.0))
    assert start == 0.0
