"""A plan worked out by hand, word for word as METHOD and the ledger have it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from diverseevol.errors import ModelError
from diverseevol.loop.candidates import draw_candidates
from diverseevol.plan.estimate import LIBRARIES, cost_of_model, epochs_of, make_plan, sizes_of
from diverseevol.plan.rates import Rates

ALL, COMPUTING, DECODER, HEAD = 2120, 1720, 1320, 400
ATTENTION = 2 * 2 * 8 * 136  # two products, two layers, of width 8, over the squares of the lengths
LORA = ("train.method=lora", "train.lora={r: 4, target_modules: [q_proj]}")
ADAPTER = 2 * 4 * (8 + 8)


def column(plan, name):
    return [getattr(each, name) for each in plan.rounds]


def test_full_tuning(config, facts):
    plan = make_plan(config(), facts)
    assert column(plan, "n_chosen") == [10, 30, 50]
    assert column(plan, "train_tokens") == [300, 900, 1500]  # 3 epochs
    assert column(plan, "train_flops") == [6 * COMPUTING * tokens for tokens in (300, 900, 1500)]
    assert column(plan, "n_embedded") == [1000, 1000, 0]  # nothing is chosen after the last round
    assert column(plan, "embed_tokens") == [10_000, 10_000, 0]
    assert column(plan, "embed_flops") == [1000 * (2 * DECODER * 10 + ATTENTION)] * 2 + [0]
    assert plan.full_flops == 6 * COMPUTING * 30_000
    assert plan.flops == sum(column(plan, "train_flops")) + sum(column(plan, "embed_flops"))
    assert plan.ratio == plan.same_ratio == pytest.approx(plan.flops / plan.full_flops)


def test_an_adapter_has_no_gradients_of_the_base_but_weights_of_its_own(config, facts):
    plan = make_plan(config(*LORA, "train.num_train_epochs=1"), facts)
    assert plan.rounds[0].train_flops == 4 * (COMPUTING + ADAPTER) * 100
    assert plan.rounds[0].embed_flops == pytest.approx(1000 * (2 * (DECODER + ADAPTER) * 10 + ATTENTION))
    assert plan.full_flops == 6 * COMPUTING * 10_000
    assert plan.same_ratio == pytest.approx(plan.flops / (4 * (COMPUTING + ADAPTER) * 10_000))
    assert plan.model.n_parameters == ALL
    with pytest.raises(ModelError, match=r"PEFT puts no adapter on .*Correct train.lora"):
        make_plan(config("train.method=lora", "train.lora={target_modules: [nowhere]}"), facts)


@pytest.mark.parametrize(
    ("signals", "tokens", "flops"),
    [
        ([], 0, 0),
        (["loss"], 10, 2 * (DECODER + HEAD) * 10 + ATTENTION),
        (["loss", "answer_loss"], 14, 2 * (DECODER + HEAD) * 14 + ATTENTION),
        (["answer_loss"], 4, 2 * (DECODER + HEAD) * 4),
    ],
)
def test_signals_decide_the_pass(config, facts, signals, tokens, flops):
    plan = make_plan(config(), replace(facts, signals=frozenset(signals)))
    n_embedded = 1000 if signals else 0
    assert plan.rounds[0].embed_tokens == n_embedded * tokens
    assert plan.rounds[0].embed_flops == pytest.approx(n_embedded * flops)


@pytest.mark.parametrize("share", [0.1, 0.333, 0.001])
def test_candidates_are_counted_as_they_are_drawn(config, facts, share):
    plan = make_plan(config(f"selection.candidates={share}"), facts)
    for each in plan.rounds[:2]:
        chosen, nobody = list(range(each.n_chosen)), np.empty(0, dtype=np.int64)
        assert each.n_embedded == len(draw_candidates(1000, chosen, nobody, share, 20, np.random.default_rng(0)))


def test_schedules(config, facts):
    assert sizes_of(config("budget=25"), facts) == [10, 15]
    assert sizes_of(config("budget=305 tokens"), facts) == [10, 20]  # 30 rows of 10 tokens
    assert sizes_of(config("budget=50 tokens"), facts) == [5]
    assert sizes_of(config(), replace(facts, n_first=7)) == [7, 20, 20]


def test_epochs(config):
    assert epochs_of(config().train, 100) == 3
    assert epochs_of(config("train.num_train_epochs=2").train, 100) == 2
    assert epochs_of(config("train.max_steps=5", "train.total_batch_size=16").train, 20) == 2.5
    words = ("train.max_steps=5", "train.per_device_train_batch_size=2", "train.gradient_accumulation_steps=5")
    assert epochs_of(config(*words).train, 20) == 2.5


def test_a_selector_does_the_rounds_and_the_target_is_tuned_once(config, facts, made_model):
    plan = make_plan(config("final=true", f"selector={made_model}"), facts)
    alone = make_plan(config(model=str(made_model)), facts)
    assert plan.rounds == alone.rounds
    assert plan.final_flops == 6 * COMPUTING * 1500
    assert plan.full_flops == 6 * COMPUTING * 30_000
    assert plan.flops == alone.flops + plan.final_flops
    assert make_plan(config("final=false", f"selector={made_model}"), facts).final_flops == 0


def test_seconds(config, facts):
    made = make_plan(config("final=true"), facts)
    seconds = made.seconds(Rates(1e3, 2e3, "here", start=5.0))
    assert seconds["train"] == pytest.approx(6 * COMPUTING * 2700 / 1e3 + 3 * 5)
    assert seconds["embed"] == pytest.approx(sum(column(made, "embed_flops")) / 2e3)
    assert seconds["final"] == pytest.approx(6 * COMPUTING * 1500 / 1e3 + 5)
    assert seconds["full"] == pytest.approx(6 * COMPUTING * 30_000 / 1e3 + 5)
    assert make_plan(config(), facts).seconds(Rates(1e3, 2e3, "here", start=5.0))["final"] == 0


# Two rows of 16 tokens a batch; 34 bytes a token, layer and unit of width, and logits, in 16 bits and twice in 32.
BATCH, ACTIVATIONS, LOGITS = "train.per_device_train_batch_size=2", 32 * 2 * 8 * 34, 32 * 50 * 10


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), 16 * ALL + ACTIVATIONS + LOGITS),
        (("train.bf16=false",), 16 * ALL + 2 * ACTIVATIONS + 32 * 50 * 12),
        (("train.activation_checkpointing=true",), 16 * ALL + 32 * 8 * 2 * 2 + ACTIVATIONS / 2 + LOGITS),
        (LORA, 2 * ALL + 16 * ADAPTER + ACTIVATIONS + LOGITS),
        (("train.method=qlora", LORA[1]), 0.55 * ALL + 16 * ADAPTER + ACTIVATIONS + LOGITS),
    ],
)
def test_memory(config, facts, words, expected):
    assert make_plan(config(BATCH, *words), facts).memory == {"train": pytest.approx(expected)}


def test_where_the_whole_process_counts(config, facts):
    there = make_plan(config(BATCH, "final=true", "train.bf16=false"), facts).memory
    here = make_plan(config(BATCH, "final=true"), replace(facts, program_bytes=1000)).memory  # in 32 bits
    assert here == {stage: each + 1000 + LIBRARIES for stage, each in there.items()}
    assert list(here) == ["train", "final"]
    assert make_plan(config("train.command=t {data} {out}"), facts).memory == {}


def test_disk(config, facts):
    vectors = 1000 * 4 * 8
    known = {"weights": 2 * 4 * ALL, "checkpoints, at most": 2 * 3 * 4 * ALL, "embeddings": 2 * vectors}
    assert make_plan(config(), facts).disk == known
    found = make_plan(config("keep=all", "keep_signals=none", *LORA, "final={train: {method: full, lora: {}}}"), facts).disk
    assert (found["weights"], found["embeddings"]) == (3 * 4 * ADAPTER, vectors)
    assert found["final weights"] == 4 * ALL


def test_the_judges_tokens(config, facts):
    judge = make_plan(config(), facts).judge
    assert judge == {"n_judgements": 956, "tokens_in": 956 * (276 + 10 + 4), "tokens_out": 956 * 200}


def test_seven_billion_parameters_need_no_weights(tmp_path, config, facts):
    settings = dict(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "dtype": "float16", **settings}))
    cost = cost_of_model(config(model=str(tmp_path)), facts)
    assert cost.n_parameters == 6_738_415_616
    assert cost.train_flops == 6 * (cost.n_parameters - 32000 * 4096)
    with pytest.raises(ModelError, match="cannot load the model"):
        cost_of_model(config(model=str(tmp_path / "none")), facts)
