"""What `train:` becomes for TRL and PEFT, and what they refuse of it in words that name the key.

A key is passed through by its own name, so each is the library's to refuse: as it is configured, before the
pool is read, or on the model and at the first step, before anything is trained. Only a failure with no such
key is a fault of ours.
"""

from __future__ import annotations

import json
import math
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from transformers.integrations import get_available_reporting_integrations
from trl import SFTConfig, SFTTrainer

from ..base import dist
from ..config import PRESETS, TRACKERS, TrainConfig
from ..errors import REFUSALS, ConfigError, DiverseEvolError
from .load import one_line, shards_models

USUAL_KEYS = frozenset(key for preset in PRESETS.values() for key in preset["train"])
"""Keys that a preset sets: with them alone the trainer works, so a failure is not theirs."""
Made = TypeVar("Made")


def sft_config(config: TrainConfig, checkpoints_dir: Path, seed: int, max_length: int = 512) -> SFTConfig:
    """The SFTConfig of a round: our defaults, the user's keys over them, and the keys that the run owns.

    Raises:
        ConfigError: SFTConfig refuses a value; the key and its own words are in the message.
    """
    has_gpu = torch.cuda.is_available()
    has_bf16 = has_gpu and torch.cuda.is_bf16_supported()
    keys: dict[str, Any] = {
        "bf16": has_bf16,
        "tf32": has_bf16 or None,
        "use_cpu": not has_gpu,
        "dataloader_pin_memory": has_gpu,
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
    keys.pop("fsdp", None)  # sharded while it is loaded (load.py): accelerate must not do it again
    # The Trainer itself serves the trackers that the run does not (run/tracking.py).
    is_all = keys["report_to"] in ("all", ["all"])
    trackers = get_available_reporting_integrations() if is_all else config.report_to
    keys["report_to"] = [name for name in trackers if name not in TRACKERS]
    if "gradient_checkpointing" not in keys:  # the older name, which the newer one would silently overrule
        keys.setdefault("activation_checkpointing", False)
    if config.total_batch_size and "gradient_accumulation_steps" not in config.sft:
        at_once = keys["per_device_train_batch_size"] * dist.world_size()
        keys["gradient_accumulation_steps"] = math.ceil(config.total_batch_size / at_once)
    keys |= {"output_dir": str(checkpoints_dir), "seed": seed, "data_seed": seed}
    if shards_models(config.sft.get("fsdp")) and (keys["save_strategy"] != "no" or config.method == "qlora"):
        raise ConfigError(
            f"train.save_strategy is {keys['save_strategy']!r} and train.method {config.method}; a model "
            "that is sharded over ranks (FSDP) is neither saved by the Trainer nor quantised. Set "
            "train.checkpoint_minutes instead, and train.method=lora, or start without FSDP."
        )
    if keys.get("packing"):
        keys["max_length"] = max_length
    else:
        keys |= {"max_length": None, "dataset_kwargs": {"skip_prepare_dataset": True}}
    return _made(_sft_args, keys, config.sft, "train")


_DATA = "Held-out rows are measured after every round: set pool.holdout or heldout.path."
_TOKENS = "The rows come tokenised, and the answers alone are trained on: `prompt` says how."
_RESUMES = "A killed run resumes by itself."
_NO_EFFECT = "It has no effect on the models that are tuned here."
OWN_KEYS = {
    "output_dir": "The round's folder is used.",
    "seed data_seed": "Set `seed` of the run.",
    "trust_remote_code local_rank": "The run's own key or the launcher says it.",
    "max_length truncation_mode": "Set `prompt.max_length`; longer rows are cut at the right.",
    "dataset_* completion_only_loss assistant_only_loss label_names shuffle_dataset": _TOKENS,
    "chat_template_path eos_token pad_token": "Set it in the model's own folder.",
    "fsdp_config": "`fsdp: true` shards the model; there is nothing more to set.",
    "resume_from_checkpoint ignore_data_skip save_only_model": _RESUMES,
    "restore_callback_states_from_checkpoint enable_jit_checkpoint": _RESUMES,
    "push_to_hub hub_*": "Use `diverseevol export` or huggingface_hub on the finished model.",
    "load_best_model_at_end metric_for_best_model greater_is_better": "Set keep: best, with pool.holdout.",
    "do_eval do_predict eval_* *_eval_* *_full_eval prediction_loss_only include_for_metrics": _DATA,
}
"""Keys of SFTConfig that mean nothing here, and what to set or do instead."""
OWN_MODEL_KEYS = {
    "trust_remote_code": "Set `trust_remote_code` of the run.",
    "use_safetensors": "Weights are read from safetensors alone.",
    "quantization_config load_in_4bit load_in_8bit": "Set train.method: qlora.",
    "revision subfolder": "Set `model` to that folder.",
    "device_map": "Each process tunes on its own device.",
}
"""Keys of train.model_init_kwargs that the run sets, and what to do instead."""
OWN_LORA_KEYS = {
    "task_type inference_mode": "The adapter of a causal language model is trained.",
    "peft_type": "Other adapters need a trainer of your own: train.command.",
    "base_model_name_or_path revision": "Set `model`.",
    "auto_mapping peft_version": "PEFT fills it in.",
    "loftq_config eva_config corda_config lora_ga_config arrow_config": "The run has no data to begin with.",
    "megatron_* runtime_config use_qalora qalora_group_size": _NO_EFFECT,
}
"""Keys of LoraConfig that the run or PEFT sets, and what to do instead."""


def check_own_keys(config: TrainConfig) -> None:
    """Check that no key is set which the run sets itself.

    Raises:
        ConfigError: one is, to something else than off.
    """
    flags = {
        key for key, kind in get_type_hints(SFTConfig).items() if kind is bool
    }  # elsewhere false says something
    model_keys = config.sft.get("model_init_kwargs")
    for section, own, keys in (
        ("train", OWN_KEYS, config.sft),
        ("train.model_init_kwargs", OWN_MODEL_KEYS, model_keys if isinstance(model_keys, Mapping) else {}),
        ("train.lora", OWN_LORA_KEYS, config.lora),
    ):
        for key, value in keys.items():
            reasons = [
                why for names, why in own.items() if any(fnmatchcase(key, name) for name in names.split())
            ]
            can_be_off = section != "train.model_init_kwargs" and (section == "train.lora" or key in flags)
            is_off = value in (None, "no", "CAUSAL_LM", "LORA") or (value is False and can_be_off)
            if reasons and not is_off:
                raise ConfigError(f"{section}.{key} is set by the run itself. {reasons[0]}")
    init = config.lora.get("init_lora_weights")
    if init not in (None, True, False, "gaussian", "orthogonal"):
        raise ConfigError(
            f"train.lora.init_lora_weights is {init!r}, which changes the base's own weights or needs a pass "
            "over data first, so the adapter alone would not be the tuned model. Use true, gaussian or "
            "orthogonal, or leave it out."
        )


def lora_config(config: TrainConfig) -> Any:  # noqa: ANN401 - PEFT's class, imported where it is used
    """The LoraConfig of an adapter; a value that it refuses is a ConfigError with its own words."""
    from peft import LoraConfig

    return _made(LoraConfig, {**config.lora, "task_type": "CAUSAL_LM"}, config.lora, "train.lora")


def _sft_args(**keys: Any) -> SFTConfig:  # noqa: ANN401 - SFTConfig's own types
    """The SFTConfig, once the optimizer that it names is known to be installed."""
    args = SFTConfig(**keys)
    with suppress(AttributeError, ValueError):  # some look at the model, which is not there yet
        SFTTrainer.get_optimizer_cls_and_kwargs(args)
    return args


def _made(kind: Callable[..., Made], keys: Mapping[str, Any], own: Mapping[str, Any], section: str) -> Made:
    """What `kind` makes of the keys; where it refuses them, the one of the user's `own` at fault is named."""

    def is_at_fault(key: str) -> bool:
        with suppress(*REFUSALS):
            kind(**{name: value for name, value in keys.items() if name != key})
            return True
        return False

    try:
        return kind(**keys)
    except REFUSALS as error:
        named = ", ".join(f"{section}.{key} is {value!r}" for key, value in own.items() if is_at_fault(key))
        raise ConfigError(f"{named or f'the keys of {section} cannot be used'}: {one_line(error)}") from error


@contextmanager
def naming_keys(config: TrainConfig) -> Iterator[None]:
    """A library that fails over a key of the user's says which; without such a key it is a fault of ours."""
    try:
        yield
    except DiverseEvolError:
        raise
    except REFUSALS as error:
        keys = {f"train.{key}": value for key, value in config.sft.items() if key not in USUAL_KEYS}
        if config.method != "full":
            lora = {"target_modules": None} | config.lora
            keys |= {f"train.lora.{key}": value for key, value in lora.items()}
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        is_ours = Path(frame.f_code.co_filename).is_relative_to(Path(__file__).parents[1])
        is_disk = isinstance(error, OSError) and error.errno  # a full one is no key's fault
        if not keys or is_ours or is_disk:
            raise
        text = one_line(error)
        said = set(re.findall(r"[a-z_]\w{2,}", text.lower())) - {"true", "false", "null"}

        def is_spoken_of(key: str) -> bool:  # by its name, or a name in its value
            names = json.dumps([key.rpartition(".")[2], keys[key]], default=str).lower()
            return bool(said & set(re.findall(r"\b[a-z_]\w{2,}", names)))

        spoken_of = list(filter(is_spoken_of, keys))
        raise ConfigError(
            f"tuning fails with {', '.join(spoken_of or keys)} as set: {text} Change it or leave it out; "
            "--debug shows more."
        ) from error
