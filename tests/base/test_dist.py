"""Joining the process group."""

import pytest
import torch

from diverseevol.base import dist
from diverseevol.errors import ConfigError


def test_more_processes_than_gpus_are_named(monkeypatch):
    for name, value in {"WORLD_SIZE": "3", "RANK": "2", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(
        ConfigError, match=r"3 or more processes .* shows 2 GPU\(s\)\. Start one a GPU: torchrun --nproc-per-node 2\."
    ):
        dist.start()
