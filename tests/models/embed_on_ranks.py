"""Started by torchrun on three processes: `embed_on_ranks.py FOLDER` embeds one pool on three ranks, sharded by FSDP, and on two ranks."""

import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch.distributed.fsdp import fully_shard
from transformers import LlamaForCausalLM

from diverseevol.base import dist
from diverseevol.base.progress import SILENT
from diverseevol.config import EmbedConfig
from diverseevol.errors import NonFiniteError
from diverseevol.evaluation import loss as loss_module
from diverseevol.evaluation.loss import heldout_losses
from diverseevol.models import batches
from diverseevol.models.embed import embed_tokens
from diverseevol.models.load import is_sharded
from diverseevol.models.sentence import embed_texts, load_outer
from diverseevol.selection import Signal

FOLDER = Path(sys.argv[1])
batches.SHARD_TOKENS = 60
loss_module.LOGITS_A_BATCH = 1 << 14  # several batches, and not a multiple of the ranks


class SavedTokens:
    def __init__(self):
        self.flat, self.n_tokens = np.load(FOLDER / "flat.npy"), np.load(FOLDER / "n_tokens.npy")
        self.ends = np.cumsum(self.n_tokens)

    def __len__(self):
        return len(self.n_tokens)

    def ids(self, row):
        return self.flat[self.ends[row] - self.n_tokens[row] : self.ends[row]]

    def mask(self, row):
        return np.arange(self.n_tokens[row]) > 1


class LongRows(SavedTokens):
    """A view: the rows that have a trained token behind one that is not."""

    def __init__(self):
        super().__init__()
        self.rows = np.flatnonzero(self.n_tokens > 2)
        self.n_tokens, self.ends = self.n_tokens[self.rows], self.ends[self.rows]


def run(name, model, tokens=None, **options):
    tokens = tokens or SavedTokens()
    ids = [f"id-{row}" for row in range(len(tokens))]
    return embed_tokens(model, tokens, FOLDER / name, EmbedConfig(tokens_per_batch=64), ids, "x", **options)


def expect_nan(model):
    model.model.embed_tokens.weight.data[9] = float("nan")  # in rows of every rank
    try:
        run("nan", model)
    except NonFiniteError as error:
        (FOLDER / f"nan-{dist.rank()}.txt").write_text(str(error))


def embed_outer(model):
    """By the outer model that outer.txt names, if there is one."""
    texts = [f"text {row} " * (row % 9) for row in range(40)]
    lengths = np.array([len(text) for text in texts])
    return embed_texts(load_outer(model, EmbedConfig()), texts.__getitem__, lengths, FOLDER / "outer", EmbedConfig(), texts, "x")


def with_two_ranks():
    """Start again as a group of two; the third process leaves."""
    port = dist.broadcast(free_port() if dist.is_main() else None)
    dist.stop()
    if int(os.environ["RANK"]) == 2:
        return False
    os.environ |= {"WORLD_SIZE": "2", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "False"}
    return True


def free_port():
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


torch.set_num_threads(1)
model = LlamaForCausalLM.from_pretrained(FOLDER / "model", dtype=torch.float32)
report = run("three", model)
(FOLDER / f"report-{dist.rank()}.txt").write_text(repr(report))
if (FOLDER / "outer.txt").exists():
    report = embed_outer((FOLDER / "outer.txt").read_text())
    (FOLDER / f"outer-report-{dist.rank()}.txt").write_text(repr(report))
run("three-signals", model, LongRows(), signals=frozenset(Signal))
sharded = LlamaForCausalLM.from_pretrained(FOLDER / "model", dtype=torch.float32)
mesh = torch.distributed.init_device_mesh("cpu", (3,))
for layer in sharded.model.layers:
    fully_shard(layer, mesh=mesh)
fully_shard(sharded, mesh=mesh)
assert is_sharded(sharded) and not is_sharded(model)
run("fsdp", sharded)
for name, one in (("plain", model), ("fsdp", sharded)):
    np.save(FOLDER / f"losses-{name}-{dist.rank()}.npy", heldout_losses(one, SavedTokens(), SILENT))
expect_nan(model)
if with_two_ranks():
    model = LlamaForCausalLM.from_pretrained(FOLDER / "model", dtype=torch.float32)
    run("two", model)
    run("two-signals", model, LongRows(), signals=frozenset(Signal))
    dist.stop()
