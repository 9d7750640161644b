from pathlib import Path

import pytest

from diverseevol.errors import ConfigError
from diverseevol.evaluation import judge
from diverseevol.evaluation.judge.cost import Prices
from diverseevol.plan import Rates, make_plan, rates_of
from diverseevol.plan.judging import judging


def test_seconds_are_flops_over_the_part_of_the_peak_that_is_reached(config, facts):
    seconds = make_plan(config("final=true"), facts).seconds(rates_of("a100", 0.5))
    assert seconds["train"] == pytest.approx(6 * 80 * 2700 / 156e12)
    assert seconds["embed"] == pytest.approx(2 * 3_120_000 / 156e12)
    assert seconds["final"] == pytest.approx(6 * 80 * 1500 / 156e12)
    assert seconds["full"] == pytest.approx(6 * 80 * 30_000 / 156e12)


def test_measured_rates_know_what_a_tuning_takes_before_its_first_step(config, facts):
    made = make_plan(config("final=true"), facts)
    seconds, plain = (made.seconds(Rates(1e3, 2e3, "here", is_measured=True, start=start)) for start in (5.0, 0.0))
    assert seconds["train"] == plain["train"] + 3 * 5
    assert seconds["final"] == plain["final"] + 5
    assert seconds["full"] == plain["full"] + 5
    assert seconds["embed"] == plain["embed"]
    assert make_plan(config(), facts).seconds(Rates(1e3, 2e3, "here", start=5.0))["final"] == 0


def test_without_bf16_it_takes_twice_as_long(config, facts):
    rates = rates_of("h100")
    plain, slow = (make_plan(config(*words), facts).seconds(rates) for words in ((), ("train.bf16=false", "embed.dtype=float32")))
    assert slow["train"] == 2 * plain["train"]
    assert slow["embed"] == 2 * plain["embed"]


def test_what_is_not_known(lengths):
    with pytest.raises(ConfigError, match="--hardware 'tpu' is not known. Known: a100, h100"):
        rates_of("tpu")
    with pytest.raises(ConfigError, match="--utilisation is 40: give a share of the peak between 0 and 1"):
        rates_of("a100", 40)
    with pytest.raises(ConfigError, match="--benchmark 'vicunia' is not known. Known: vicuna, koala"):
        judging(["vicunia"], lengths, None)


def test_the_judges_bill(lengths):
    template = Path(judge.__file__).parent / "templates/pairwise.txt"
    found = judging(["vicuna", "mt_bench"], lengths, Prices(1.0, 2.0))
    assert (found.n_questions, found.n_judgements) == (160, 320)
    assert found.tokens_in == round(320 * (template.stat().st_size / 4 + 10 + 4))
    assert found.tokens_out == 320 * 200
    assert found.money == pytest.approx((found.tokens_in + 2 * 64_000) / 1e6)
    assert judging(["vicuna"], lengths, None).money is None
