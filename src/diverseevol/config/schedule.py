"""How many samples each round adds.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), section 3: 100 samples at first, 100 more in each of 10 rounds.
Fewer, growing rounds cost fewer passes over the pool: `geometric` grows the subset by an equal factor up to the budget.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

NewSamples = int | tuple[int, ...] | Literal["geometric"]


def split_budget(budget: int | str | None) -> tuple[int | None, int | None]:
    """The budget as (samples, tokens); at most one of them is set."""
    if budget is None or isinstance(budget, int):
        return budget, None
    number, _, unit = budget.replace(",", "").replace("_", "").partition(" ")
    if not number.isdigit() or unit.strip() not in {"", "samples", "tokens"} or int(number) < 1:
        raise ValueError(f"budget is {budget!r}: give a number of samples (1100) or of tokens ('200000 tokens')")
    return (None, int(number)) if unit.strip() == "tokens" else (int(number), None)


def round_sizes(rounds: int, n_init: int, n_new: NewSamples, budget: int | str | None) -> list[int]:
    """Samples that round 0 and each later round may add, in order.

    A token budget does not show here: the loop cuts a round's picks where the budget ends.

    Raises:
        ValueError: the schedule contradicts itself (a list of another length than `rounds`, a budget below `n_init`, …).
    """
    n_samples, _ = split_budget(budget)
    if n_new == "geometric":
        if n_samples is None:
            raise ValueError("n_new: geometric needs a budget in samples, such as budget: 1100")
        if n_samples <= n_init or rounds < 1:
            raise ValueError(
                f"n_new: geometric grows from n_init {n_init} to budget {n_samples} over {rounds} rounds: raise budget above n_init, and "
                "rounds above 0"
            )
        growth = (n_samples / n_init) ** (1 / rounds)
        totals = [round(n_init * growth**index) for index in range(rounds + 1)]
        sizes = [totals[0], *(after - before for before, after in pairwise(totals))]
    elif isinstance(n_new, int):
        sizes = [n_init] + [n_new] * rounds
    else:
        if len(n_new) != rounds:
            raise ValueError(f"n_new names {len(n_new)} rounds, rounds is {rounds}: give one number a round")
        sizes = [n_init, *n_new]
    if min(sizes) < 1:
        found = f"geometric, which gives {sizes}" if n_new == "geometric" else str(n_new)
        raise ValueError(f"n_new is {found}: every round must add at least one sample; lower rounds where fewer are wanted")
    if n_samples is not None and n_samples < n_init:
        raise ValueError(f"budget is {n_samples}, less than round 0 draws (n_init {n_init}): raise budget or lower n_init")
    return _within(sizes, n_samples)


def _within(sizes: list[int], n_samples: int | None) -> list[int]:
    """`sizes`, cut where their sum reaches `n_samples`."""
    if n_samples is None:
        return sizes
    kept: list[int] = []
    for size in sizes:
        left = n_samples - sum(kept)
        if left < 1:
            break
        kept.append(min(size, left))
    return kept
