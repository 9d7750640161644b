"""A plan as people read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from ..base.text import duration, si
from .tables import new_table, open_console

if TYPE_CHECKING:
    from ..config import RunConfig


def print_plan(config: RunConfig, values: dict[str, Any]) -> None:
    """Print the pool, the rounds, what they need, the ratio, and the knobs."""
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
        say(f"That is more than tuning on everything: the subset saves labels and later trainings, not compute. {_turns(values)}")
    if values["knobs"]:
        console.print(_knobs(values["knobs"]))
    for note in [*values["notes"], *_length_note(config, values)]:
        say(f"note: {note}", "dim")


def _pool_lines(config: RunConfig, values: dict[str, Any]) -> list[str]:
    lengths = values["lengths"]
    quantiles = ", ".join(f"{percent} % ≤ {length:,}" for percent, length in lengths["percentiles"].items())
    left_out = f", {lengths['left_out_share']:.1%} more too long to train on" if lengths["left_out_share"] else ""
    by = "all of them" if lengths["n_sampled"] >= lengths["n_rows"] else f"{lengths['n_sampled']:,} drawn at random"
    models = [("model", values["target"])]
    models += [("selector", values["model"])] if config.selector else []
    return [
        f"pool: {lengths['n_rows']:,} rows{left_out}, about {lengths['mean'] * lengths['n_rows']:,.0f} tokens (read from {by})",
        f"  tokens a row: mean {lengths['mean']:.0f} ({lengths['mean_trained']:.0f} trained on); {quantiles}; "
        f"{lengths['truncated_share']:.1%} cut at {config.prompt.max_length:,}",
        *(f"{what}: {shape['name']}, {si(shape['n_all'])} parameters" for what, shape in models),
    ]


def _rounds(rounds: list[dict[str, Any]]) -> Table:
    table = new_table(("round", "new", "chosen", "their tokens", "tuning FLOPs", "rows embedded", "embedding FLOPs"))
    for each in rounds:
        figures = (each["index"], each["n_new"], each["n_chosen"])
        last = (f"{each['n_embedded']:,}", si(each["embed_flops"])) if each["n_embedded"] else ("-", "-")
        table.add_row(*(f"{figure:,}" for figure in figures), f"{each['tokens_chosen']:,.0f}", si(each["train_flops"]), *last)
    return table


def _need_lines(values: dict[str, Any]) -> list[str]:
    seconds, judging = values["seconds"], values["judging"]
    stages = [(name, seconds[name]) for name in ("train", "embed", "final") if seconds[name]]
    parts = ", ".join(f"{name} {duration(each)}" for name, each in stages)
    money = "" if judging["money"] is None else f" = {judging['money']:,.2f}"
    no_money = " (--price-in and --price-out give money)" if judging["money"] is None else ""
    return [
        f"time: {duration(sum(each for _, each in stages))} ({parts}) on one device: {values['rates']['source']}",
        f"peak memory: {', '.join(f'{name} {si(each)}B' for name, each in values['memory'].items())}",
        f"disk: {', '.join(f'{name} {si(each)}B' for name, each in values['disk'].items())}",
        f"judge, a round judged: {judging['n_questions']:,} questions × 2 orders, {judging['tokens_in']:,} tokens in, "
        f"{judging['tokens_out']:,} out{money}{no_money}",
    ]


def _verdict(values: dict[str, Any]) -> str:
    full = duration(values["seconds"]["full"])
    text = f"The whole run: {si(values['flops'])}FLOP, {values['ratio']:.2f} × one full fine-tuning on all rows ({full})"
    if abs(values["same_ratio"] - values["ratio"]) > 1e-9:
        text += f"; {values['same_ratio']:.2f} × one tuning of an adapter on all rows"
    return text + "."


def _length_note(config: RunConfig, values: dict[str, Any]) -> list[str]:
    if "k_center" not in config.selection.strategy:
        return []
    return [
        "chosen rows are counted at the pool's mean length; K-Center tends to pick longer ones: at that of its longest quarter "
        f"({values['lengths']['mean_of_longest']:.0f} tokens) the whole run would be {values['ratio_if_long']:.2f} ×"
    ]


def _turns(values: dict[str, Any]) -> str:
    under = [knob for knob in values["knobs"] if knob["ratio"] < 1]
    return "One of these brings it down:" if under else "These bring it down:"


def _knobs(knobs: list[dict[str, Any]]) -> Table:
    table = new_table(("ratio", "time", "with", "what it does"), texts=("with", "what it does"))
    for knob in knobs:
        seconds = sum(knob["seconds"][name] for name in ("train", "embed", "final"))
        table.add_row(f"{knob['ratio']:.2f}", duration(seconds), knob["keys"], knob["what"])
    return table
