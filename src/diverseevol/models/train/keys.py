"""What `train:` becomes for TRL and PEFT, and what they refuse of it in words that name the key.

A key is passed through by its own name, so each is the library's to refuse: as it is configured, before the pool is read, or on the model
and at the first step, before anything is trained. Only a failure with no such key is a fault of ours.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers.integrations import get_available_reporting_integrations
from trl import SFTConfig, SFTTrainer

from ...base import dist
from ...config import PRESETS, TRACKERS, TrainConfig
from ...errors import REFUSALS, ConfigError, DiverseEvolError
from . import shares
from .order import steps_of

USUAL_KEYS = frozenset(key for preset in PRESETS.values() for key in preset["train"])
"""Keys that a preset sets: with them alone the trainer works, so a failure is not theirs."""
LONGEST_WORDS = 300
Made = TypeVar("Made")


def sft_config(config: TrainConfig, checkpoints_dir: Path, seed: int, max_length: int = 512) -> SFTConfig:
    """The SFTConfig of a round: our defaults, the user's keys over them, and the keys that the run owns.

    Raises:
        ConfigError: SFTConfig refuses a value; the key and its own words are in the message.
    """
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    keys: dict[str, Any] = {
        "bf16": has_bf16,
        "tf32": has_bf16 or None,
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
        "save_strategy": "no",
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "ddp_find_unused_parameters": False,
        "disable_tqdm": True,
        "per_device_train_batch_size": 4,
    }
    keys |= config.sft
    keys.pop("fsdp", None)  # sharded while it is loaded (models.py): accelerate must not do it again
    keys["report_to"] = _others(keys["report_to"], config)
    if "gradient_checkpointing" not in keys:  # the older name, which the newer one would silently overrule
        keys.setdefault("activation_checkpointing", False)
    if config.total_batch_size and "gradient_accumulation_steps" not in config.sft:
        keys["gradient_accumulation_steps"] = steps_of(
            config.total_batch_size, keys["per_device_train_batch_size"], dist.world_size()
        )
    keys |= {"output_dir": str(checkpoints_dir), "seed": seed, "data_seed": seed}
    if shares.shards_models(config.sft.get("fsdp")):
        _check_shared_out(keys["save_strategy"], config.method)
    is_packed = bool(keys.get("packing"))
    keys |= (
        {"max_length": max_length}
        if is_packed
        else {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
    )
    return _made(_sft_args, keys, config.sft, "train")


def _check_shared_out(save_strategy: str, method: str) -> None:
    if save_strategy != "no":
        raise ConfigError(
            f"train.save_strategy is {save_strategy!r}, which a model that is sharded over ranks (FSDP) cannot have. "
            "Set train.checkpoint_minutes instead."
        )
    if method == "qlora":
        raise ConfigError(
            "train.method is qlora, but a model that is sharded over ranks (FSDP) cannot be quantised. Set train.method=lora, or start "
            "without FSDP."
        )


def lora_config(config: TrainConfig) -> Any:  # noqa: ANN401 - PEFT's class, which is imported only where it is used
    """The LoraConfig of an adapter.

    Raises:
        ConfigError: LoraConfig refuses a value; the key and its own words are in the message.
    """
    from peft import LoraConfig

    return _made(LoraConfig, {**config.lora, "task_type": "CAUSAL_LM"}, config.lora, "train.lora")


def _sft_args(**keys: Any) -> SFTConfig:  # noqa: ANN401 - SFTConfig's own types
    """The SFTConfig, once the optimizer that it names is known to be installed."""
    args = SFTConfig(**keys)
    with suppress(AttributeError, ValueError):  # some look at the model, which is not there yet
        SFTTrainer.get_optimizer_cls_and_kwargs(args)
    return args


def _made(kind: Callable[..., Made], keys: Mapping[str, Any], own: Mapping[str, Any], section: str) -> Made:
    """What `kind` makes of the keys.

    Raises:
        ConfigError: it refuses them; the key without which it would not, of the user's `own`, is named.
    """
    try:
        return kind(**keys)
    except REFUSALS as error:
        names = [
            key for key in own if _is_made(kind, {name: value for name, value in keys.items() if name != key})
        ]
        named = (
            ", ".join(f"{section}.{key} is {own[key]!r}" for key in names)
            or f"the keys of {section} cannot be used"
        )
        raise ConfigError(f"{named}: {one_line(error)}") from error


def _is_made(kind: Callable[..., object], keys: Mapping[str, Any]) -> bool:
    try:
        kind(**keys)
    except REFUSALS:
        return False
    return True


@contextmanager
def naming_keys(config: TrainConfig) -> Iterator[None]:
    """A library that fails over a key which the user passes through says which; without such a key it is a fault of ours.

    Raises:
        ConfigError: for what a library raises, with the keys that it speaks of, or all that are passed through.
    """
    try:
        yield
    except DiverseEvolError:
        raise
    except REFUSALS as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        keys = {f"train.{key}": value for key, value in config.sft.items() if key not in USUAL_KEYS}
        if config.method != "full":
            keys |= {
                f"train.lora.{key}": value for key, value in ({"target_modules": None} | config.lora).items()
            }
        text = one_line(error)
        spoken_of = [
            key
            for key, value in keys.items()
            if set(_words({key.split(".")[-1]: value})) & set(re.findall(r"\w+", text.lower()))
        ]
        is_ours = Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parents[2])
        if (
            not keys or is_ours or (isinstance(error, OSError) and error.errno)
        ):  # a full disk is no key's fault
            raise
        named = ", ".join(spoken_of or keys)
        raise ConfigError(
            f"tuning fails with {named} as set: {text} Change it or leave it out; --debug shows more."
        ) from error


def _words(value: object) -> Iterator[str]:
    """The names in a key and its value, at any depth, by which a library may speak of it."""
    if isinstance(value, Mapping):
        yield from (word for item in value.items() for part in item for word in _words(part))
    elif isinstance(value, list | tuple):
        yield from (word for part in value for word in _words(part))
    elif isinstance(value, str):
        yield from (word for word in re.findall(r"\w+", value.lower()) if len(word) > 2)


def one_line(error: Exception) -> str:
    """What a library says, in one line of bearable length."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text if len(text) <= LONGEST_WORDS else text[:LONGEST_WORDS] + "…"
    return text if text.endswith((".", "!", "?", "…")) else text + "."


def _others(report_to: object, config: TrainConfig) -> list[str]:
    """The trackers that the Trainer serves itself: those that the run does not (tracking/)."""
    names = get_available_reporting_integrations() if report_to in ("all", ["all"]) else config.report_to
    return [name for name in names if name not in TRACKERS]
