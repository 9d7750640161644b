"""A model without weights and a pool, both small enough to work everything out by hand."""

import json

import numpy as np
import pytest

from diverseevol import load_config
from diverseevol.plan.facts import Facts

SETTINGS = dict(vocab_size=50, hidden_size=8, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2)


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """Decoder 2 · (4·8² + 3·8·16 + 2·8) + 8 = 1320 parameters, embedding and head 50·8 = 400 each; saved in 16 bits."""
    folder = tmp_path_factory.mktemp("llama")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "dtype": "float16", **SETTINGS}))
    return str(folder)


@pytest.fixture
def facts():
    """A thousand rows of 10 tokens on average, 4 of them trained on; squares are 136 on average."""
    return Facts(1000, np.array([4, 16]), 4.0, 0.0, frozenset({"embedding"}))


@pytest.fixture
def config(llama):
    def make(*words, **options):
        given = {"pool.path": "p", "model": llama, "out": "o", "rounds": 2, "n_init": 10, "n_new": 20}
        return load_config(None, words, options=given | options)

    return make
