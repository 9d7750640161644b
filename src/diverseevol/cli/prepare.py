"""What comes before a run: `init` writes a config, `check` looks at the pool, `plan` counts the cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..base.text import duration, si
from ..errors import ConfigError
from . import options as o
from .render import show_json, show_lines, show_table

if TYPE_CHECKING:
    from ..config import RunConfig

FILE = "diverseevol.yaml"
FURTHER = {
    "train.": "Every other key of TRL's SFTConfig may stand here, too.",
    "selection.": "The options of the strategy may stand here, too (docs/strategies.md).",
}
SMALL = 1e9
"""Parameters below which a device is not kept busy by the usual batches."""
SMALL_MODEL = (
    "a model this small reaches a far smaller share of the peak: --calibrate, on that machine, measures it"
)
CHEAPER = (
    "What brings it down, each a word to add to this command: selection.candidates=0.1 (a tenth of the rows "
    "embedded a round), rounds=4 n_new=geometric budget=N (fewer, growing rounds), train.method=lora, "
    "--preset thrifty; or a smaller selector: docs/cost.md."
)
N_SHOWN = 5
NEW_FILE = f"The file to write; {FILE} if none is named."
CALIBRATE = "Measure the rates here: ten steps and a pass. Loads the model."
BENCHMARK = "A known NAME, NAME=FILE or NAME=FILE:FIELD with questions; may be repeated."
REPORTS = "Folder for duplicates.jsonl and contamination.jsonl."


def init(
    words: Annotated[list[str] | None, typer.Argument(metavar="[FILE] [KEY=VALUE]…", help=NEW_FILE)] = None,
) -> None:
    """Write a commented configuration."""
    from ..base.files import expanded, write_text
    from ..config import load_config
    from ..config.verbs import InitConfig

    given, names = o.read_settings(InitConfig, words)
    if len(names) > 1:
        raise typer.BadParameter(f"one file at most, found {names[0]!r} and {names[1]!r}")
    file = Path(names[0] if names else FILE)
    if file.exists() and not given.force:
        raise ConfigError(f"{file} is there already. Give another name, or --force to overwrite it.")
    options = {"pool.path": given.pool, "model": given.model, "out": given.out}
    lines = [
        f"# diverseevol, preset {given.preset}. Keys that are commented out show their default.",
        "# Every key can also be given on the command line: diverseevol run FILE train.learning_rate=1e-4",
        f"preset: {given.preset}",
        "",
        *_section(load_config(preset=given.preset, options=options), ""),
    ]
    write_text(file, "\n".join(lines) + "\n")
    for key, value in (("pool.path", given.pool), ("model", given.model)):
        if not Path(expanded(value)).exists():
            problem = f"{key} is {value!r}, which is not here"
            typer.echo(f"{problem}: correct it in the file, unless it is a Hub id.")
    typer.echo(f"Wrote {file}. Next: diverseevol run {file}")


def _section(model: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - a pydantic model
    """A section as commented YAML, from the models' own descriptions."""
    from pydantic import BaseModel

    from ..config import ABOUT, yaml_text

    def shown(value: Any) -> str:  # noqa: ANN401 - any YAML value
        return yaml_text(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()

    indent = "  " * path.count(".")
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        yield f"{indent}# {' '.join(str(field.description).split())}"
        if isinstance(value, BaseModel):
            yield from (f"{indent}{name}:", *_section(value, f"{path}{name}."), "")
            continue
        mark = "# " if value is None or value in ((), {}) else ""
        yield f"{indent}{mark}{name}: {shown(list(value) if isinstance(value, tuple) else value)}"
        if not indent:
            yield ""
    for name, value in (model.model_extra or {}).items():
        yield from (f"{indent}# {ABOUT[path + name]}", f"{indent}{name}: {shown(value)}")
    if path in FURTHER:
        yield f"{indent}# {FURTHER[path]}"


def check(
    words: o.Words = None,
    pool: o.PoolOption = None,
    benchmark: Annotated[list[str] | None, typer.Option("--benchmark", help=BENCHMARK)] = None,
    out: Annotated[Path | None, typer.Option("--out", help=REPORTS)] = None,
    as_json: o.AsJson = False,
) -> None:
    """Find bad rows, duplicates, near-duplicates and benchmark questions in a pool; nothing is removed."""
    given = {"pool": pool, "pool.decontaminate": benchmark, "model": "-", "out": "-"}
    config = o.config_from(words, None, given, defaults={"pool": {"max_bad": 1.0}}).pool
    from ..data.check import check as check_pool
    from .watch import open_watch

    found = check_pool(config, out, open_watch())
    if as_json:
        show_json({name: value for name, value in asdict(found).items() if name != "examples"})
        return
    alike, names = f"similarity ≥ {config.dedup_similarity:g}", f"{out}/duplicates.jsonl, contamination.jsonl"
    lines = [
        f"{found.n_rows:,} rows; besides {sum(found.bad.values()):,} bad ones, which a run puts aside",
        *(f"  {n:,}: {reason}" for reason, n in list(found.bad.items())[:N_SHOWN]),
        f"exact duplicates: {found.n_exact:,} found, none removed",
        f"near-duplicates ({alike}): {found.n_near:,} found, none removed",
    ]
    for name, n in found.benchmarks.items():
        of = f"{n['n_questions_found']} of {n['n_questions']} questions"
        lines.append(f"benchmark {name}: {of} found in {n['n_rows']:,} rows, none removed")
    lines += [
        *(f"  {example}" for example in found.examples),
        f"All of them: {names}" if out else "--out DIR writes all of them, with ids and rows.",
        "In a run, pool.dedup=near (or exact) and pool.decontaminate=[NAME=FILE] leave them out.",
    ]
    show_lines(lines)


def plan(
    words: o.Words = None,
    pool: o.PoolOption = None,
    model: o.ModelOption = None,
    out: o.OutOption = None,
    preset: o.PresetOption = None,
    strategy: o.StrategyOption = None,
    is_calibrated: Annotated[bool, typer.Option("--calibrate", help=CALIBRATE)] = False,
    as_json: o.AsJson = False,
) -> None:
    """Say what a run will cost: tokens, FLOPs, time, memory, disk, and its share of one full fine-tuning."""
    from ..config.verbs import PlanConfig
    from ..plan.rates import calibrate, rates_of
    from .watch import open_watch, quiet_libraries

    machine, words = o.read_settings(PlanConfig, words)
    options = {"pool": pool, "model": model, "out": out, "strategy": strategy}
    config = o.config_from(words, preset, options, needs_out=False)
    rates, watch = rates_of(machine.hardware, machine.utilisation), open_watch()
    quiet_libraries()
    from ..plan.estimate import make_plan
    from ..plan.facts import read_facts
    from ..run.metrics import process_bytes

    # Before rates are measured: a model that was tuned would count as part of the program.
    made = make_plan(config, read_facts(config, watch, process_bytes() if is_calibrated else 0))
    if is_calibrated:
        rates = calibrate(config, watch)
    outer = config.embed.model
    left_out = {  # what the figures leave out, in words
        "rows are counted at the pool's mean length, and K-Center tends to pick longer ones": "k_center"
        in config.selection.strategy,
        "train.command tunes: counted as three epochs of all weights, whatever it does": config.train.command,
        f"the one pass of {outer} over the pool's texts is not counted": outer,
        "stop.* may end the run earlier: these figures are the most": config.stop != type(config.stop)(),
        SMALL_MODEL: not is_calibrated and made.model.n_parameters < SMALL,
    }
    values = {**asdict(made), "rates": asdict(rates), "seconds": made.seconds(rates)}
    values["notes"] = [text for text, is_so in left_out.items() if is_so]
    if as_json:
        show_json(values)
    else:
        _show_plan(config, values)


def _show_plan(config: RunConfig, values: dict[str, Any]) -> None:
    """Print the pool, the rounds, what they need, the ratio, and what brings it down."""
    lengths, seconds, judge = values["lengths"], values["seconds"], values["judge"]
    n_rows, mean = lengths["n_rows"], lengths["mean"]
    is_whole = lengths["n_sampled"] >= n_rows
    by = "all of them" if is_whole else f"{lengths['n_sampled']:,} drawn at random"
    models = [("model", config.model, values["target"])]
    models += [("selector", config.selector.model, values["model"])] if config.selector else []
    lines = [
        f"pool: {n_rows:,} rows that can be trained on, about {mean * n_rows:,.0f} tokens (read from {by})",
        f"  tokens a row: mean {mean:.0f} ({lengths['mean_trained']:.0f} trained on), longest "
        f"{lengths['longest']:,}; {lengths['truncated_share']:.1%} cut at {config.prompt.max_length:,}",
        *(f"{what}: {name}, {si(cost['n_parameters'])} parameters" for what, name, cost in models),
    ]
    show_lines(lines)
    rows = (
        (
            str(index),
            f"{each['n_chosen']:,}",
            f"{each['train_tokens']:,.0f}",
            si(each["train_flops"]),
            f"{each['n_embedded']:,}" if each["n_embedded"] else "-",
            si(each["embed_flops"]) if each["n_embedded"] else "-",
        )
        for index, each in enumerate(values["rounds"])
    )
    embedding = ("rows embedded", "embedding FLOPs")
    show_table(("round", "chosen", "tokens tuned on", "tuning FLOPs", *embedding), rows)
    stages = [(name, seconds[name]) for name in ("train", "embed", "final") if seconds[name]]
    parts = ", ".join(f"{name} {duration(each)}" for name, each in stages)
    total, source = duration(sum(each for _, each in stages)), values["rates"]["source"]
    lines = [
        f"time: {total} ({parts}) on one device: {source}",
        f"peak memory: {', '.join(f'{name} {si(each)}B' for name, each in values['memory'].items())}",
        f"disk: {', '.join(f'{name} {si(each)}B' for name, each in values['disk'].items())}",
        f"judge, a round judged: {judge['n_judgements']:,} judgements (the paper's benchmarks, both orders), "
        f"{judge['tokens_in']:,} tokens in, {judge['tokens_out']:,} out",
    ]
    show_lines(lines)
    ratio, same, full = values["ratio"], values["same_ratio"], duration(seconds["full"])
    of_adapter = f"; {same:.2f} × one tuning of an adapter on all rows" if abs(same - ratio) > 1e-9 else ""
    whole = f"{si(values['flops'])}FLOP, {ratio:.2f} × one full fine-tuning on all rows ({full}){of_adapter}"
    show_lines([f"The whole run: {whole}."], "bold")
    if ratio > 1:
        spent = "the subset saves labels and later trainings, not compute"
        show_lines([f"That is more than tuning on everything: {spent}. {CHEAPER}"])
    show_lines([f"note: {note}" for note in values["notes"]], "dim")
