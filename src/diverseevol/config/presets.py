"""Named sets of values that a config file, options and `key=value` then override.

`paper` holds the published values (https://arxiv.org/abs/2311.08182, section 4.1, and the published training
script's values); bf16 is not named here: every preset tunes and embeds in it where the device has it
(models/train.py, embed.dtype).
"""

from __future__ import annotations

from typing import Any

PAPER: dict[str, Any] = {
    "rounds": 10,
    "n_init": 100,
    "n_new": 100,
    "prompt": {"template": "alpaca", "max_length": 512},
    "train": {
        "learning_rate": 2e-5,
        "weight_decay": 0.0,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,
        "num_train_epochs": 3,
        "per_device_train_batch_size": 4,
        # 4 GPUs, 4 samples each, 4 accumulated: one step sees 64 samples, on however many processes.
        "total_batch_size": 64,
    },
    "embed": {"pooling": "mean"},
    "selection": {"strategy": "k_center"},
}

MODERN: dict[str, Any] = {
    **PAPER,
    "pool": {"dedup": "exact"},
    "prompt": {"template": "auto", "max_length": 2048},
    "train": {
        "method": "lora",
        "lora": {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"},
        "learning_rate": 2e-4,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.03,
        "num_train_epochs": 3,
        "per_device_train_batch_size": 4,
        "total_batch_size": 64,
    },
    "embed": {"pooling": "response"},
    # K-Center goes for what lies alone, and broken records do.
    "selection": {"strategy": "k_center", "outliers": {"share": 0.02}},
}

# Half of the rows a round: with 4 passes in place of 10 the run stays under half of one tuning on 50,000
# rows, be that one of all weights or, as here, of an adapter. Going on from the previous round's model would
# save nothing at the same epochs.
THRIFTY: dict[str, Any] = {
    **MODERN,
    "rounds": 4,
    "n_new": "geometric",
    "budget": 1100,
    "selection": {**MODERN["selection"], "candidates": 0.5},
}

PRESETS = {"paper": PAPER, "modern": MODERN, "thrifty": THRIFTY}

ABOUT = {
    "selection.outliers": "This share of the rows, which lie most alone, is not picked: some are broken.",
    "train.learning_rate": "The highest learning rate, at the end of the warm-up.",
    "train.weight_decay": "AdamW's weight decay.",
    "train.lr_scheduler_type": "How the learning rate falls: cosine, linear, constant, …",
    "train.warmup_steps": "Warm-up: below 1 a share of the steps, else their number.",
    "train.num_train_epochs": "How often each chosen sample is read in a round.",
    "train.per_device_train_batch_size": (
        "Samples that a device takes at once; lower it where memory runs out, raise it on a GPU with room."
    ),
}
"""What keys mean that a preset names and that are not a section's own."""
