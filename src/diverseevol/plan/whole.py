"""The plan: every figure of a run before it is made, and the whole as a ratio to one full tuning.

One full tuning is what a run saves or does not: all weights of `model`, tuned on every row of the pool for as many epochs as the run's
last tuning of the model. METHOD: the published schedule (10 rounds of 100, 3 epochs) costs 1.55 times that on 15,011 rows, 1.24 times on
52,002, if a forward pass is a third of a training step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..config import RunConfig
from .disk import disk
from .facts import Facts
from .hardware import FLOAT32, Rates
from .memory import peaks
from .work import RoundWork, epochs_of, rounds_of, sizes_of, tuning_flops


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will take."""

    facts: Facts
    rounds: tuple[RoundWork, ...]
    final_tokens: float
    final_flops: float
    full_flops: float
    """One tuning of all weights of the model on the whole pool."""
    same_flops: float
    """The same, by the run's own method: equal to `full_flops` unless that is an adapter."""
    memory: dict[str, float]
    disk: dict[str, float]
    train_rate_share: float
    embed_rate_share: float
    """What is left of an accelerator's bf16 rate."""

    @property
    def flops(self) -> float:
        """Of the whole run."""
        return sum(work.flops for work in self.rounds) + self.final_flops

    @property
    def ratio(self) -> float:
        """The run over one full tuning of the model on the whole pool."""
        return self.flops / self.full_flops

    @property
    def ratio_if_long(self) -> float:
        """The same if the rows of every round were as long as the pool's longest quarter: K-Center tends to pick long ones."""
        lengths = self.facts.lengths
        more = (
            sum(work.train_flops for work in self.rounds) * (lengths.mean_of_longest / lengths.mean - 1) if lengths.mean else 0.0
        )
        return (self.flops + more) / self.full_flops

    @property
    def same_ratio(self) -> float:
        """The run over one tuning by its own method on the whole pool."""
        return self.flops / self.same_flops

    def seconds(self, rates: Rates) -> dict[str, float]:
        """Seconds of a run's stages, and of one full tuning; measured rates know the run's precision, tabled ones do not."""
        train, embed = (
            (rates.train, rates.embed)
            if rates.is_measured
            else (rates.train * self.train_rate_share, rates.embed * self.embed_rate_share)
        )
        return {
            "train": sum(work.train_flops for work in self.rounds) / train + rates.start * len(self.rounds),
            "embed": sum(work.embed_flops + work.heldout_flops for work in self.rounds) / embed,
            "final": self.final_flops / train + (rates.start if self.final_flops else 0.0),
            "full": self.full_flops / train + rates.start,
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = ("rounds", "final_tokens", "final_flops", "full_flops", "same_flops", "memory", "disk")
        values = asdict(self)
        return {
            "ratio": self.ratio,
            "same_ratio": self.same_ratio,
            "ratio_if_long": self.ratio_if_long,
            "flops": self.flops,
            **{name: values[name] for name in names},
            "lengths": values["facts"]["lengths"],
            "model": values["facts"]["model"],
            "target": values["facts"]["target"],
            "notes": list(self.facts.notes),
        }


def make_plan(config: RunConfig, facts: Facts) -> Plan:
    """Work a run out; `config` as the user gave it, with its selector and its final tuning."""
    rounds, final = config.for_rounds(), config.for_final()
    works = rounds_of(rounds, facts)
    n_chosen = sum(sizes_of(rounds, facts))
    is_adapter = final.train.method != "full"
    final_tokens = facts.target_lengths.mean * n_chosen * epochs_of(final.train, n_chosen) if config.final else 0.0
    n_pool = facts.target_lengths.n_rows
    whole_tokens = facts.target_lengths.n_tokens * epochs_of(final.train, n_pool)
    return Plan(
        facts=facts,
        rounds=tuple(works),
        final_tokens=final_tokens,
        final_flops=tuning_flops(facts.target, final_tokens, is_adapter),
        full_flops=tuning_flops(facts.target, whole_tokens, False),
        same_flops=tuning_flops(facts.target, whole_tokens, is_adapter),
        memory=peaks(config, facts),
        disk=disk(config, facts, works),
        train_rate_share=FLOAT32 if rounds.train.sft.get("bf16") is False else 1.0,
        embed_rate_share=FLOAT32 if rounds.embed.dtype == "float32" else 1.0,
    )
