"""`plan`: what a run will cost, before any of it is spent."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as o
from .settings import read_settings

if TYPE_CHECKING:
    from ..config import RunConfig

SMALL = 1e9
"""Parameters below which a device is not kept busy by the usual batches."""
SMALL_MODEL = (
    "a model this small reaches a far smaller share of the peak: --calibrate, on that machine, measures it"
)


def plan(
    words: o.Words = None,
    pool: o.PoolOption = None,
    model: o.ModelOption = None,
    out: o.OutOption = None,
    preset: o.PresetOption = None,
    strategy: o.StrategyOption = None,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Measure the rates here: ten steps and a pass. Loads the model."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say what a run will cost: tokens, FLOPs, time, memory, disk, and its share of one full fine-tuning."""
    from ..config.verbs import PlanConfig

    machine, words = read_settings(PlanConfig, words)
    options = {"pool": pool, "model": model, "out": out, "strategy": strategy}
    config = o.config_from(words, preset, options, needs_out=False)
    values = planned(config, machine.hardware, machine.utilisation, calibrate)
    if as_json:
        typer.echo(json.dumps(values, ensure_ascii=False))
        return
    from .plan_text import print_plan

    print_plan(config, values)


def planned(config: RunConfig, hardware: str, utilisation: float, is_calibrated: bool) -> dict[str, Any]:
    """Every figure of the plan, as plain values.

    Raises:
        DiverseEvolError: the pool or a model cannot be used; or an option names what is not known.
    """
    from ..plan.rates import calibrate, rates_of
    from .run import quiet_libraries
    from .watch import open_watch

    rates = rates_of(hardware, utilisation)
    quiet_libraries()
    from ..plan.estimate import make_plan
    from ..plan.facts import read_facts
    from ..run.metrics import process_bytes

    watch = open_watch()
    # Before rates are measured: a model that was tuned would count as part of the program.
    facts = read_facts(config, watch, process_bytes() if is_calibrated else 0)
    made = make_plan(config, facts)
    if is_calibrated:
        rates = calibrate(config, watch)
    return {
        **asdict(made),
        "rates": asdict(rates),
        "seconds": made.seconds(rates),
        "notes": _notes(config, is_calibrated or made.model.n_parameters >= SMALL),
    }


def _notes(config: RunConfig, is_rate_known: bool) -> list[str]:
    """What the figures leave out, in words."""
    stop = config.stop
    texts = {
        "rows are counted at the pool's mean length, and K-Center tends to pick longer ones": "k_center"
        in config.selection.strategy,
        "train.command tunes: counted as three epochs of all weights, whatever it does": config.train.command,
        f"the one pass of {config.embed.model} over the pool's texts is not counted": config.embed.model,
        "stop.* may end the run earlier: these figures are the most": stop != type(stop)(),
        SMALL_MODEL: not is_rate_known,
    }
    return [text for text, is_so in texts.items() if is_so]
