"""The order of rows in a round's training: the same samples in each step, on any number of processes.

A step takes `step` samples of a seeded permutation, a new one each epoch. The engine deals whole batches to
the ranks in turn, so a step is padded up to a multiple of what all ranks take together with a row whose
labels are all ignored: it adds nothing to the loss, which is summed over all trained tokens of a step and
divided by their number on all ranks. Without this, two processes would train on repeated samples at the end
of each epoch, and round 1 would already choose other rows than a single process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

IGNORED = -100


def steps_of(total_batch_size: int, per_device: int, n_ranks: int) -> int:
    """Accumulation steps so that all ranks together take at least `total_batch_size` samples a step."""
    return math.ceil(total_batch_size / (per_device * n_ranks))


class StepSampler(Sampler[int]):
    """Positions 0 … n_rows - 1 in seeded order, an epoch at a time, filled up with n_rows (the ignored row).

    Args:
        n_rows: Real rows.
        step: Samples a training step.
        width: Samples that all ranks take at once (batch a rank × ranks); a step is filled up to a multiple
            of it.
        seed: Of the permutations.
    """

    def __init__(self, n_rows: int, step: int, width: int, seed: int) -> None:
        self.n_rows, self.step, self.width, self.seed = n_rows, step, width, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Move to the permutation of an epoch; the engine calls this, also after a resume."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.n_rows)
        for start in range(0, self.n_rows, self.step):
            part = order[start : start + self.step].tolist()
            yield from part
            yield from [self.n_rows] * (
                self._filled(len(part), is_last=start + self.step >= self.n_rows) - len(part)
            )

    def __len__(self) -> int:
        n_full, rest = divmod(self.n_rows, self.step)
        if rest == 0:
            n_full, rest = n_full - 1, self.step
        return n_full * self._filled(self.step, is_last=False) + self._filled(rest, is_last=True)

    def _filled(self, n: int, is_last: bool) -> int:
        """Length of a step of `n` samples with its filling; an epoch's last step may take fewer batches."""
        return math.ceil((n if is_last else self.step) / self.width) * self.width
