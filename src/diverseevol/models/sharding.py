"""Models that are sharded over ranks (FSDP2), and how they are saved without any rank ever holding the whole.

Source: PyTorch FSDP2 (`torch.distributed.fsdp.fully_shard`) as transformers applies it while a model is
loaded (`DistributedConfig`), and torch's distributed checkpoints in safetensors. Each rank writes its share;
rank 0 then joins the files, piece by piece.
Cost: the weights are written twice; beside its share a rank holds one tensor at a time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..base import dist
from ..base.files import remove
from ..errors import ConfigError

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedModel


def shards_models(asked: object = False) -> bool:
    """Whether each rank holds only its share of a model: as `asked` (`train.fsdp`) or by the launcher.

    Raises:
        ConfigError: weights are to be offloaded to the CPU, too.
    """
    dist.start()
    if dist.world_size() == 1 or not (asked or dist.FSDP in os.environ):
        return False
    if os.environ.get("FSDP_OFFLOAD_PARAMS", "false").lower() in dist.TRUE:
        raise ConfigError(
            "the FSDP configuration offloads parameters, which is not supported here. Set "
            "fsdp_offload_params: false in it, and "
            "start more processes if the shares do not fit."
        )
    return True


def is_sharded(model: Module) -> bool:
    """Whether FSDP keeps a part of the weights on each rank, so that all take part in every forward pass."""
    if dist.world_size() == 1:
        return False
    from torch.distributed.fsdp import FSDPModule

    return any(isinstance(module, FSDPModule) for module in model.modules())


def save_shares(model: PreTrainedModel, folder: Path) -> None:
    """Save a sharded model as an ordinary model folder; every rank calls it.

    Where the files' layout is another than the model's own in memory (experts of a mixture, stacked while
    loading), the weights are gathered on rank 0 to be put back into it.
    """
    if model._weight_conversions:
        model.save_pretrained(folder)
        return
    from transformers.distributed.checkpoint import consolidate_distributed_checkpoint

    shares_dir = folder / "shares"
    model.save_pretrained(shares_dir, distributed_checkpoint=True)
    if dist.is_main():
        consolidate_distributed_checkpoint(shares_dir, folder)
        for file in shares_dir.glob("*.json"):
            file.rename(folder / file.name)
        remove(shares_dir)
    dist.barrier()
