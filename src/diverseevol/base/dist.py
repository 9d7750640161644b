"""Ranks, shards and exchanges over torch.distributed; on a single process everything here is a no-op.

torchrun and accelerate start the processes and set RANK, WORLD_SIZE and LOCAL_RANK. Only this module talks
over torch.distributed, and it does not import torch before a second process exists. Small values travel as
objects over gloo (also beside NCCL), so that a stage need not know which device it runs on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from ..errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

# A rank that dies takes the others down through its launcher within seconds; this bounds a wait for a rank
# that merely hangs.
TIMEOUT = timedelta(hours=6)
FROM_MAIN = "raised on rank 0"
FSDP = "DIVERSEEVOL_FSDP"
TRUE = frozenset({"1", "true", "yes", "y", "t", "on"})


def world_size() -> int:
    """Number of processes of this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """This process's number on its machine, from 0; also the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main() -> bool:
    """Whether this process writes the files that exist once a run."""
    return rank() == 0


def start() -> None:
    """Join the process group that torchrun or accelerate announced, if it is not joined already.

    Raises:
        ConfigError: there are more processes than GPUs.
    """
    # accelerate's wish for FSDP becomes ours: on its own variable transformers would have rank 0 alone read a
    # model's weights, and accelerate would shard once more what is sharded while it is loaded.
    if os.environ.pop("ACCELERATE_USE_FSDP", "false").lower() in TRUE:
        os.environ[FSDP] = "true"
    if world_size() == 1:
        return
    import torch
    import torch.distributed as group

    if group.is_initialized():
        return
    if not torch.cuda.is_available():
        group.init_process_group("gloo", timeout=TIMEOUT)
        return
    n_gpus = torch.cuda.device_count()
    if (here := local_rank()) >= n_gpus:
        raise ConfigError(
            f"{here + 1} or more processes were started on this machine, which shows {n_gpus} GPU(s). "
            f"Start one a GPU: torchrun --nproc-per-node {n_gpus}."
        )
    torch.cuda.set_device(local_rank())
    group.init_process_group("cpu:gloo,cuda:nccl", timeout=TIMEOUT)


def stop() -> None:
    """Leave the process group, so that the launcher sees a clean end."""
    if world_size() > 1:
        import torch.distributed as group

        if group.is_initialized():
            group.destroy_process_group()


def barrier() -> None:
    """Wait until every rank is here."""
    gather(None)


def gather(value: T) -> list[T]:
    """Every rank's value, in rank order, on every rank (an all-gather between our own processes)."""
    if world_size() == 1:
        return [value]
    import torch.distributed as group

    start()
    values: list[T | None] = [None] * world_size()
    group.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def gather_numbers(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every rank's few numbers, float64[K], as (ranks, K) on every rank; much faster than `gather`."""
    if world_size() == 1:
        return values[None]
    import numpy as np
    import torch
    import torch.distributed as group

    start()
    found = [torch.empty(len(values), dtype=torch.float64) for _ in range(world_size())]
    group.all_gather(found, torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64)))
    return torch.stack(found).numpy()


def broadcast(value: T) -> T:
    """Rank 0's value, on every rank."""
    if world_size() == 1:
        return value
    import torch.distributed as group

    start()
    box = [value]
    group.broadcast_object_list(box, src=0)
    return box[0]


def on_main(work: Callable[[], T]) -> T:
    """Do `work` on rank 0 and hand its result, or its exception, to every rank.

    Raises:
        Exception: whatever `work` raised, on every rank, so that no rank waits for one that gave up.
    """
    if world_size() == 1:
        return work()
    result: T | None = None
    error: Exception | None = None
    if is_main():
        try:
            result = work()
        except Exception as caught:  # noqa: BLE001 - handed on to every rank, not swallowed
            error = caught
    result, error = broadcast((result, error))
    if error is not None:
        if not is_main():
            error.add_note(FROM_MAIN)
        raise error
    return result  # type: ignore[return-value]


def came_from_main(error: BaseException) -> bool:
    """Whether `on_main` handed this error on to a rank other than 0, which need not report it again."""
    return FROM_MAIN in getattr(error, "__notes__", ())


def shard(n: int) -> range:
    """This rank's contiguous part of `range(n)`; parts differ by at most one in size and cover everything."""
    size, here = world_size(), rank()
    return range(n * here // size, n * (here + 1) // size)
