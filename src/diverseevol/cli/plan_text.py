"""A plan as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from ..base.text import duration, si
from .tables import new_table, open_console

if TYPE_CHECKING:
    from ..config import RunConfig

CHEAPER = (
    "What brings it down, each a word to add to this command: selection.candidates=0.1 (a tenth of the rows "
    "embedded a round), "
    "rounds=4 n_new=geometric budget=N (fewer, growing rounds), train.method=lora, --preset thrifty; or a "
    "smaller selector: docs/cost.md."
)


def print_plan(config: RunConfig, values: dict[str, Any]) -> None:
    """Print the pool, the rounds, what they need, the ratio, and what brings it down."""
    console = open_console()

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    for line in _pool_lines(config, values):
        say(line)
    console.print(_rounds(values["rounds"]))
    for line in _need_lines(values):
        say(line)
    say(_verdict(values), "bold")
    if values["ratio"] > 1:
        say(
            "That is more than tuning on everything: the subset saves labels and later trainings, not "
            f"compute. {CHEAPER}"
        )
    for note in values["notes"]:
        say(f"note: {note}", "dim")


def _pool_lines(config: RunConfig, values: dict[str, Any]) -> list[str]:
    lengths = values["lengths"]
    by = (
        "all of them"
        if lengths["n_sampled"] >= lengths["n_rows"]
        else f"{lengths['n_sampled']:,} drawn at random"
    )
    models = [("model", config.model, values["target"])]
    models += [("selector", config.selector.model, values["model"])] if config.selector else []
    return [
        f"pool: {lengths['n_rows']:,} rows that can be trained on, about "
        f"{lengths['mean'] * lengths['n_rows']:,.0f} tokens (read from {by})",
        f"  tokens a row: mean {lengths['mean']:.0f} ({lengths['mean_trained']:.0f} trained on), longest "
        f"{lengths['longest']:,}; "
        f"{lengths['truncated_share']:.1%} cut at {config.prompt.max_length:,}",
        *(f"{what}: {name}, {si(cost['n_parameters'])} parameters" for what, name, cost in models),
    ]


def _rounds(rounds: list[dict[str, Any]]) -> Table:
    table = new_table(
        ("round", "chosen", "tokens tuned on", "tuning FLOPs", "rows embedded", "embedding FLOPs")
    )
    for index, each in enumerate(rounds):
        tuning = (f"{each['n_chosen']:,}", f"{each['train_tokens']:,.0f}", si(each["train_flops"]))
        last = (f"{each['n_embedded']:,}", si(each["embed_flops"])) if each["n_embedded"] else ("-", "-")
        table.add_row(str(index), *tuning, *last)
    return table


def _need_lines(values: dict[str, Any]) -> list[str]:
    seconds, judge = values["seconds"], values["judge"]
    stages = [(name, seconds[name]) for name in ("train", "embed", "final") if seconds[name]]
    parts = ", ".join(f"{name} {duration(each)}" for name, each in stages)
    return [
        f"time: {duration(sum(each for _, each in stages))} ({parts}) on one device: "
        f"{values['rates']['source']}",
        f"peak memory: {', '.join(f'{name} {si(each)}B' for name, each in values['memory'].items())}",
        f"disk: {', '.join(f'{name} {si(each)}B' for name, each in values['disk'].items())}",
        f"judge, a round judged: {judge['n_judgements']:,} judgements (the paper's benchmarks, both orders), "
        f"{judge['tokens_in']:,} tokens in, {judge['tokens_out']:,} out",
    ]


def _verdict(values: dict[str, Any]) -> str:
    full = duration(values["seconds"]["full"])
    text = (
        f"The whole run: {si(values['flops'])}FLOP, {values['ratio']:.2f} × one full fine-tuning on all "
        f"rows ({full})"
    )
    if abs(values["same_ratio"] - values["ratio"]) > 1e-9:
        text += f"; {values['same_ratio']:.2f} × one tuning of an adapter on all rows"
    return text + "."
