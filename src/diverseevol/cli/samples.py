"""`run --show-samples`: what is trained on and what is masked, before anything is spent."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ..config import RunConfig
from ..progress import SILENT


def print_samples(config: RunConfig, n_samples: int) -> None:
    """Print the first samples of the pool: trained text in colour (between ⟦ ⟧ without a terminal), masked text dim."""
    from ..models import load_tokenizer
    from ..prepare import prepare
    from ..tokens import describe
    from .run import quiet_libraries

    quiet_libraries()
    tokenizer = load_tokenizer(config.model, config.trust_remote_code)
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(config.pool, config.prompt, tokenizer, Path(folder), config.seed, SILENT)
        for row in range(min(n_samples, len(data.pool))):
            ids, mask = data.tokens.ids(row), data.tokens.mask(row)
            console.rule(f"row {row} · id {data.pool.id(row)} · {len(ids)} tokens, {int(mask.sum())} trained on", style="dim")
            text = Text()
            for piece, is_trained in describe(ids, mask, tokenizer):
                mark = piece if console.is_terminal or not is_trained else f"⟦{piece}⟧"
                text.append(mark, style="bold green" if is_trained else "dim")
            console.print(text, highlight=False, soft_wrap=True)
    console.rule("green (or ⟦ ⟧): trained on · dim: read, never trained on", style="dim")
