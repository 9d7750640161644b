"""`plan`: what a run will cost, before any of it is spent; also checks everything that a run checks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options as o

if TYPE_CHECKING:
    from ..config import RunConfig

PAPERS_BENCHMARKS = ("vicuna", "koala", "wizardlm")
SMALL = 1e9
"""Parameters below which a device is not kept busy by the usual batches."""
BenchmarkOption = Annotated[
    list[str] | None, typer.Option("--benchmark", help="Judged after a round; the paper's three without it. Repeat it.")
]
PriceIn = Annotated[float | None, typer.Option("--price-in", help="The judge's price of a million tokens in.")]
PriceOut = Annotated[float | None, typer.Option("--price-out", help="And of a million tokens out.")]


def plan(
    words: o.Words = None,
    pool: o.PoolOption = None,
    model: o.ModelOption = None,
    out: o.OutOption = None,
    preset: o.PresetOption = None,
    strategy: o.StrategyOption = None,
    rounds: o.RoundsOption = None,
    n_init: o.InitOption = None,
    n_new: o.NewOption = None,
    seed: o.SeedOption = None,
    hardware: Annotated[str, typer.Option("--hardware", help="a100, h100, h100-pcie, h200, b200, l4, l40s, …")] = "h100",
    utilisation: Annotated[float, typer.Option("--utilisation", help="Share of that device's peak that the run gets.")] = 0.4,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure the rates here: ten steps and a pass. Loads the model.")
    ] = False,
    benchmark: BenchmarkOption = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Say what a run will cost: tokens, FLOPs, seconds, memory, disk, and how much of one full fine-tuning it is."""
    if (price_in is None) != (price_out is None):
        raise typer.BadParameter("give both --price-in and --price-out, or neither")
    sizes = {"rounds": rounds, "n_init": n_init, "n_new": n_new}
    options = {"pool": pool, "model": model, "out": out, "strategy": strategy, "seed": seed, **sizes}
    config = o.config_from(words, preset, options, needs_out=False)
    values = planned(config, hardware, utilisation, calibrate, benchmark or PAPERS_BENCHMARKS, price_in, price_out)
    if as_json:
        typer.echo(json.dumps(values, ensure_ascii=False))
        return
    from .plan_text import print_plan

    print_plan(config, values)


def planned(
    config: RunConfig,
    hardware: str,
    utilisation: float,
    is_calibrated: bool,
    benchmarks: list[str] | tuple[str, ...],
    price_in: float | None,
    price_out: float | None,
) -> dict[str, Any]:
    """Every figure of the plan, as plain values.

    Raises:
        DiverseEvolError: as a run would before it loads weights; or an option names what is not known.
    """
    from ..evaluation.judge.cost import Prices
    from ..plan import knobs, make_plan, rates_of
    from ..plan.judging import judging
    from .run import quiet_libraries
    from .watch import open_watch

    rates = rates_of(hardware, utilisation)
    prices = Prices(price_in, price_out) if price_in is not None and price_out is not None else None
    quiet_libraries()
    from ..planning import read_facts

    watch = open_watch()
    if is_calibrated:
        from ..calibrating import calibrate

        facts = read_facts(config, watch, is_here=True)  # before: a model that was tuned would count as part of the program
        rates = calibrate(config, watch)
    else:
        facts = read_facts(config, watch)
    made = make_plan(config, facts)
    values = made.as_dict()
    if not is_calibrated and facts.model.n_all < SMALL:
        values["notes"].append(
            f"a model this small reaches far less than {utilisation:g} of the peak: --calibrate, on that machine, measures it"
        )
    return {
        **values,
        "rates": {"train": rates.train, "embed": rates.embed, "start": rates.start, "source": rates.source},
        "seconds": made.seconds(rates),
        "judging": asdict(judging(benchmarks, facts.target_lengths, prices)),
        "knobs": [
            {"keys": knob.keys, "what": knob.what, "ratio": knob.plan.ratio, "seconds": knob.plan.seconds(rates)}
            for knob in knobs(config, facts, made)
        ],
    }
