"""A small Llama, a pool of random tokens in memory, and the oracle: one row at a time, all hidden states kept."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from diverseevol.config import EmbedConfig
from diverseevol.embed import embed_tokens, open_embeddings


@dataclass
class FakeTokens:
    rows: list
    n_tokens: np.ndarray = field(init=False)

    def __post_init__(self):
        self.n_tokens = np.array([len(row) for row in self.rows], dtype=np.int32)

    def __len__(self):
        return len(self.rows)

    def ids(self, row):
        return self.rows[row]

    def mask(self, row):
        return np.arange(len(self.rows[row])) >= len(self.rows[row]) // 3


@pytest.fixture(scope="session")
def make_tokens():
    def make(n_rows=23, longest=30, seed=0, n_vocabulary=60):
        rng = np.random.default_rng(seed)
        return FakeTokens([rng.integers(1, n_vocabulary, rng.integers(1, longest + 1)).astype(np.int32) for _ in range(n_rows)])

    return make


@pytest.fixture
def tokens(make_tokens):
    return make_tokens()


@pytest.fixture
def llama():
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    return LlamaForCausalLM(LlamaConfig(vocab_size=64, max_position_embeddings=64, **sizes))


@pytest.fixture(scope="session")
def one_row_at_a_time():
    """The definition: the last of all hidden states of a single row, averaged in float64."""

    def embed(model, tokens, weigh=lambda row, n: np.ones(n)):
        was_training = model.training
        model.eval()
        vectors = []
        for row in range(len(tokens)):
            ids_1T = torch.from_numpy(tokens.ids(row).astype(np.int64))[None]
            with torch.no_grad():
                hidden_TD = model(input_ids=ids_1T, output_hidden_states=True).hidden_states[-1][0].double().numpy()
            weights_T = weigh(row, len(hidden_TD)).astype(np.float64)
            vectors.append(weights_T @ hidden_TD / weights_T.sum())
        model.train(was_training)
        return np.stack(vectors)

    return embed


@pytest.fixture
def embed(tmp_path):
    """embed_tokens with everything but the model and the tokens filled in; returns the array and the report."""

    def call(model, tokens, out_dir=tmp_path, fingerprint="model and tokens", **options):
        kept = {name: options.pop(name) for name in ("watch", "lockstep") if name in options}
        ids = [f"id-{row}" for row in range(len(tokens))]
        report = embed_tokens(model, tokens, out_dir, EmbedConfig(**options), ids, fingerprint, **kept)
        return np.array(open_embeddings(out_dir)), report

    return call


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr("diverseevol.embed.shards.SHARD_TOKENS", 60)
