import json

import pytest

from diverseevol import load_config
from diverseevol.embed.encoder import find_decoder
from diverseevol.embed.report import n_outside_tables
from diverseevol.errors import ModelError
from diverseevol.models import load_model, n_computing
from diverseevol.plan.read_shape import model_shape


def train(*words):
    return load_config(None, words, options={"pool.path": "p", "model": "m", "out": "o"}).train


@pytest.mark.parametrize("words", [(), ("train.method=lora", "train.lora={r: 4, target_modules: [q_proj, v_proj]}")])
def test_it_counts_what_the_ledger_counts(made_model, words):
    shape, model = model_shape(str(made_model), train(*words)), load_model(str(made_model))
    assert shape.n_all == sum(weight.numel() for weight in model.parameters())
    assert shape.n_computing == n_computing(model)
    assert shape.n_decoder == n_outside_tables(find_decoder(model))
    assert shape.n_head == model.get_output_embeddings().weight.numel()
    config = model.config
    assert (shape.n_layers, shape.width, shape.n_vocabulary) == (config.num_hidden_layers, config.hidden_size, config.vocab_size)
    assert shape.widest == config.intermediate_size
    assert shape.itemsize == model.dtype.itemsize
    if words:
        head_width = config.hidden_size // config.num_attention_heads
        outs = (head_width * config.num_attention_heads, head_width * config.num_key_value_heads)
        assert shape.n_adapter == sum(4 * (config.hidden_size + out) for out in outs) * config.num_hidden_layers


def test_seven_billion_parameters_need_no_weights(tmp_path):
    settings = dict(vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "dtype": "float16", **settings}))
    shape = model_shape(str(tmp_path), train())
    a_layer = 4 * 4096**2 + 3 * 4096 * 11008 + 2 * 4096
    assert shape.n_decoder == 32 * a_layer + 4096
    assert shape.n_all == shape.n_decoder + 2 * 32000 * 4096 == 6_738_415_616
    assert shape.n_computing == shape.n_all - 32000 * 4096
    assert (shape.itemsize, shape.widest) == (2, 11008)


def test_what_is_no_model(tmp_path):
    with pytest.raises(ModelError, match="cannot load the model"):
        model_shape(str(tmp_path), train())
