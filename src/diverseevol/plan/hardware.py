"""Seconds from FLOPs: the peak rates of some accelerators, and how much of it a run gets.

Peaks are dense bf16 products with float32 accumulation, in FLOP/s, of one device, as their makers state them (half of the figure where
that is given "with sparsity"):
    a100       https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center/a100/pdf/nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf
    h100, h100-pcie, h200   https://www.nvidia.com/en-us/data-center/h100/ , …/h200/
    b200       https://www.nvidia.com/en-us/data-center/dgx-b200/ (72 PFLOPS of FP8 training for eight)
    l4, l40s   https://www.nvidia.com/en-us/data-center/l4/ , …/l40s/
    rtx-3090, rtx-4090      NVIDIA's Ampere GA102 and Ada GPU architecture white papers, appendix A
    mi300x     https://www.amd.com/en/products/accelerators/instinct/mi300/mi300x.html
What a run gets of it depends on model, batch and software. 0.4 is what well-tuned large trainings reach (PaLM, Chowdhery et al.,
2022, https://arxiv.org/abs/2204.02311, table 3: up to 0.46); small models reach far less: `--calibrate` measures it.
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
UTILISATION = 0.4
FLOAT32 = 0.5
"""What is left of the rate where bf16 is switched off: tf32 has half of it on all of these that have it."""


@dataclass(frozen=True, slots=True)
class Rates:
    """FLOP/s that a tuning and an embedding pass get, and where the figures come from."""

    train: float
    embed: float
    source: str
    is_measured: bool = False
    start: float = 0.0
    """Seconds of a tuning before its first step; only measured rates know them."""


def rates_of(hardware: str, utilisation: float = UTILISATION) -> Rates:
    """The rates of one device.

    Raises:
        ConfigError: it is not in the table, or the utilisation is no share.
    """
    if hardware not in PEAKS:
        raise ConfigError(f"--hardware {hardware!r} is not known. Known: {', '.join(PEAKS)}; or measure here with --calibrate.")
    if not 0 < utilisation <= 1:
        raise ConfigError(f"--utilisation is {utilisation:g}: give a share of the peak between 0 and 1, such as {UTILISATION:g}.")
    rate = PEAKS[hardware] * utilisation
    return Rates(rate, rate, f"{hardware}, {PEAKS[hardware] / 1e12:,.0f} TFLOP/s bf16 × {utilisation:g}")
