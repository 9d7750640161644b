"""Started by torchrun on two processes: `train_on_ranks.py FOLDER` tunes FOLDER/base whole and killed, data parallel and sharded."""

import sys
from pathlib import Path

import numpy as np
import torch

from diverseevol.base import dist
from diverseevol.base.progress import SILENT
from diverseevol.config import load_config
from diverseevol.models import train
from diverseevol.models.load import load_model, load_tokenizer

FOLDER = Path(sys.argv[1])


ROWS = [np.random.default_rng(row).integers(5, 300, 10 + row) for row in range(20)]


class MadeTokens:
    n_tokens = np.array([len(row) for row in ROWS])

    def ids(self, row):
        return ROWS[row]

    def mask(self, row):
        return np.arange(len(ROWS[row])) >= 4


class Killed(BaseException):
    pass


def kill(self, args, state, control, **_):
    if state.global_step == 4:  # its checkpoint is written; in the middle of the second of three epochs
        raise Killed


def fit(name, *words):
    keys = (
        "train.learning_rate=1e-3",
        "train.total_batch_size=8",
        "train.per_device_train_batch_size=2",
        "train.checkpoint_minutes=0",
    )
    config = load_config(None, (*keys, *words), options={"pool.path": "p", "model": "m", "out": "o"}).train
    tokenizer, base, folder = load_tokenizer(str(FOLDER / "base")), str(FOLDER / "base"), FOLDER / name
    train.fit(base, range(20), MadeTokens(), tokenizer, config, folder / "model", folder / "checkpoints", 3, SILENT)
    return load_model(str(folder / "model")).state_dict()


def assert_same(one, other, atol):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=atol)


whole = {}
for name, words in {
    "parallel": (),
    "sharded": ("train.fsdp=true",),
    "sharded-lora": ("train.fsdp=true", "train.method=lora", "train.lora={target_modules: all-linear}"),
}.items():
    whole[name] = fit(f"{name}-whole", *words)
    train._Callback.on_step_begin = kill
    try:
        fit(f"{name}-killed", *words)
        raise AssertionError("it was to be killed")
    except Killed:
        pass
    finally:
        del train._Callback.on_step_begin
    dist.barrier()
    assert bool(train.last_checkpoint(FOLDER / f"{name}-killed/checkpoints")) == (name == "parallel")
    assert_same(fit(f"{name}-killed", *words), whole[name], atol=0)
assert_same(whole["sharded"], whole["parallel"], atol=1e-6)
dist.stop()
