"""Prints by how many bytes the peak grows from a pass over 8 tokens to one over 2,048 in a batch, and what the whole logits would take."""

import json
import resource
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from diverseevol.config import EmbedConfig
from diverseevol.models.embed import embed_tokens
from diverseevol.selection import Signal

N_WORDS = 150_000


class Tokens:
    def __init__(self, n_rows, length):
        self.rows = np.random.default_rng(0).integers(3, N_WORDS, (n_rows, length))
        self.n_tokens = np.full(n_rows, length, dtype=np.int32)

    def __len__(self):
        return len(self.rows)

    def ids(self, row):
        return self.rows[row]

    def mask(self, row):
        return np.arange(self.rows.shape[1]) > 2


def peak_after_pass(model, n_rows, length):
    config = EmbedConfig(tokens_per_batch=2048)
    with tempfile.TemporaryDirectory() as folder:
        ids = [str(row) for row in range(n_rows)]
        embed_tokens(model, Tokens(n_rows, length), Path(folder), config, ids, "x", signals=frozenset(Signal))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


torch.set_num_threads(1)
sizes = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
model = LlamaForCausalLM(LlamaConfig(vocab_size=N_WORDS, max_position_embeddings=512, **sizes))
small, large = peak_after_pass(model, 1, 8), peak_after_pass(model, 8, 256)
print(json.dumps([large - small, 2048 * N_WORDS * 4]))
