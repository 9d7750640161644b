import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from diverseevol.errors import ModelError
from diverseevol.models.load import adapter_config, check_fits, fingerprint, load_model, load_tokenizer


@pytest.fixture
def copied(made_model, tmp_path):
    return shutil.copytree(made_model, tmp_path / "model")


def test_a_whole_model_loads_tied_head_and_all(made_model):
    model = load_model(str(made_model))
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.name_or_path == str(made_model.resolve())


def test_missing_weights_are_not_filled_with_random_ones(copied):
    weights = load_file(copied / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights of .* are missing from its files, first model.layers.0.mlp.up_proj.weight"):
        load_model(str(copied))


def test_a_broken_file_says_so(copied):
    file = copied / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"cannot load the model .*The folder holds: "):
        load_model(str(copied))


def test_an_encoder_without_a_head_is_refused(tmp_path, made_model):
    from transformers import BertConfig, BertModel

    BertModel(
        BertConfig(vocab_size=600, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    ).save_pretrained(tmp_path / "bert")
    with pytest.raises(ModelError, match=r"weights of .* are missing .*a model without a language-model head cannot be tuned"):
        load_model(str(tmp_path / "bert"))


def test_pickled_weights_are_refused_with_a_way_out(copied):
    (copied / "model.safetensors").unlink()
    (copied / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ModelError, match=r"Pickled weights are not loaded: convert them with model.save_pretrained"):
        load_model(str(copied))


def test_foreign_code_is_refused_and_the_key_named(copied):
    config = json.loads((copied / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.OwnModel"}}
    (copied / "config.json").write_text(json.dumps(config))
    (copied / "own.py").write_text("raise SystemExit('this code must not run')\n")
    tokenizer = load_tokenizer(
        str(shutil.copytree(copied, copied.parent / "tokenizer", ignore=shutil.ignore_patterns("config.json")))
    )
    with pytest.raises(ModelError, match=r"Set trust_remote_code=true if you have read its code"):
        check_fits(str(copied), tokenizer, 64)


def test_a_tokenizer_larger_than_the_embedding_is_refused(made_model, copied):
    tokenizer = load_tokenizer(str(copied))
    check_fits(str(copied), tokenizer, 64)
    tokenizer.add_tokens(["<new>", "<other>"])
    with pytest.raises(ModelError, match=r"has 514 tokens, but the model's embedding 512 rows. Resize the embedding"):
        check_fits(str(copied), tokenizer, 64)
    with pytest.raises(ModelError, match=r"prompt.max_length is 4096, but .* reads 1024 tokens at most"):
        check_fits(str(made_model), load_tokenizer(str(made_model)), 4096)


def test_an_adapter_whose_base_is_gone_names_it(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "gone")}))
    assert adapter_config(str(tmp_path))
    for load in (load_model, load_tokenizer):
        with pytest.raises(ModelError, match=r"needs its base model at '.*gone', which is not there"):
            load(str(tmp_path))


def test_the_fingerprint_follows_weights_and_settings(copied, made_model):
    before = fingerprint(str(copied))
    assert before == fingerprint(str(made_model))
    (copied / "notes.md").write_text("x")
    assert fingerprint(str(copied)) == before
    weights = load_file(copied / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    assert fingerprint(str(copied)) != before
    assert fingerprint("owner/name") == "owner/name"
