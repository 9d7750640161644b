"""Keys of `train:` that mean nothing here, since the run does or sets it itself, and what to set or do instead."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import get_type_hints

from ...config import TrainConfig
from ...errors import ConfigError

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
    (
        None,
        "It is for adapters that begin from a pass over data, or from other adapters, which the run has none of.",
    ),
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


def check_own_keys(config: TrainConfig) -> None:
    """Check that no key is set which the run sets itself.

    Raises:
        ConfigError: one is, to something else than what holds anyway.
    """
    if config.command:
        return
    from trl import SFTConfig

    types = get_type_hints(SFTConfig)
    for key, value in config.sft.items():
        # Where none is a value, too, false says something.
        is_off = value is None or value == "no" or (value is False and types[key] is bool)
        reason = next((reason for name, reason in OWN_SFT_KEYS.items() if fnmatchcase(key, name)), None)
        if reason and not is_off:
            raise ConfigError(f"train.{key} is set by the run itself. {reason}")
        inner = value if key == "model_init_kwargs" and isinstance(value, Mapping) else {}
        if name := next((name for name in inner if name in OWN_MODEL_KEYS), None):
            raise ConfigError(
                f"train.model_init_kwargs.{name} is set by the run itself. {OWN_MODEL_KEYS[name]}"
            )
    for key, value in config.lora.items():
        only, reason = OWN_LORA_KEYS.get(key, (value, ""))
        if value not in (None, only):
            raise ConfigError(f"train.lora.{key} is set by the run itself. {reason}")
        if key == "init_lora_weights" and value not in _PLAIN_INITS:
            raise ConfigError(
                f"train.lora.init_lora_weights is {value!r}, which changes the base's own weights or needs a pass over data "
                "first, so the adapter alone would not be the tuned model. Use true, gaussian or orthogonal, or leave it out."
            )
