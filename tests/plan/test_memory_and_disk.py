"""Bytes, by hand: weights 4 each for full tuning, 2 (here) under an adapter; 12 more a tuned one; 34 a token, layer and unit of width."""

from dataclasses import replace

import pytest

from diverseevol.plan import make_plan
from diverseevol.plan.memory import LIBRARIES, embedding_bytes, tuning_bytes

BATCH = "train.per_device_train_batch_size=2"  # rows of 20 tokens: 40 tokens a batch
ACTIVATIONS, LOGITS = 2 * 34 * 4 * 40, 40 * 5 * 10


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), 16 * 100 + ACTIVATIONS + LOGITS),
        (("train.bf16=false",), 16 * 100 + 2 * ACTIVATIONS + 40 * 5 * 12),
        (("train.activation_checkpointing=true",), 16 * 100 + 2 * 2 * 4 * 40 + ACTIVATIONS / 2 + LOGITS),
        (("train.method=lora",), 2 * 100 + 16 * 10 + ACTIVATIONS + LOGITS),
        (("train.method=qlora",), 0.55 * 100 + 16 * 10 + ACTIVATIONS + LOGITS),
    ],
)
def test_tuning(config, shape, words, expected):
    assert tuning_bytes(config(BATCH, *words), shape, 20) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), 4 * 100 + 2 * 60 + 20 * 176),  # (4·8 + 8·4)·2 + 12·4 = 176 a token
        (("embed.dtype=float32",), 4 * 100 + 20 * 304),
        (("embed.tokens_per_batch=50",), 4 * 100 + 2 * 60 + 50 * 176),
        (("train.method=lora",), 2 * 100 + 4 * 10 + 20 * 176),
    ],
)
def test_embedding(config, shape, words, expected):
    assert embedding_bytes(config(*words), shape, 20) == expected


def test_where_the_device_computes_in_32_bits_and_the_process_counts(config, shape, facts):
    assert tuning_bytes(config(BATCH), shape, 20, is_float32=True) == tuning_bytes(config(BATCH, "train.bf16=false"), shape, 20)
    assert tuning_bytes(config(BATCH, "train.bf16=true"), shape, 20, is_float32=True) == tuning_bytes(config(BATCH), shape, 20)
    assert embedding_bytes(config(), shape, 20, is_float32=True) == embedding_bytes(config("embed.dtype=float32"), shape, 20)
    there = make_plan(config("final=true"), facts).memory
    here = make_plan(config("final=true"), replace(facts, program_bytes=1000)).memory
    assert here == {stage: each + 1000 + LIBRARIES for stage, each in there.items()}
    assert list(here) == ["train", "embed", "final"]
    assert "train" not in make_plan(config("train.command=t {data} {out}"), facts).memory


def test_disk(config, facts):
    found = make_plan(config(), facts).disk
    assert found == {
        "pool": 777,
        "tokens": 10_000 * 2.125 + 1000 * 28,
        "embeddings": 2 * 1000 * 16,
        "weights": 2 * 400,
        "checkpoints, at most": 2 * 3 * 400,
    }
    everything = make_plan(config("keep=all", "keep_signals=none", "train.method=lora", "final=true"), facts).disk
    assert (everything["weights"], everything["embeddings"]) == (3 * 40, 16_000)
    assert everything["final weights"] == 40
    assert "final" in make_plan(config("final={train: {method: full}}"), facts).memory
