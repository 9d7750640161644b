from dataclasses import replace

import pytest

from diverseevol import load_config
from diverseevol.plan import Facts, knobs, make_plan
from diverseevol.plan.knobs import _saves


def test_the_ratio_by_hand(config, facts):
    plan = make_plan(config(), facts)
    assert plan.full_flops == plan.same_flops == 6 * 80 * 30_000
    assert plan.flops == 6 * 80 * 2700 + 2 * 3_120_000
    assert plan.ratio == pytest.approx(7_536_000 / 14_400_000)
    assert plan.as_dict()["ratio"] == plan.ratio


def test_longer_picks_cost_more_tuning_and_nothing_else(config, facts):
    plan = make_plan(config(), facts)
    assert plan.ratio_if_long == pytest.approx((6 * 80 * 2700 * 1.6 + 2 * 3_120_000) / 14_400_000)
    assert plan.as_dict()["ratio_if_long"] == plan.ratio_if_long


def test_an_adapters_run_is_compared_with_full_tuning_and_with_its_own_kind(config, facts):
    plan = make_plan(config("train.method=lora"), facts)
    assert plan.full_flops == 6 * 80 * 30_000
    assert plan.same_flops == 4 * 90 * 30_000
    assert plan.same_ratio == pytest.approx(plan.flops / plan.same_flops)


@pytest.mark.parametrize(("n_rows", "share", "published"), [(15_011, 1, 1.5508), (52_002, 1, 1.2380)])
def test_the_published_schedule_where_a_pass_is_a_third_of_a_step(shape, lengths, n_rows, share, published):
    plain = replace(shape, n_decoder=80, n_heads=0)
    lengths = replace(lengths, n_rows=n_rows)
    plan = make_plan(load_config(options={"pool.path": "p", "model": "m", "out": "o"}), Facts(lengths, plain, plain, lengths))
    assert plan.ratio == pytest.approx((9 * 6600 + 10 * n_rows) / (9 * n_rows))
    assert plan.ratio == pytest.approx(published, abs=1e-3)


def test_thrifty_is_under_half_of_one_tuning_of_its_own_kind_at_50000_rows(shape, lengths):
    plain, lengths = replace(shape, n_decoder=80, n_heads=0), replace(lengths, n_rows=50_000)
    config = load_config(preset="thrifty", options={"pool.path": "p", "model": "m", "out": "o"})
    plan = make_plan(config, Facts(lengths, plain, plain, lengths))
    assert plan.ratio < plan.same_ratio < 0.5


def test_a_selector_does_the_rounds_and_the_target_is_tuned_once(config, facts):
    small = facts.model.scaled(0.1, "small")
    target_lengths = replace(facts.lengths, mean=12.0)
    plan = make_plan(config("selector=s", "final=true"), replace(facts, model=small, target_lengths=target_lengths))
    assert plan.rounds[0].train_flops == 6 * 8 * 300
    assert plan.final_tokens == 12 * 50 * 3
    assert plan.final_flops == 6 * 80 * 1800
    assert plan.full_flops == 6 * 80 * 36_000
    assert plan.flops == sum(each.flops for each in plan.rounds) + plan.final_flops
    no_final = make_plan(config("selector=s", "final=false"), replace(facts, model=small))
    assert no_final.final_flops == 0


def test_each_knob_is_the_plan_of_the_run_with_that_change(config, facts):
    words = ("rounds=10",)
    plan = make_plan(config(*words), facts)
    found = {knob.keys: knob.plan for knob in knobs(config(*words), facts, plan)}
    for keys in ("selection.candidates=0.1", "rounds=4 n_new=geometric budget=210"):
        assert found[keys].flops == make_plan(config(*words, *keys.split()), facts).flops
    previous = found["train.start=previous train.num_train_epochs=1"]
    assert previous.full_flops == plan.full_flops  # a third of the run's tuning, but the same full tuning
    assert sum(each.train_flops for each in previous.rounds) == pytest.approx(sum(each.train_flops for each in plan.rounds) / 3)
    lora = found["train.method=lora train.lora='{r: 16, target_modules: all-linear}'"]
    assert lora.rounds[0].train_flops == 4 * 90 * 300
    selector = found["selector=SMALLER_MODEL final=true"]
    assert selector.final_flops == 6 * 80 * 10 * 210 * 3
    assert selector.rounds[0].embed_tokens == plan.rounds[0].embed_tokens
    ratios = [knob.plan.ratio for knob in knobs(config(*words), facts, plan)]
    assert ratios == sorted(ratios)


def test_what_would_cost_more_is_no_knob(config, facts):
    large = replace(facts, model=replace(facts.model, n_adapter=100_000))
    plan = make_plan(config(), large)
    assert not any("lora" in knob.keys for knob in knobs(config(), large, plan))
    assert not _saves(plan, plan)


def test_knobs_that_are_turned_are_not_offered(config, facts):
    words = ("selection.candidates=0.1", "train.method=lora", "train.num_train_epochs=1", "selector=s", "final=true")
    assert knobs(config(*words), facts, make_plan(config(*words), facts)) == []
    slow = config(*words, "train.bf16=false", "embed.dtype=float32")
    (knob,) = knobs(slow, facts, make_plan(slow, facts))
    assert knob.keys == "train.bf16=true embed.dtype=auto"
    assert knob.plan.train_rate_share == knob.plan.embed_rate_share == 1
