"""Seconds from FLOPs: the peaks of some accelerators and what share of it a run gets, or rates measured here.

Peaks are dense bf16 products with float32 accumulation, in FLOP/s, of one device, as their makers state them
(half of the figure where that is given "with sparsity"): https://www.nvidia.com/en-us/data-center/ (a100,
h100, h200, l4, l40s; dgx-b200, 72 PFLOPS of FP8 training for eight), NVIDIA's white papers on the GA102 and
Ada architectures, appendix A, and https://www.amd.com/en/products/accelerators/instinct/mi300/mi300x.html.
What a run gets depends on model, batch and software. Well-tuned large trainings reach 0.4 (PaLM, Chowdhery et
al., 2022, https://arxiv.org/abs/2204.02311, table 3: up to 0.46); small models reach far less.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..base.progress import SILENT, Watch
from ..config import RunConfig, TrainConfig
from ..errors import ConfigError
from ..run.metrics import Cost

PEAKS = {
    "a100": 312e12,
    "h100": 989e12,
    "h100-pcie": 756e12,
    "h200": 989e12,
    "b200": 2250e12,
    "l4": 121e12,
    "l40s": 362e12,
    "rtx-3090": 71e12,
    "rtx-4090": 165e12,
    "mi300x": 1307e12,
}
N_STEPS = 10
FEWEST_ROWS = 160


@dataclass(frozen=True, slots=True)
class Rates:
    """FLOP/s of a tuning and of an embedding pass, whence, and the seconds before a tuning's first step."""

    train: float
    embed: float
    source: str
    start: float = 0.0


def rates_of(hardware: str, utilisation: float) -> Rates:
    """The rates of one device, of whose peak a run gets that share.

    Raises:
        ConfigError: the device is not in the table.
    """
    if hardware not in PEAKS:
        known = f"Known: {', '.join(PEAKS)}; or measure here with --calibrate."
        raise ConfigError(f"--hardware {hardware!r} is not known. {known}")
    rate = PEAKS[hardware] * utilisation
    return Rates(rate, rate, f"{hardware}, {PEAKS[hardware] / 1e12:,.0f} TFLOP/s bf16 × {utilisation:g}")


def calibrate(config: RunConfig, watch: Watch) -> Rates:
    """Tune the rounds' model for a few steps and run it over some rows; it raises what a run would.

    A tuning takes some seconds before its first step; one step tells them from those that grow with the
    tokens. Four times the tuned rows are embedded: a pass is quicker, and its first batches are slower.
    """
    from ..models.embed import embed_tokens  # which load torch and the trainer
    from ..models.load import load_model, load_tokenizer
    from ..models.train import fit
    from ..text.prepare import prepare

    config = config.for_rounds()
    train, code = config.train, config.trust_remote_code
    per_step = train.total_batch_size or int(train.sft.get("per_device_train_batch_size", 4))
    n_rows = max(FEWEST_ROWS, N_STEPS * per_step)
    few = config.pool.model_copy(update={"max_rows": 4 * n_rows, "dedup": False, "decontaminate": ()})
    tokenizer = load_tokenizer(config.model, code)
    with tempfile.TemporaryDirectory(prefix="diverseevol-calibrate-") as name:
        folder = Path(name)
        # Silent, for what it says names files that go.
        data = prepare(few, config.prompt, tokenizer, folder / "pool", config.seed, SILENT)
        rows = range(min(n_rows, len(data.tokens)))

        def tuned(n_steps: int) -> Cost:
            keys = TrainConfig.model_validate(train.model_dump() | {"max_steps": n_steps, "command": None})
            places = (folder / f"model-{n_steps}", folder / "checkpoints", config.seed, watch, code)
            return fit(config.model, rows, data.tokens, tokenizer, keys, *places)

        rate, start = rate_and_start(tuned(N_STEPS), tuned(1))
        model = load_model(str(folder / f"model-{N_STEPS}"), "auto", code)
        places = (folder / "signals", config.embed, data.pool.ids, "calibrate", watch)
        report = embed_tokens(model, data.tokens, *places)
    source = f"measured here: {N_STEPS} steps, one step and a pass over {report.n_rows} rows"
    return Rates(rate, report.flops / report.seconds, source, start)


def rate_and_start(many: Cost, few: Cost) -> tuple[float, float]:
    """FLOP/s of a tuning's steps, and its seconds before the first, from a longer and a shorter one."""
    seconds = many.seconds - few.seconds
    rate = (many.flops - few.flops) / seconds if seconds > 0 else many.flops / many.seconds
    return rate, max(0.0, few.seconds - few.flops / rate)
