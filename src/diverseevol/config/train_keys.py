"""The keys that `train:` passes on: names and plain types of the installed `SFTConfig` and `LoraConfig`.

Importing them loads torch and takes seconds, so `load_config` looks only where a key or value is not the
presets' own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints

from ..base.text import nearest
from ..errors import ConfigError
from .schema import TrainConfig

_WANTED: dict[object, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
}
_ABOVE_ZERO = frozenset(
    {
        "learning_rate",
        "num_train_epochs",
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "logging_steps",
        "r",
        "lora_alpha",
    }
)
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

    _check_all(SFTConfig, config.sft, "train")
    if config.lora:
        from peft import LoraConfig

        _check_all(LoraConfig, config.lora, "train.lora")


def _check_all(kind: type, keys: Mapping[str, object], section: str) -> None:
    known = get_type_hints(kind)
    for key, value in keys.items():
        _check(kind, known, key, value, section)


def _check(kind: type, known: Mapping[str, object], key: str, value: object, section: str) -> None:
    """Check a key's name, and its value where the annotation names numbers and true or false alone."""
    if key not in known:
        meant = OTHER_NAMES.get(key)
        hint = f"Did you mean {meant!r}? " if meant in known or meant == "lora" else nearest(key, known)
        raise ConfigError(
            f"unknown key {section}.{key}: {kind.__name__} has none such. {hint}See `diverseevol init`."
        )
    is_union = get_origin(known[key]) in (Union, UnionType)
    types = [one for one in (get_args(known[key]) if is_union else (known[key],)) if one is not NoneType]
    wanted = [_WANTED[one] for one in types if one in _WANTED]
    if value is None or len(wanted) < len(types):
        return
    kinds = tuple(one for _, several in wanted for one in several)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ConfigError(f"{section}.{key} is {value!r}: give {' or '.join(words for words, _ in wanted)}.")
    if key in _ABOVE_ZERO and isinstance(value, int | float) and value <= 0:
        raise ConfigError(f"{section}.{key} is {value!r}: it must be above 0.")
