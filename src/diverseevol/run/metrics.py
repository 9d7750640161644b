"""What a stage cost, and what a round's metrics.json says: sizes, losses, a bill a stage.

FLOPs follow the usual count (Kaplan et al., 2020, https://arxiv.org/abs/2001.08361, section 2.1): a forward
pass over T tokens costs 2·P·T with P parameters outside the embeddings (the output head's product counted,
whether tied or not), a training step three times that (twice with an adapter: the base's weights get no
gradients). Peak memory is the process's resident set on a CPU, the allocator's peak on a GPU.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from torch import Tensor

STAGES = ("train", "embed")
"""The stages that a plan predicts."""


class Record(BaseModel):
    """What a JSON file of a run folder holds at least; whatever else is there stays."""

    model_config = ConfigDict(extra="allow", strict=True)

    def values(self) -> dict[str, Any]:
        """What is known, as the file has it."""
        return self.model_dump(exclude_unset=True)

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """A value as the file has it, so that `round_.metrics["heldout"]["loss"]` reads like the file."""
        return self.values()[name]

    def __contains__(self, name: str) -> bool:
        """Whether the file says it."""
        return name in self.values()


class Bill(Record):
    """What a stage cost; tokens and FLOPs are None where nobody said, as of a trainer outside."""

    seconds: float
    peak_memory_bytes: int = 0
    tokens: int | None = None
    flops: float | None = None
    steps: int = 0
    loss_first: float | None = None
    loss_last: float | None = None


class Losses(Record):
    """A round's held-out losses a token."""

    loss: float | None = None
    balanced_loss: float | None = None
    by_group: dict[str, float] = Field(default_factory=dict)


class Lent(Record):
    """What another run of the same comparison paid for."""

    stages: list[str] = Field(default_factory=list)


class Metrics(Record):
    """A round's metrics.json."""

    round: int = 0
    n_new: int = 0
    n_chosen: int = 0
    tokens_chosen: int = 0
    trained_tokens_chosen: int = 0
    stages: dict[str, Bill] = Field(default_factory=dict)
    heldout: Losses = Losses()
    gauge: dict[str, float] = Field(default_factory=dict)
    """The covering radius or Vendi score that the stopping rule looks at."""
    bytes: dict[str, int] = Field(default_factory=dict)
    lent: Lent = Lent()
    budget_spent: int | str | None = None
    """The budget in tokens that cut the round's picks."""
    stopped: str | None = None
    """Why the run ended here by itself."""

    @property
    def is_measured(self) -> bool:
        """Whether its held-out loss is known."""
        return self.heldout.loss is not None


class RoundPlan(Record):
    """What a round was expected to cost."""

    train_tokens: float
    train_flops: float
    embed_tokens: float
    embed_flops: float

    def expected(self, stage: str, what: str) -> float:
        """`tokens` or `flops` of a stage."""
        return float(self[f"{stage}_{what}"])


class PlanRecord(Record):
    """plan.json."""

    rounds: list[RoundPlan]
    memory: dict[str, float]
    full_flops: float | None = None
    final_flops: float = 0.0


@dataclass
class Cost:
    """The bill of one stage while it runs; seconds and memory are filled in when it ends."""

    seconds: float = 0.0
    tokens: int = 0
    flops: float = 0.0
    peak_memory_bytes: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for metrics.json."""
        bill = {"seconds": round(self.seconds, 3), "peak_memory_bytes": self.peak_memory_bytes}
        if self.tokens:
            rate = round(self.tokens / max(self.seconds, 1e-9), 1)
            bill |= {"tokens": self.tokens, "flops": self.flops, "tokens_per_second": rate}
        return {**bill, **self.extra}


@contextmanager
def billed() -> Iterator[Cost]:
    """Time the block and note the memory's peak at its end."""
    cost, started = Cost(), time.perf_counter()
    try:
        yield cost
    finally:
        cost.seconds = time.perf_counter() - started
        cost.peak_memory_bytes = peak_memory()


def totals(bills: Iterable[Bill]) -> tuple[float, float]:
    """Seconds and FLOPs of some stages together; one that says no FLOPs adds none."""
    known = list(bills)
    return sum(bill.seconds for bill in known), sum(bill.flops or 0.0 for bill in known)


def beside_plan(plan: PlanRecord, metrics: Sequence[Metrics], is_finished: bool) -> dict[str, Any]:
    """What finished rounds were expected to take beside what they took, and the seconds left at their rates.

    Returns:
        {stage: {tokens, flops: {predicted, measured}}, flops and memory: {predicted, measured},
        seconds_left}, of tunings and passes whose bills say FLOPs; `seconds_left` is None where nothing is
        left, or a stage that is has no rate yet.
    """
    found: dict[str, Any] = {"flops": {"predicted": 0.0, "measured": 0.0}}
    seconds_left = 0.0
    for stage in STAGES:
        rounds = zip(plan.rounds, metrics, strict=False)
        pairs = [(round_, one.stages[stage]) for round_, one in rounds if stage in one.stages]
        pairs = [(round_, bill) for round_, bill in pairs if bill.flops is not None]
        found[stage] = {
            what: {
                "predicted": sum(round_.expected(stage, what) for round_, _ in pairs),
                "measured": sum(bill.values().get(what, 0) for _, bill in pairs),
            }
            for what in ("tokens", "flops")
        }
        for side in found["flops"]:
            found["flops"][side] += found[stage]["flops"][side]
        if to_do := sum(round_.expected(stage, "flops") for round_ in plan.rounds[len(metrics) :]):
            seconds, flops = totals(bill for _, bill in pairs)
            seconds_left += to_do * seconds / flops if flops else math.nan
    # A process's peak only rises: the highest of a run's stages is compared with the highest predicted.
    peaks = [bill.peak_memory_bytes for each in metrics for bill in each.stages.values()]
    predicted = max(plan.memory.values(), default=0.0)
    found["memory"] = {"predicted": predicted, "measured": float(max(peaks, default=0))}
    return {**found, "seconds_left": None if is_finished or math.isnan(seconds_left) else seconds_left}


def peak_memory() -> int:
    """Peak bytes of this process so far: of the GPU's allocator if torch uses one, else the resident set."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def process_bytes() -> int:
    """What this process takes already, as far as `peak_memory` counts it; 0: that is a GPU's allocator."""
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
    """FLOPs of a training step: three forward passes, two where only an adapter's weights get gradients."""
    return (2.0 if is_adapter else 3.0) * forward_flops(n_parameters, n_tokens)
