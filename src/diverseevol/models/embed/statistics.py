"""What the logits of a position say, without ever holding them all: a block of positions, a part of the vocabulary at a time.

Of each part five numbers a position are kept, relative to the part's own largest logit m: m itself, the second largest, the sum
of e^(z−m), the sum of e^(z−m)·(z−m), and the target's logit. Two parts' numbers are merged exactly (the online softmax of
Milakov and Gimelshein, 2018, https://arxiv.org/abs/1805.02867, with a second and a weighted sum carried along). Since z−m is
finite, a probability that underflows counts as 0 in the entropy, not as NaN.
The second largest needs no sort: the largest of each of GROUPS groups of columns, then the rest of the winning group.
Cost: the head's product, one exp a logit and a few sweeps over a block that stays in the processor's cache (benchmarks/signals.py);
two blocks of float32 as memory. A number that is not asked for costs nothing.
Shape letters: N positions of a batch, P positions of a block, C words of a part of the vocabulary, G groups, S words of a group,
D embedding width.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from .head import Head

# Positions and words of a block. On a CPU two blocks of 2 MB stay in the cache that cores share; fewer positions make the product
# slow, for it reads the head's weights once a block (measured with widths 128 and 512). A GPU wants more at once.
CPU_BLOCK = (512, 1024)
GPU_BLOCK = (4096, 8192)
GROUPS = 32


class Statistics(NamedTuple):
    """Numbers of P positions, float32[P] each; one that was not asked for has no meaning."""

    largest: Tensor
    """m: the largest logit."""
    second: Tensor
    """The second largest logit; equal to the largest if two words share it."""
    total: Tensor
    """Sum of e^(z−m)."""
    weighted: Tensor
    """Sum of e^(z−m)·(z−m)."""
    target: Tensor
    """The target's logit."""


def position_statistics(
    head: Head, hidden_ND: Tensor, positions_P: Tensor, targets_P: Tensor, parts: frozenset[str]
) -> Statistics:
    """The statistics of some positions.

    Args:
        head: the LM head.
        hidden_ND: last states of all positions.
        positions_P: which of them.
        targets_P: the word that each is to predict, or a negative number.
        parts: the names of the statistics to compute; `largest` always is.
    """
    device = head.weight_VD.device
    n_positions, n_words = CPU_BLOCK if device.type == "cpu" else GPU_BLOCK
    n_words = min(n_words, _padded(head.n_words))
    scratch = torch.empty(2, min(n_positions, len(positions_P)) * n_words, dtype=torch.float32, device=device)
    blocks = []
    for start in range(0, len(positions_P), n_positions):
        block = slice(start, start + n_positions)
        hidden_PD, target_P = hidden_ND[positions_P[block]].to(device), targets_P[block].to(device)
        words = (
            slice(first, min(first + n_words, head.n_words)) for first in range(0, head.n_words, n_words)
        )
        blocks.append(
            reduce(
                merge, (_part(head, hidden_PD, target_P - part.start, part, scratch, parts) for part in words)
            )
        )
    return Statistics(*map(torch.cat, zip(*blocks, strict=True)))


def merge(left: Statistics, right: Statistics) -> Statistics:
    """The statistics of two parts of the vocabulary taken together."""
    largest = torch.maximum(left.largest, right.largest)
    second = torch.maximum(
        torch.minimum(left.largest, right.largest), torch.maximum(left.second, right.second)
    )
    total, weighted = torch.zeros_like(largest), torch.zeros_like(largest)
    for part in (left, right):
        shift = part.largest - largest
        total += shift.exp() * part.total
        weighted += shift.exp() * (part.weighted + shift * part.total)
    return Statistics(largest, second, total, weighted, left.target + right.target)


def two_largest(block_PC: Tensor) -> tuple[Tensor, Tensor]:
    """The largest and the second largest of each row; C is a multiple of GROUPS."""
    block_PSG = block_PC.view(len(block_PC), -1, GROUPS)
    groups_PG = block_PSG.amax(1)
    largest_P1, group_P1 = groups_PG.max(1, keepdim=True)
    members_PS = block_PSG.gather(2, group_P1[:, None].expand(-1, block_PSG.shape[1], -1))[..., 0]
    second_P = torch.maximum(
        _without(groups_PG, group_P1).amax(1),
        _without(members_PS, members_PS.argmax(1, keepdim=True)).amax(1),
    )
    return largest_P1[:, 0], second_P


def _part(
    head: Head, hidden_PD: Tensor, targets_P: Tensor, words: slice, scratch: Tensor, parts: frozenset[str]
) -> Statistics:
    """The statistics of one part of the vocabulary; `targets_P` are counted from its beginning, outside it or not."""
    n_positions, n_words = len(hidden_PD), words.stop - words.start
    shape = (n_positions, _padded(n_words))
    padded_PC, powers_PC = (memory[: shape[0] * shape[1]].view(shape) for memory in scratch)
    logits_PC = padded_PC[:, :n_words]
    head.logits(hidden_PD, words.start, logits_PC)
    nothing = hidden_PD.new_zeros(n_positions, dtype=torch.float32)
    second = total = weighted = target = nothing
    if "second" in parts:
        padded_PC[:, n_words:] = -torch.inf
        largest, second = two_largest(padded_PC)
    else:
        largest = logits_PC.amax(1)
    if "target" in parts:
        is_here = (targets_P >= 0) & (targets_P < n_words)
        target = torch.where(
            is_here, logits_PC.gather(1, targets_P.clamp(0, n_words - 1)[:, None])[:, 0], 0.0
        )
    if "total" in parts:
        logits_PC.sub_(largest[:, None])
        powers_PC = torch.exp(logits_PC, out=powers_PC[:, :n_words])
        total = powers_PC.sum(1)
        weighted = powers_PC.mul_(logits_PC).sum(1) if "weighted" in parts else nothing
    return Statistics(largest, second, total, weighted, target)


def _padded(n_words: int) -> int:
    return -(-n_words // GROUPS) * GROUPS


def _without(values_PK: Tensor, at_P1: Tensor) -> Tensor:
    return values_PK.scatter(1, at_P1, -torch.inf)
