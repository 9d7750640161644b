"""Every signal against its definition, one row at a time with all logits."""

import numpy as np
import peft
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from diverseevol.errors import EmbedError
from diverseevol.models.embed import check_head
from diverseevol.models.signals import PAPER, TRAINED, position_signals
from diverseevol.selection import Signal

NAMES = [signal.value for signal in Signal if signal is not Signal.EMBEDDING]


def assert_close(found, expected, atol=1e-4):
    assert list(found) == NAMES
    for name in NAMES:
        assert found[name].dtype == np.float64
        np.testing.assert_allclose(found[name], expected[name], atol=atol, rtol=0, err_msg=name)


@pytest.mark.parametrize("tied", [True, False])
def test_equals_the_definition(tied, wide_llama, long_tokens, signals_of, plain_signals):
    model = wide_llama(tied)
    expected = plain_signals(model, long_tokens, bos=1)
    found, _ = signals_of(model, long_tokens)
    assert_close(found, expected, 1e-5)
    assert all(expected[name].std() > 0.01 for name in NAMES)
    assert np.abs(expected["loss"] - expected["answer_loss"]).min() > 1e-3


@pytest.mark.parametrize("signal", [signal for signal in Signal if signal is not Signal.EMBEDDING])
def test_each_alone(signal, wide_llama, long_tokens, signals_of, plain_signals, tmp_path):
    model = wide_llama()
    found, report = signals_of(model, long_tokens, signals=frozenset({signal}))
    assert list(found) == [signal.value]
    np.testing.assert_allclose(found[signal], plain_signals(model, long_tokens, bos=1)[signal], atol=1e-5)
    assert not (tmp_path / "embeddings.npy").exists()
    assert (report.n_tokens < long_tokens.n_tokens.sum()) == (signal is Signal.ANSWER_LOSS)


@pytest.mark.parametrize("n_logits", [1, 2000, 1 << 22])
@pytest.mark.parametrize("tokens_per_batch, n_workers", [(1, 1), (50, 3), (10_000, 1)])
def test_batches_blocks_and_workers_change_nothing(
    n_logits, tokens_per_batch, n_workers, wide_llama, long_tokens, signals_of, plain_signals, small_shards, monkeypatch
):
    monkeypatch.setattr("diverseevol.models.signals.CPU_CHUNK", n_logits)
    monkeypatch.setattr("torch.get_num_threads", lambda: n_workers)
    model = wide_llama(n_vocabulary=203)
    found, _ = signals_of(model, long_tokens, tokens_per_batch=tokens_per_batch)
    assert_close(found, plain_signals(model, long_tokens, bos=1), 1e-5)


def test_what_a_padded_position_holds_is_not_seen(wide_llama, long_tokens, signals_of, plain_signals):
    model = wide_llama()
    expected = plain_signals(model, long_tokens, bos=1)

    def poison(_module, _arguments, inputs, output):
        output.last_hidden_state[inputs["input_ids"] == 0] = float("nan")  # the fake pool has no token 0

    model.model.register_forward_hook(poison, with_kwargs=True)
    assert_close(signals_of(model, long_tokens)[0], expected, 1e-5)


def test_probabilities_that_underflow_count_as_zero(wide_llama, long_tokens, signals_of, plain_signals):
    model = wide_llama(False)
    model.lm_head.weight.data *= 300  # logits of thousands: e^(z-m) is 0 in float32 for most words
    expected = plain_signals(model, long_tokens, bos=1)
    found, _ = signals_of(model, long_tokens)
    assert expected["paper_margin"].max() > 100
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-4, err_msg=name)


def test_a_row_without_a_token_to_predict_is_named(wide_llama, long_tokens, signals_of):
    long_tokens.mask = lambda row: np.arange(len(long_tokens.rows[row])) < (1 if row == 4 else 99)
    with pytest.raises(EmbedError, match=r"what is asked of row 4 \(id id-4\): it has no trained token behind its first"):
        signals_of(wide_llama(), long_tokens, signals=frozenset({Signal.LOSS}))
    signals_of(wide_llama(), long_tokens, signals=frozenset({Signal.PAPER_ENTROPY}))


def test_logits_may_all_be_negative_and_two_words_may_share_the_largest():
    logits_PV, targets_P = torch.tensor([[-5.0, -3.0, -3.0, -9.0], [-1.0, -7.0, -2.0, -8.0]]), torch.tensor([1, 3])
    p_PV = logits_PV.double().softmax(1).sort(1, descending=True).values
    expected = {"paper_margin": [0, 1], "margin": p_PV[:, 0] - p_PV[:, 1], "confidence": p_PV[:, 0]}
    expected["loss"] = torch.nn.functional.cross_entropy(logits_PV.double(), targets_P, reduction="none")
    expected["entropy"] = torch.special.entr(p_PV).sum(1)
    found = position_signals(logits_PV, targets_P, PAPER | TRAINED)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-6, err_msg=name)


SIZES = dict(
    vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4, max_position_embeddings=64
)
GROUPED = SIZES | dict(num_key_value_heads=2)
GPT = dict(vocab_size=64, n_embd=16, n_layer=1, n_head=4, n_positions=64)
ARCHITECTURES = {
    "llama": GROUPED,
    "gpt2": GPT,
    "gptj": GPT | dict(rotary_dim=4),  # a bias on the head
    "phi": SIZES,
    "gemma2": GROUPED | dict(head_dim=8, sliding_window=8, final_logit_softcapping=3.0),
    "cohere": GROUPED | dict(logit_scale=0.25),
    "granite": GROUPED | dict(logits_scaling=4.0),
    "hyperclovax": GROUPED | dict(logits_scaling=4.0),  # the same key, but multiplied
    "qwen3": GROUPED | dict(head_dim=8),
}
ONE_OF_EACH = frozenset({Signal.PAPER_CONFIDENCE, Signal.PAPER_MARGIN, Signal.PAPER_ENTROPY, Signal.LOSS})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_signals_of_every_architecture(name, long_tokens, signals_of, plain_signals):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(name, **ARCHITECTURES[name] | dict(bos_token_id=1, eos_token_id=2, pad_token_id=0))
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    expected = plain_signals(model, long_tokens)
    found, _ = signals_of(model, long_tokens, signals=ONE_OF_EACH)
    assert set(found) == ONE_OF_EACH
    for signal, values in found.items():
        np.testing.assert_allclose(values, expected[signal], atol=1e-4, err_msg=signal)


def test_a_head_that_does_more_is_the_models_own(wide_llama, long_tokens, signals_of, plain_signals):
    """An adapter on the head, and a bias that nobody's configuration tells."""
    on_head = peft.LoraConfig(target_modules=["q_proj", "lm_head"], init_lora_weights=False)
    model = peft.get_peft_model(wide_llama(False), on_head)
    model.get_output_embeddings().register_forward_hook(lambda _module, _inputs, output: output + torch.arange(64) / 10)
    assert_close(signals_of(model, long_tokens)[0], plain_signals(model, long_tokens, bos=1))


def test_signals_of_a_sharded_model_are_refused():
    with pytest.raises(EmbedError, match=r"cannot compute margin, loss with a model that is sharded over ranks \(FSDP\)"):
        check_head({Signal.LOSS, Signal.MARGIN}, is_sharded=True)
    check_head({Signal.EMBEDDING}, is_sharded=True)
