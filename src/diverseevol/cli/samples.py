"""`run --show-samples`: what is trained on and what is masked, before anything is spent."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ..base.files import read_jsonl
from ..config import RunConfig


def print_samples(config: RunConfig, n_samples: int) -> None:
    """Print the first samples of the pool.

    Trained text in colour (between ⟦ ⟧ without a terminal), masked text dim.
    """
    from ..models.load import load_tokenizer
    from ..text.prepare import prepare
    from ..text.tokens import BORDER, describe
    from .run import quiet_libraries
    from .watch import open_watch

    quiet_libraries()
    tokenizer = load_tokenizer(config.model, config.trust_remote_code)
    console, has_borders = Console(), False
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(config.pool, config.prompt, tokenizer, Path(folder), config.seed, open_watch())
        _print_left_out(Path(folder) / "quarantine.jsonl", console)
        for note in data.pool.records.notes:
            console.print(note, markup=False, highlight=False, soft_wrap=True)
        for row in range(min(n_samples, len(data.pool))):
            ids, mask = data.tokens.ids(row), data.tokens.mask(row)
            cut = " (cut)" if len(ids) == config.prompt.max_length else ""
            title = (
                f"row {row} · id {data.pool.id(row)} · {len(ids)} tokens{cut}, {int(mask.sum())} trained on"
            )
            console.rule(title, style="dim")
            text = Text()
            for piece, is_trained in describe(ids, mask, tokenizer):
                has_borders |= BORDER in piece
                mark = piece if console.is_terminal or not is_trained else f"⟦{piece}⟧"
                text.append(mark, style="bold green" if is_trained else "dim")
            console.print(text, highlight=False, soft_wrap=True)
    legend = "green (or ⟦ ⟧): trained on · dim: read, never trained on"
    console.rule(
        f"{legend} · {BORDER}: reads like a control token, but is these tokens of text"
        if has_borders
        else legend,
        style="dim",
    )


def _print_left_out(quarantine: Path, console: Console) -> None:
    """Say how many rows are left out, and why: the five commonest reasons."""
    reasons = [line["reason"] for line in read_jsonl(quarantine)]
    for reason, n in Counter(reasons).most_common(5):
        console.print(f"{n:,} left out: {reason}", markup=False, highlight=False, soft_wrap=True)
