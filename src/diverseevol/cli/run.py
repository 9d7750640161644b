"""`run`: the loop."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import typer

from . import options as o
from .status import round_line

if TYPE_CHECKING:
    from ..config import RunConfig


def run(
    words: o.Words = None,
    pool: o.PoolOption = None,
    model: o.ModelOption = None,
    out: o.OutOption = None,
    preset: o.PresetOption = None,
    strategy: o.StrategyOption = None,
    show_samples: int = typer.Option(
        0, "--show-samples", min=0, help="Print so many samples with what is trained on, and stop."
    ),
) -> None:
    """Choose and tune, round by round; the same command again resumes."""
    options = {"pool": pool, "model": model, "out": out, "strategy": strategy}
    config = o.config_from(words, preset, options, needs_out=not show_samples)
    if show_samples:
        from .samples import print_samples

        print_samples(config, show_samples)
        return
    run_loop(config)


def run_loop(config: RunConfig) -> None:
    """Run the loop, saying a line a round."""
    from ..base import dist
    from .watch import open_watch

    watch = open_watch()
    dist.start()
    quiet_libraries()
    from ..loop.evolve import Round, evolve

    last: Round | None = None
    for last in evolve(config, watch):
        watch.note(round_line(last.metrics))
    if last is not None:
        if last.metrics.stopped:
            watch.note(f"Stopped by itself: {last.metrics.stopped}")
        watch.note(f"Done: {last.n_chosen} samples in {last.subset_path}")
        if last.model_dir.is_dir():
            watch.note(f"Model: {last.model_dir}")
        watch.note(f"What was chosen and why: diverseevol report {config.out} --out report.html")
    dist.barrier()


def quiet_libraries() -> None:
    """Turn the libraries' own bars and informational lines off; their errors stay."""
    import datasets
    import transformers

    # PEFT asks transformers for a setting by its older name, and for GPT-2 corrects one of its own; nobody
    # here can act on either.
    warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
    warnings.filterwarnings("ignore", "fan_in_fan_out is set to")
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
