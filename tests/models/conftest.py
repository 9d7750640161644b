"""A small Llama, a pool of random tokens in memory, and the oracles: one row at a time, all hidden states or all logits kept."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from diverseevol.config import EmbedConfig
from diverseevol.models.embed import embed_tokens, open_embeddings, open_signals
from diverseevol.selection import Signal

COLUMNS = frozenset(Signal) - {Signal.EMBEDDING}


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


@pytest.fixture(scope="session")
def plain_signals():
    """The definitions of the signals, word for word: a single row's logits in float64, its probabilities, and a sort."""

    def logits_of(model, ids):
        with torch.no_grad():
            return model(input_ids=torch.from_numpy(np.asarray(ids, dtype=np.int64))[None]).logits[0].double()

    def loss_of(logits_TV, ids, mask):
        losses = [-logits_TV[i - 1].log_softmax(0)[ids[i]].item() for i in range(1, len(ids)) if mask[i]]
        return np.mean(losses) if losses else np.nan

    def of_row(model, ids, mask, bos):
        logits_TV = logits_of(model, ids)
        p_TV, sorted_TV = logits_TV.softmax(1), logits_TV.sort(1, descending=True).values
        entropy_T = torch.special.entr(p_TV).sum(1)
        before = [i - 1 for i in range(1, len(ids)) if mask[i]]
        sorted_p = p_TV.sort(1, descending=True).values[before]
        alone = [i for i in range(len(ids)) if mask[i] or (i == 0 and (ids[0] == bos or sum(mask) == 1))]
        return {
            "paper_confidence": sorted_TV[:, 0].mean().item(),
            "paper_margin": (sorted_TV[:, 0] - sorted_TV[:, 1]).mean().item(),
            "paper_entropy": entropy_T.mean().item(),
            "confidence": sorted_p[:, 0].mean().item(),
            "margin": (sorted_p[:, 0] - sorted_p[:, 1]).mean().item(),
            "entropy": entropy_T[before].mean().item(),
            "loss": loss_of(logits_TV, ids, mask),
            "answer_loss": loss_of(logits_of(model, ids[alone]), ids[alone], mask[alone]),
        }

    def compute(model, tokens, bos=None):
        model.eval()
        rows = [of_row(model, tokens.ids(row), tokens.mask(row), bos) for row in range(len(tokens))]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    return compute


@pytest.fixture
def wide_llama():
    """A Llama whose logits differ a lot from word to word; its BOS is 1."""

    def make(tied=True, n_vocabulary=64, **sizes):
        torch.manual_seed(0)
        sizes = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4) | sizes
        config = LlamaConfig(
            vocab_size=n_vocabulary, max_position_embeddings=64, tie_word_embeddings=tied, bos_token_id=1, **sizes
        )
        model = LlamaForCausalLM(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        return model

    return make


@pytest.fixture
def long_tokens(make_tokens):
    """Rows of two tokens or more, so that each has a trained one behind its first two; every third row begins with the BOS."""
    tokens = make_tokens(n_rows=31, longest=30, seed=3)
    tokens.rows = [
        np.concatenate([[7, 9, 11], row]) if i % 3 else np.concatenate([[1, 9, 11], row]) for i, row in enumerate(tokens.rows)
    ]
    tokens.__post_init__()
    tokens.mask = lambda row: np.arange(len(tokens.rows[row])) >= 1 + len(tokens.rows[row]) // 3
    return tokens


@pytest.fixture
def signals_of(tmp_path):
    """embed_tokens for signals; returns them by name, and the report."""

    def call(model, tokens, out_dir=tmp_path, fingerprint="model and tokens", signals=COLUMNS, **options):
        kept = {name: options.pop(name) for name in ("watch",) if name in options}
        ids = [f"id-{row}" for row in range(len(tokens))]
        report = embed_tokens(model, tokens, out_dir, EmbedConfig(**options), ids, fingerprint, signals=signals, **kept)
        return open_signals(out_dir), report

    return call


@pytest.fixture
def embed(tmp_path):
    """embed_tokens with everything but the model and the tokens filled in; returns the array and the report."""

    def call(model, tokens, out_dir=tmp_path, fingerprint="model and tokens", **options):
        kept = {name: options.pop(name) for name in ("watch",) if name in options}
        ids = [f"id-{row}" for row in range(len(tokens))]
        report = embed_tokens(model, tokens, out_dir, EmbedConfig(**options), ids, fingerprint, **kept)
        return np.array(open_embeddings(out_dir)), report

    return call


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr("diverseevol.models.batches.SHARD_TOKENS", 60)
