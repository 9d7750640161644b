"""Which keys of `train:` mean something here, checked by name and plain type before anything is loaded.

The names and types are those of the installed `SFTConfig` and `LoraConfig` themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints

from ..base.text import nearest
from ..config import TrainConfig
from ..errors import ConfigError

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
_HELD_OUT = "Held-out rows are measured after every round: set pool.holdout or heldout.path."
_BEST = "Set keep: best, with pool.holdout or heldout.path."
_TOKENS = "The rows come tokenised, and the answers alone are trained on: `prompt` says how."
_TOKENIZER = "Set it in the model's own tokenizer_config.json."
_EXPORT = "Use `diverseevol export` or huggingface_hub on the finished model."
_RESUME = "A killed run resumes by itself."
OWN_SFT_KEYS = {
    "output_dir": "The round's folder is used.",
    "seed": "Set `seed` of the run.",
    "data_seed": "Set `seed` of the run.",
    "local_rank": "The launcher says it.",
    "trust_remote_code": "Set `trust_remote_code` of the run.",
    "max_length": "Set `prompt.max_length`.",
    "truncation_mode": "Set `prompt.max_length`; longer rows are cut at the right.",
    "dataset_*": _TOKENS,
    "completion_only_loss": _TOKENS,
    "assistant_only_loss": _TOKENS,
    "label_names": _TOKENS,
    "shuffle_dataset": "The rows are shuffled anew each epoch.",
    "chat_template_path": "Put the template into the model's own folder.",
    "eos_token": _TOKENIZER,
    "pad_token": _TOKENIZER,
    "fsdp_config": "`fsdp: true` shards the model; there is nothing more to set.",
    "resume_from_checkpoint": _RESUME,
    "ignore_data_skip": _RESUME,
    "save_only_model": _RESUME,
    "restore_callback_states_from_checkpoint": _RESUME,
    "enable_jit_checkpoint": _RESUME,
    "hub_token": "Log in with `hf auth login` or set HF_TOKEN: what stands in a config is written into the run folder.",
    "push_to_hub": _EXPORT,
    "hub_*": _EXPORT,
    "load_best_model_at_end": _BEST,
    "metric_for_best_model": _BEST,
    "greater_is_better": _BEST,
    "do_eval": _HELD_OUT,
    "do_predict": _HELD_OUT,
    "eval_*": _HELD_OUT,
    "*_eval_*": _HELD_OUT,
    "*_full_eval": _HELD_OUT,
    "prediction_loss_only": _HELD_OUT,
    "include_for_metrics": _HELD_OUT,
}
"""Keys of SFTConfig that mean nothing here, first match first, and what to set or do instead."""
OWN_LORA_KEYS: dict[str, tuple[object, str]] = {
    "task_type": ("CAUSAL_LM", "The model is a causal language model."),
    "peft_type": ("LORA", "Other adapters need a trainer of your own: train.command."),
    "inference_mode": (False, "The adapter is trained."),
    "base_model_name_or_path": (None, "Set `model`."),
    "revision": (None, "Set `model` to a folder with that revision."),
    "auto_mapping": (None, "PEFT fills it in."),
    "peft_version": (None, "PEFT fills it in."),
}
"""Keys of LoraConfig that the run or PEFT sets, with the only value that they may have, and what to do instead."""
OWN_LORA_KEYS |= dict.fromkeys(
    ("loftq_config", "eva_config", "corda_config", "lora_ga_config", "arrow_config"),
    (None, "It is for adapters that begin from a pass over data, or from other adapters, which the run has none of."),
)
OWN_LORA_KEYS |= dict.fromkeys(
    ("megatron_config", "megatron_core", "runtime_config", "use_qalora", "qalora_group_size"),
    (False, "It has no effect on the models that are tuned here."),
)
_PLAIN_INITS = (None, True, False, "gaussian", "orthogonal")
"""Ways to begin an adapter that need no pass over data and leave the base's weights as they are."""
OWN_MODEL_KEYS = {
    "trust_remote_code": "Set `trust_remote_code` of the run.",
    "use_safetensors": "Weights are read from safetensors alone.",
    "quantization_config": "Set train.method: qlora.",
    "load_in_4bit": "Set train.method: qlora.",
    "load_in_8bit": "Set train.method: qlora.",
    "revision": "Set `model` to a folder with that revision.",
    "subfolder": "Set `model` to that folder.",
    "device_map": "Each process tunes on its own device.",
}
"""Keys of train.model_init_kwargs that the run sets, and what to do instead."""


def check_keys(config: TrainConfig) -> None:
    """Check the keys that the built-in trainer passes on to TRL and PEFT, by their names and plain types.

    Raises:
        ConfigError: a key is unknown, is set by the run itself, or has a value of another type.
    """
    if config.command:
        return
    from peft import LoraConfig
    from trl import SFTConfig

    check_sft_keys(SFTConfig, config.sft)
    check_lora_keys(LoraConfig, config.lora)


def check_sft_keys(kind: type, keys: Mapping[str, object], section: str = "train") -> None:
    """Check the keys that are passed to SFTConfig.

    Raises:
        ConfigError: a key is unknown, is set by the run itself, or has a value of another type.
    """
    for key, value in keys.items():
        _check(kind, key, value, section)
        is_off = value is None or value == "no" or value is False
        reason = next((reason for name, reason in OWN_SFT_KEYS.items() if fnmatchcase(key, name)), None)
        if reason and not is_off:
            how = "kept out of configs" if key == "hub_token" else "set by the run itself"
            raise ConfigError(f"{section}.{key} is {how}. {reason}")
        inner = value if key == "model_init_kwargs" and isinstance(value, Mapping) else {}
        if name := next((name for name in inner if name in OWN_MODEL_KEYS), None):
            raise ConfigError(f"{section}.model_init_kwargs.{name} is set by the run itself. {OWN_MODEL_KEYS[name]}")


def check_lora_keys(kind: type, keys: Mapping[str, object], section: str = "train.lora") -> None:
    """The same of the keys that are passed to LoraConfig."""
    for key, value in keys.items():
        _check(kind, key, value, section)
        only, reason = OWN_LORA_KEYS.get(key, (value, ""))
        if value not in (None, only):
            raise ConfigError(f"{section}.{key} is set by the run itself. {reason}")
        if key == "init_lora_weights" and value not in _PLAIN_INITS:
            raise ConfigError(
                f"{section}.init_lora_weights is {value!r}, which changes the base's own weights or needs a pass over data "
                "first, so the adapter alone would not be the tuned model. Use true, gaussian or orthogonal, or leave it out."
            )


def _check(kind: type, key: str, value: object, section: str) -> None:
    """Check a key's name, and its value where the annotation names numbers and true or false alone."""
    known = get_type_hints(kind)
    if key not in known:
        meant = OTHER_NAMES.get(key)
        hint = f"Did you mean {meant!r}? " if meant in known or meant == "lora" else nearest(key, known)
        raise ConfigError(f"unknown key {section}.{key}: {kind.__name__} has none such. {hint}See `diverseevol init`.")
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
