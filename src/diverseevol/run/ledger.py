"""What a stage cost: seconds, tokens, floating-point operations, peak memory.

FLOPs follow the usual count (Kaplan et al., 2020, https://arxiv.org/abs/2001.08361, section 2.1): a forward pass over T tokens costs
2·P·T with P parameters outside the embeddings (the output head's product counted, whether tied or not), a training step three times
that (twice with an adapter: the base's weights get no gradients). Peak memory is the process's resident set on a CPU, the allocator's peak on a GPU.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

STAGES = ("train", "embed")
"""The stages that a plan predicts."""


@dataclass
class Cost:
    """The bill of one stage; seconds and memory are filled in when the stage ends."""

    seconds: float = 0.0
    tokens: int = 0
    flops: float = 0.0
    peak_memory_bytes: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json."""
        bill = {"seconds": round(self.seconds, 3), "peak_memory_bytes": self.peak_memory_bytes}
        if self.tokens:
            bill |= {
                "tokens": self.tokens,
                "flops": self.flops,
                "tokens_per_second": round(self.tokens / max(self.seconds, 1e-9), 1),
            }
        return {**bill, **self.extra}


def totals(bills: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """Seconds and FLOPs of some stages' bills, as metrics.json has them, together; one that says no FLOPs adds none."""
    known = list(bills)
    return sum(float(bill["seconds"]) for bill in known), sum(float(bill.get("flops", 0.0)) for bill in known)


def beside_plan(
    plan: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]], is_finished: bool
) -> dict[str, Any]:
    """What finished rounds were expected to take beside what they took, and the seconds left at their rates.

    Args:
        plan: plan.json, as plain values.
        metrics: Each finished round's metrics.json.
        is_finished: Whether no round follows.

    Returns:
        {stage: {tokens, flops: {predicted, measured}}, flops and memory: {predicted, measured}, seconds_left}, of tunings and passes
        whose bills say FLOPs; `seconds_left` is None where nothing is left, or a stage that is has no rate yet.
    """
    found: dict[str, Any] = {}
    seconds_left = 0.0
    for stage in STAGES:
        bills = [each.get("stages", {}).get(stage, {}) for each in metrics]
        pairs = [
            (round_, bill) for round_, bill in zip(plan["rounds"], bills, strict=False) if "flops" in bill
        ]
        found[stage] = {
            what: {
                "predicted": sum(r[f"{stage}_{what}"] for r, _ in pairs),
                "measured": sum(bill[what] for _, bill in pairs),
            }
            for what in ("tokens", "flops")
        }
        if to_do := sum(round_[f"{stage}_flops"] for round_ in plan["rounds"][len(metrics) :]):
            seconds, flops = totals(bill for _, bill in pairs)
            seconds_left += to_do * seconds / flops if flops else math.nan
    found["flops"] = {
        side: sum(found[stage]["flops"][side] for stage in STAGES) for side in ("predicted", "measured")
    }
    # A process's peak only rises: the highest of a run's stages is compared with the highest predicted.
    peaks = [bill.get("peak_memory_bytes", 0) for each in metrics for bill in each.get("stages", {}).values()]
    found["memory"] = {
        "predicted": max(plan["memory"].values(), default=0.0),
        "measured": float(max(peaks, default=0)),
    }
    return {**found, "seconds_left": None if is_finished or math.isnan(seconds_left) else seconds_left}


@contextmanager
def billed() -> Iterator[Cost]:
    """Time the block and note the memory's peak at its end."""
    cost = Cost()
    started = time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - started
        cost.peak_memory_bytes = peak_memory()


def peak_memory() -> int:
    """Peak bytes of this process so far: of the GPU's allocator if torch uses one, else the resident set."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def process_bytes() -> int:
    """What this process takes already, as far as `peak_memory` would count it; 0 where that is a GPU's allocator."""
    torch = sys.modules.get("torch")
    return 0 if torch is not None and torch.cuda.is_available() else peak_memory()


def n_numbers(parameter: Tensor) -> int:
    """Numbers that a parameter stands for, also where bitsandbytes packs two of them into a byte."""
    packed = getattr(parameter, "quant_state", None)
    return math.prod(packed.shape) if packed is not None else parameter.numel()


def forward_flops(n_parameters: int, n_tokens: int) -> float:
    """FLOPs of a forward pass: 2 a parameter and token."""
    return 2.0 * n_parameters * n_tokens


def training_flops(n_parameters: int, n_tokens: int, is_adapter: bool = False) -> float:
    """FLOPs of forward and backward: three forward passes, or two where only an adapter's weights get gradients of their own."""
    return (2.0 if is_adapter else 3.0) * forward_flops(n_parameters, n_tokens)
