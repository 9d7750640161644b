"""How many samples each round adds.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182), section 3: 100 samples at first, 100
more in each of 10 rounds. Fewer, growing rounds cost fewer passes over the pool: `geometric` grows the subset
by an equal factor up to the budget.
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
        raise ValueError(
            f"budget is {budget!r}: give a number of samples (1100) or of tokens ('200000 tokens')"
        )
    return (None, int(number)) if unit.strip() == "tokens" else (int(number), None)


def round_sizes(rounds: int, n_init: int, n_new: NewSamples, budget: int | str | None) -> list[int]:
    """Samples that round 0 and each later round may add, in order.

    A budget in tokens does not show here: the loop cuts a round's picks where the budget ends.

    Raises:
        ValueError: the schedule contradicts itself (a list of another length than `rounds`, a budget below
            `n_init`, …).
    """
    n_samples, _ = split_budget(budget)
    if n_new == "geometric":
        if n_samples is None or n_samples <= n_init or rounds < 1:
            raise ValueError(
                f"n_new: geometric grows from n_init ({n_init}) to a budget in samples (found {budget}) "
                "over the "
                f"rounds ({rounds}): set a budget above n_init, such as budget: 1100, and rounds above 0"
            )
        growth = (n_samples / n_init) ** (1 / rounds)
        totals = [0, *(round(n_init * growth**index) for index in range(rounds + 1))]
        sizes = [after - before for before, after in pairwise(totals)]
    else:
        later = [n_new] * rounds if isinstance(n_new, int) else list(n_new)
        if len(later) != rounds:
            raise ValueError(f"n_new names {len(later)} rounds, rounds is {rounds}: give one number a round")
        sizes = [n_init, *later]
    if min(sizes) < 1:
        raise ValueError(
            f"n_new is {n_new}, which gives {sizes}: every round must add at least one sample; lower rounds"
        )
    if n_samples is None:
        return sizes
    if n_samples < n_init:
        raise ValueError(
            f"budget is {n_samples}, less than round 0 draws (n_init {n_init}): raise budget or lower n_init"
        )
    left = [min(size, n_samples - sum(sizes[:index])) for index, size in enumerate(sizes)]
    return [size for size in left if size > 0]
