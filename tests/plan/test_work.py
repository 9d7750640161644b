from dataclasses import replace

import numpy as np
import pytest

from diverseevol.plan import work
from diverseevol.seen import draw_candidates


def column(works, name):
    return [getattr(each, name) for each in works]


def test_full_tuning_by_hand(config, facts):
    works = work.rounds_of(config(), facts)
    assert column(works, "n_chosen") == [10, 30, 50]
    assert column(works, "tokens_chosen") == [100, 300, 500]
    assert column(works, "train_tokens") == [300, 900, 1500]  # 3 epochs
    assert column(works, "train_flops") == [6 * 80 * 300, 6 * 80 * 900, 6 * 80 * 1500]
    assert column(works, "n_embedded") == [1000, 1000, 0]  # nothing is chosen after the last round
    assert column(works, "embed_tokens") == [10_000, 10_000, 0]
    assert column(works, "embed_flops") == [2 * 60 * 10_000 + 2 * 2 * 4 * 120_000] * 2 + [0]
    assert column(works, "heldout_flops") == [0, 0, 0]


def test_an_adapter_has_no_gradients_of_the_base_but_weights_of_its_own(config, facts):
    works = work.rounds_of(config("train.method=lora", "train.num_train_epochs=1"), facts)
    assert works[0].train_flops == 4 * 90 * 100
    assert works[0].embed_flops == 2 * 70 * 10_000 + 1_920_000


def test_held_out_rows_cost_a_pass_with_the_head_each_round(config, facts):
    works = work.rounds_of(config(), replace(facts, n_heldout=100))
    assert column(works, "heldout_flops") == [2 * 80 * 1000 + 2 * 2 * 4 * 12_000] * 3
    assert works[2].flops == works[2].train_flops + works[2].heldout_flops


def test_signals_decide_the_pass(config, facts):
    assert work.rounds_of(config(), replace(facts, needs=frozenset()))[0].embed_flops == 0
    with_head = work.rounds_of(config(), replace(facts, needs=frozenset({"loss"})))[0]
    assert with_head.embed_flops == 2 * 80 * 10_000 + 1_920_000
    answers = work.rounds_of(config(), replace(facts, needs=frozenset({"loss", "answer_loss"})))[0]
    assert answers.embed_tokens == 10_000 + 4_000
    assert answers.embed_flops == with_head.embed_flops + 2 * 80 * 4_000
    alone = work.rounds_of(config(), replace(facts, needs=frozenset({"answer_loss"})))[0]
    assert alone.embed_tokens == 4_000


@pytest.mark.parametrize("share", [0.1, 0.333, 0.001])
def test_candidates_are_counted_as_they_are_drawn(config, facts, share):
    works = work.rounds_of(config(f"selection.candidates={share}"), facts)
    for index, n_next in ((0, 20), (1, 20)):
        chosen = list(range(works[index].n_chosen))
        drawn = draw_candidates(1000, chosen, np.empty(0, dtype=np.int64), share, n_next, np.random.default_rng(0))
        assert works[index].n_embedded == len(drawn)


def test_schedules(config, facts):
    assert work.sizes_of(config("budget=25"), facts) == [10, 15]
    assert work.sizes_of(config("budget=305 tokens"), facts) == [10, 20]  # 30 rows of 10 tokens
    assert work.sizes_of(config("budget=50 tokens"), facts) == [5]
    assert work.sizes_of(config(), replace(facts, n_first=7)) == [7, 20, 20]


def test_epochs(config):
    assert work.epochs_of(config().train, 100) == 3
    assert work.epochs_of(config("train.num_train_epochs=2").train, 100) == 2
    assert work.epochs_of(config("train.max_steps=5", "train.total_batch_size=16").train, 20) == 2.5
    words = ("train.max_steps=5", "train.per_device_train_batch_size=2", "train.gradient_accumulation_steps=5")
    assert work.epochs_of(config(*words).train, 20) == 2.5
