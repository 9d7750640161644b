"""What would bring a run's cost down: each knob is a change of the configuration, worked out by the same function as the plan itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..config import FinalConfig, RunConfig, TrainConfig
from .facts import Facts
from .whole import Plan, make_plan
from .work import epochs_of, sizes_of

FEW_ROUNDS = 4
CANDIDATES = 0.1
SELECTOR = 0.1
LORA: dict[str, Any] = {"r": 16, "target_modules": "all-linear"}
LORA_TEXT = "{r: 16, target_modules: all-linear}"


@dataclass(frozen=True, slots=True)
class Knob:
    """One change and what the run would be with it."""

    keys: str
    """What to write into the configuration or behind the command."""
    what: str
    plan: Plan


def knobs(config: RunConfig, facts: Facts, plan: Plan) -> list[Knob]:
    """Every knob that is not turned yet and saves something, cheapest first; `plan` stays the measure: one full tuning is the same for all."""
    found = [
        Knob(keys, what, replace(make_plan(changed, known), full_flops=plan.full_flops, same_flops=plan.same_flops))
        for keys, what, changed, known in _changes(config, facts)
    ]
    return sorted((knob for knob in found if _saves(knob.plan, plan)), key=lambda knob: knob.plan.flops)


def _saves(changed: Plan, plan: Plan) -> bool:
    """Whether a change makes the run cheaper, or as cheap at a higher rate."""
    rates = [(each.train_rate_share, each.embed_rate_share) for each in (changed, plan)]
    return changed.flops < plan.flops or rates[0] > rates[1]


def _changes(config: RunConfig, facts: Facts) -> Iterator[tuple[str, str, RunConfig, Facts]]:
    sizes = sizes_of(config, facts)
    total = sum(sizes)
    if len(sizes) - 1 > FEW_ROUNDS and total > config.n_init:
        changes: dict[str, Any] = {"rounds": FEW_ROUNDS, "n_new": "geometric", "budget": total}
        keys = " ".join(f"{key}={value}" for key, value in changes.items())
        yield keys, "fewer, growing rounds to the same size", config.model_copy(update=changes), facts
    if facts.needs and config.selection.candidates > CANDIDATES:
        selection = config.selection.model_copy(update={"candidates": CANDIDATES})
        words = "each round looks at a random tenth of the rows"
        yield f"selection.candidates={CANDIDATES}", words, config.model_copy(update={"selection": selection}), facts
    if config.selector is None and not config.train.command:
        small = facts.model.scaled(SELECTOR, "a tenth of the model")
        changed = config.model_copy(update={"final": config.final or FinalConfig()})
        words = "a model of a tenth of the size does the rounds, then the model is tuned once"
        yield "selector=SMALLER_MODEL final=true", words, changed, replace(facts, model=small)
    yield from _tuning(config, facts)


def _tuning(config: RunConfig, facts: Facts) -> Iterator[tuple[str, str, RunConfig, Facts]]:
    """Knobs of the tuning itself."""
    train = config.train
    if train.command:
        return
    if train.method == "full" and config.selector is None and config.final is None and facts.model.n_adapter:
        words = "an adapter is tuned: a third of a training step less, and far less memory and disk"
        yield f"train.method=lora train.lora='{LORA_TEXT}'", words, _with(config, method="lora"), facts
    epochs = epochs_of(train, sum(sizes_of(config, facts)))
    if train.start == "base" and epochs > 1:
        words = f"go on from the last round's model, and so with one epoch in place of {epochs:g} (at the same epochs it saves nothing)"
        yield "train.start=previous train.num_train_epochs=1", words, _with(config, start="previous", num_train_epochs=1), facts
    if train.sft.get("bf16") is False or config.embed.dtype == "float32":
        embed = config.embed.model_copy(update={"dtype": "auto"})
        words = "16-bit products: the same FLOPs at about twice the rate"
        yield "train.bf16=true embed.dtype=auto", words, _with(config.model_copy(update={"embed": embed}), bf16=True), facts


def _with(config: RunConfig, **keys: object) -> RunConfig:
    return config.model_copy(update={"train": TrainConfig.model_validate(config.train.model_dump() | keys)})
