"""Saving a model that is sharded over ranks (FSDP2), and its optimizer's state, without any rank ever holding the whole.

Source: PyTorch FSDP2 (`torch.distributed.fsdp.fully_shard`) as transformers applies it while a model is loaded (`DistributedConfig`), and
torch's distributed checkpoints in safetensors. Each rank writes its share; rank 0 then joins the files, piece by piece.
Cost: the weights are written twice; beside its share a rank holds one tensor at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import dist
from ..base.files import remove

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def save_shares(model: PreTrainedModel, folder: Path) -> None:
    """Save a sharded model as an ordinary model folder; every rank calls it.

    Where the files' layout is another than the model's own in memory (experts of a mixture, stacked while loading), the weights are
    gathered on rank 0 to be put back into it.
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


def share_file(checkpoint: str | Path) -> Path:
    """Where this rank's share of the optimizer's state lies in a checkpoint."""
    return Path(checkpoint) / f"optimizer-{dist.rank()}.pt"


def own_shares(state: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's state with this rank's part of each sharded tensor in its place."""
    own = {at: {key: dist.own_part(value) for key, value in of.items()} for at, of in state["state"].items()}
    return {**state, "state": own}


def as_shares(state: dict[str, Any], parameters: Sequence[Tensor]) -> dict[str, Any]:
    """The inverse of `own_shares`, for an optimizer over these parameters in its order."""
    whole = {at: {key: dist.as_part(value, parameters[at]) for key, value in of.items()} for at, of in state["state"].items()}
    return {**state, "state": whole}
