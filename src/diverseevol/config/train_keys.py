"""The keys that `train:` passes on: names and plain types of the installed `SFTConfig` and `LoraConfig`.

Importing them loads torch and takes seconds, so `load_config` looks only where a key or value is not the
presets' own.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints

from ..base.text import nearest
from ..errors import ConfigError
from .schema import TrainConfig

PLAIN: dict[object, str] = {bool: "true or false", int: "a whole number", float: "a number"}
ABOVE_ZERO = {"learning_rate", "num_train_epochs", "per_device_train_batch_size", "logging_steps", "r"}
ABOVE_ZERO |= {"gradient_accumulation_steps", "lora_alpha"}
OTHER_NAMES = {
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "n_epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "micro_batch_size": "per_device_train_batch_size",
    "warmup_ratio": "warmup_steps",
    "rank": "r",
    "lora_r": "lora",
    "lora_rank": "lora",
    "lora_target": "lora",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
}
"""What other trainers call some of them."""


def check_train_keys(config: TrainConfig) -> None:
    """Check the keys that the built-in trainer passes on to TRL and PEFT, by their names and plain types.

    Raises:
        ConfigError: a key is unknown, or has a value of another type.
    """
    if config.command:
        return
    from trl import SFTConfig

    known = get_type_hints(SFTConfig)
    for key, value in config.sft.items():
        _check(f"train.{key}", value, known, "SFTConfig")
    if config.lora:
        from peft import LoraConfig

        known = get_type_hints(LoraConfig)
        for key, value in config.lora.items():
            _check(f"train.lora.{key}", value, known, "LoraConfig")


def _check(name: str, value: object, known: dict[str, object], kind: str) -> None:
    """Check a key's name, and its value where the annotation names numbers and true or false alone."""
    key = name.rpartition(".")[2]
    if key not in known:
        meant = OTHER_NAMES.get(key, "")
        hint = f"Did you mean {meant!r}? " if meant in {*known, "lora"} else nearest(key, known)
        raise ConfigError(f"unknown key {name}: {kind} has none such. {hint}See `diverseevol init`.")
    hinted = known[key]
    types = [*(get_args(hinted) if get_origin(hinted) in (Union, UnionType) else (hinted,))]
    types = [each for each in types if each is not NoneType]
    if value is None or not PLAIN.keys() >= set(types):
        return
    if type(value) not in types and not (float in types and type(value) is int):
        raise ConfigError(f"{name} is {value!r}: give {' or '.join(PLAIN[each] for each in types)}.")
    if key in ABOVE_ZERO and isinstance(value, int | float) and value <= 0:
        raise ConfigError(f"{name} is {value!r}: it must be above 0.")
