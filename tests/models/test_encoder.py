"""The pass against the definition, architecture by architecture; and the model is left as it was."""

import numpy as np
import peft
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from diverseevol.config import EmbedConfig
from diverseevol.errors import EmbedError
from diverseevol.models.encoder import ready_encoder

SIZES = dict(
    vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64
)
GROUPED = SIZES | dict(num_key_value_heads=2)
GPT = dict(vocab_size=64, n_embd=16, n_layer=2, n_head=4, n_positions=64)
ARCHITECTURES = {
    "llama": GROUPED,
    "gpt2": GPT,
    "gpt_neox": SIZES,
    "gptj": GPT | dict(rotary_dim=4),
    "qwen2": GROUPED,
    "qwen3": GROUPED | dict(head_dim=8),
    "qwen3_moe": GROUPED | dict(head_dim=8, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=8),
    "gemma": GROUPED | dict(head_dim=8),
    "gemma2": GROUPED | dict(head_dim=8, sliding_window=8),
    "gemma3_text": GROUPED | dict(head_dim=8, sliding_window=8),
    "phi": SIZES,
    "phi3": GROUPED | dict(pad_token_id=0),
    "phi3 longrope": GROUPED  # other frequencies for rows of more than 16 tokens
    | dict(pad_token_id=0, max_position_embeddings=64, original_max_position_embeddings=16)
    | dict(rope_parameters=dict(rope_type="longrope", rope_theta=1e4, short_factor=[1.0, 1.0], long_factor=[3.0, 7.0])),
    "mistral": GROUPED | dict(sliding_window=8),
    "mixtral": GROUPED | dict(num_local_experts=4),
    "opt": dict(vocab_size=64, hidden_size=16, ffn_dim=24, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)
    | dict(word_embed_proj_dim=8),
    "bloom": dict(vocab_size=64, hidden_size=16, n_layer=2, n_head=4),
    "falcon": SIZES,
    "olmo2": GROUPED,
    "stablelm": GROUPED,
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_equals_last_of_all_hidden_states_one_row_at_a_time(name, tokens, embed, one_row_at_a_time):
    torch.manual_seed(0)
    sizes = ARCHITECTURES[name] | dict(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name.split()[0], **sizes))
    for parameter in model.parameters():  # away from the near-identity of a fresh model, so that attention matters
        torch.nn.init.normal_(parameter, std=0.3)
    expected_ND = one_row_at_a_time(model, tokens)
    embeddings_ND, report = embed(model, tokens, tokens_per_batch=128)
    np.testing.assert_allclose(embeddings_ND, expected_ND, rtol=1e-4, atol=2e-5 * np.abs(expected_ND).max())
    assert report.width == embeddings_ND.shape[1]


