"""What the JSON files of a run folder hold at least, as pydantic checks it when they are read; whatever else is there stays."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class Bill(_Shape):
    """What a stage cost (ledger.py)."""

    seconds: float
    tokens: int = 0
    flops: float = 0.0
    peak_memory_bytes: int = 0


class Loss(_Shape):
    """A round's held-out loss."""

    loss: float | None = None


class Metrics(_Shape):
    """A round's metrics.json."""

    round: int = 0
    n_new: int = 0
    n_chosen: int = 0
    tokens_chosen: int = 0
    trained_tokens_chosen: int = 0
    stages: dict[str, Bill] = Field(default_factory=dict)
    heldout: Loss = Loss()
    gauge: dict[str, float] = Field(default_factory=dict)
    bytes: dict[str, int] = Field(default_factory=dict)
    stopped: str | None = None


class Pick(_Shape):
    """A line of a round's chosen.jsonl."""

    id: str
    row: int
    round: int = 0
    rank: int = 0


class TaskWord(_Shape):
    """What is under way."""

    name: str
    done: float
    total: float | None
    rate: float
    unit: str
    seconds_left: float | None
    about: Any


class Word(_Shape):
    """progress.json."""

    process: str
    machine: str
    started: str
    written: str
    n_written: int
    state: str
    why: str | None
    task: TaskWord | None


class RoundPlan(_Shape):
    """What a round was expected to cost."""

    train_tokens: float
    train_flops: float
    embed_tokens: float
    embed_flops: float


class PlanRecord(_Shape):
    """plan.json."""

    rounds: list[RoundPlan]
    memory: dict[str, float]
