"""Seconds from FLOPs: the peak rates of some accelerators, and how much of it a run gets.

Peaks are dense bf16 products with float32 accumulation, in FLOP/s, of one device, as their makers state them
(half of the figure where that is given "with sparsity"): https://www.nvidia.com/en-us/data-center/ (a100,
h100, h200, l4, l40s; dgx-b200, 72 PFLOPS of FP8 training for eight), NVIDIA's white papers on the GA102 and
Ada architectures, appendix A, and https://www.amd.com/en/products/accelerators/instinct/mi300/mi300x.html.
What a run gets depends on model, batch and software. Well-tuned large trainings reach 0.4 (PaLM, Chowdhery et
al., 2022, https://arxiv.org/abs/2204.02311, table 3: up to 0.46); small models reach far less.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError

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
