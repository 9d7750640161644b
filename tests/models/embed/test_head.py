"""The head is found for every way in which an architecture scales or bends its logits, or refused."""

import numpy as np
import peft
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from diverseevol.errors import EmbedError
from diverseevol.models.embed.head import Head, find_head
from diverseevol.selection import Signal

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


@pytest.mark.parametrize("start", [0, 5])
def test_logits_of_a_part_of_the_vocabulary(start):
    torch.manual_seed(0)
    hidden_PD, weight_VD, bias_V = torch.randn(4, 3), torch.randn(9, 3), torch.randn(9)
    found_PC = torch.empty(4, 4)
    Head(weight_VD, bias_V, 0.5, 2.0).logits(hidden_PD, start, found_PC)
    expected_PV = 2.0 * torch.tanh(0.5 * (hidden_PD.double() @ weight_VD.T.double() + bias_V.double()) / 2.0)
    torch.testing.assert_close(found_PC.double(), expected_PV[:, start : start + 4], atol=1e-6, rtol=0)


@torch.inference_mode()
def test_small_logits_do_not_hide_a_soft_cap():
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 9, bias=False)
    hidden_PD = 0.3 * torch.randn(8, 4)
    logits_PV = 30 * torch.tanh(layer(hidden_PD) / 30)  # a bend of 1e-5: far below what is allowed
    assert find_head(layer, {"final_logit_softcapping": 30.0, "logit_scale": None}, hidden_PD, logits_PV).soft_cap == 30.0
    assert find_head(layer, {"final_logit_softcapping": 30.0}, hidden_PD, layer(hidden_PD)).soft_cap is None


def test_a_head_that_does_more_is_refused(wide_llama, long_tokens, signals_of, tmp_path):
    model = wide_llama()
    handle = model.lm_head.register_forward_hook(lambda _module, _inputs, output: output + torch.arange(64) / 10)
    message = r"cannot compute signals from logits: head times states differs from the model's own logits by \d.* of the largest .* Merge"
    with pytest.raises(EmbedError, match=message):
        signals_of(model, long_tokens)
    handle.remove()
    signals_of(model, long_tokens)


def test_an_adapter_on_the_head_is_refused_and_one_below_it_is_read(wide_llama, long_tokens, signals_of, plain_signals, tmp_path):
    options = dict(init_lora_weights=False)
    below = peft.get_peft_model(wide_llama(False), peft.LoraConfig(target_modules=["q_proj", "down_proj"], **options))
    found, _ = signals_of(below, long_tokens, tmp_path / "a")
    expected = plain_signals(below, long_tokens, bos=1)
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-4, err_msg=name)
    on_head = peft.get_peft_model(wide_llama(False), peft.LoraConfig(target_modules=["lm_head"], **options))
    with pytest.raises(EmbedError, match="Merge an adapter on the head, or ask for the embedding alone"):
        signals_of(on_head, long_tokens, tmp_path / "b")


def test_a_head_that_is_no_matrix_is_refused():
    hidden_PD, logits_PV = torch.randn(8, 4), torch.randn(8, 9)
    for layer, found in ((None, "none"), (torch.nn.Linear(4, 8), "Linear"), (torch.nn.Identity(), "Identity")):
        with pytest.raises(EmbedError, match=f"must be a matrix of 9 x 4 floating-point weights; found {found}. Load the model"):
            find_head(layer, {}, hidden_PD, logits_PV)


def test_the_head_is_not_called_by_the_pass_itself(wide_llama, long_tokens, signals_of):
    model, lengths = wide_llama(), []
    model.lm_head.register_forward_hook(lambda _module, _inputs, output: lengths.append(output.shape[:2]))
    signals_of(model, long_tokens)
    assert lengths == [(1, 8)]  # the probe alone


def test_signals_of_a_sharded_model_are_refused(wide_llama, long_tokens, signals_of):
    with pytest.raises(EmbedError, match=r"cannot compute margin, loss with a model that is sharded over ranks \(FSDP\)"):
        signals_of(wide_llama(), long_tokens, signals=frozenset({Signal.LOSS, Signal.MARGIN}), lockstep=True)