def test_model_that_sees_later_positions_gets_a_mask(tokens, embed, one_row_at_a_time):
    sizes = GROUPED | dict(head_dim=8, use_bidirectional_attention=True, sliding_window=64)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("gemma3_text", **sizes))
    embeddings_ND, _ = embed(model, tokens, tokens_per_batch=128)
    np.testing.assert_allclose(embeddings_ND, one_row_at_a_time(model, tokens), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype, tolerance", [("bfloat16", 3e-2), ("float16", 4e-3), ("float32", 1e-5)])
def test_casts_for_the_pass(dtype, tolerance, llama, tokens, embed, one_row_at_a_time):
    expected_ND = one_row_at_a_time(llama, tokens)
    embeddings_ND, report = embed(llama, tokens, dtype=dtype)
    assert report.dtype == dtype and embeddings_ND.dtype == np.float32
    difference = np.abs(embeddings_ND - expected_ND).max()
    assert difference < tolerance * np.abs(expected_ND).max()
    assert dtype == "float32" or difference > 1e-5  # it did run in fewer bits


def test_dropout_is_off(llama, tokens, embed, one_row_at_a_time):
    llama.config.attention_dropout = 0.5
    for layer in llama.model.layers:
        layer.self_attn.attention_dropout = 0.5
    llama.train()
    embeddings_ND, _ = embed(llama, tokens)
    np.testing.assert_allclose(embeddings_ND, one_row_at_a_time(llama, tokens), atol=1e-5)


def test_no_checkpointing_no_cache_no_gradients_no_head_no_other_layers(llama, tokens, embed):
    llama.activation_checkpointing_enable()
    llama.train()
    calls = []
    for layer in llama.model.layers:
        layer._gradient_checkpointing_func = lambda *_: pytest.fail("a checkpoint was taken")
    llama.lm_head.register_forward_hook(lambda *_: pytest.fail("the head was called"))
    llama.model.register_forward_hook(lambda _module, _inputs, output: calls.append(output))
    embed(llama, tokens)
    assert calls and all(out.past_key_values is None and out.hidden_states is None for out in calls)
    assert not any(out.last_hidden_state.requires_grad for out in calls)


def test_adapters_are_active(llama, tokens, embed, one_row_at_a_time, tmp_path):
    bare_ND, _ = embed(llama, tokens, tmp_path / "bare")
    adapted = peft.get_peft_model(llama, peft.LoraConfig(target_modules=["q_proj", "down_proj"], init_lora_weights=False))
    embeddings_ND, _ = embed(adapted, tokens, tmp_path / "adapted")
    np.testing.assert_allclose(embeddings_ND, one_row_at_a_time(adapted, tokens), atol=1e-5)
    assert np.abs(embeddings_ND - bare_ND).max() > 1e-2


def test_virtual_tokens_are_refused(llama, tokens, embed):
    model = peft.get_peft_model(llama, peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    with pytest.raises(EmbedError, match=r"cannot embed with a PROMPT_TUNING adapter: its virtual tokens .* Use LoRA"):
        embed(model, tokens)


def test_a_bare_decoder_is_refused(llama, tokens, embed):
    with pytest.raises(EmbedError, match="cannot embed with LlamaModel: .* Load it as a causal language model"):
        embed(llama.model, tokens)


@pytest.fixture
def shared_out(monkeypatch):
    """As if a model were sharded over ranks."""
    monkeypatch.setattr("diverseevol.models.encoder.is_sharded", lambda model: True)


def test_whole_model_call_gives_the_same(llama, tokens, embed, tmp_path, request):
    alone_ND, _ = embed(llama, tokens, tmp_path / "a")
    logits = []
    llama.lm_head.register_forward_hook(lambda _module, _inputs, output: logits.append(output.shape[1]))
    request.getfixturevalue("shared_out")
    through_root_ND, _ = embed(llama, tokens, tmp_path / "b")
    np.testing.assert_allclose(through_root_ND, alone_ND, atol=1e-6)
    assert set(logits) == {1}  # the head sees one position a row


@pytest.mark.parametrize("rope", [None, "dynamic"])
def test_models_that_change_themselves_run_on_one_worker(rope, tokens, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    parameters = dict(rope_parameters=dict(rope_type=rope, rope_theta=1e4, factor=2.0)) if rope else {}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **GROUPED, **parameters))
    assert ready_encoder(model, EmbedConfig(), tokens.ids(0)).n_workers == (1 if rope else 2)


@pytest.mark.parametrize("kind", ["Mamba", "Rwkv"])
def test_models_without_attention_heads(kind, tokens, embed, one_row_at_a_time):
    import transformers

    torch.manual_seed(0)
    sizes = {"Mamba": dict(state_size=4), "Rwkv": dict(context_length=64)}[kind]
    config = getattr(transformers, f"{kind}Config")(vocab_size=64, hidden_size=16, num_hidden_layers=2, **sizes)
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    vectors, report = embed(model, tokens)
    assert np.allclose(vectors, one_row_at_a_time(model, tokens), atol=1e-5)
    n_weights = sum(weight.numel() for name, weight in model.get_decoder().named_parameters() if "embeddings" not in name)
    assert report.flops == 2 * n_weights * tokens.n_tokens.sum()
