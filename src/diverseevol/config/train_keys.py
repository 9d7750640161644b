"""The keys of TRL's `SFTConfig` and PEFT's `LoraConfig`, read from the installed sources so that checking a config loads no torch.

Importing trl costs seconds and loads torch; a misspelt key should be an error in milliseconds. The classes' annotated
fields are read with `ast` from the files of the installed packages, so the list is that of the installed versions and
never a copy of ours. Values are checked where the annotation is plain (a number, true or false); the rest is the packages' own to refuse.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from ..base.files import expanded

# (package, file, class): a class and those that it inherits its fields from.
_SFT = (
    ("trl", "trainer/sft_config.py", "SFTConfig"),
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("transformers", "training_args.py", "TrainingArguments"),
)
_LORA = (
    ("peft", "tuners/lora/config.py", "LoraConfig"),
    ("peft", "config.py", "PeftConfig"),
    ("peft", "config.py", "PeftConfigMixin"),
)

_WANTED: dict[str, tuple[str, tuple[type, ...]]] = {
    "bool": ("true or false", (bool,)),
    "int": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
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
TRACKERS = ("tensorboard", "wandb", "trackio")
"""The trackers that the run serves itself, one run for all rounds (tracking/); `report_to` may name others, which the Trainer serves."""


@cache
def sft_keys() -> Mapping[str, str]:
    """Every field of the installed `SFTConfig` with its annotation; empty when trl is not installed or laid out in another way."""
    return _fields(_SFT)


@cache
def lora_keys() -> Mapping[str, str]:
    """The same of `LoraConfig`."""
    return _fields(_LORA)


def nearest(name: str, known: Collection[str]) -> str:
    """`Did you mean 'x'? ` for the known name closest to `name`, or an empty string."""
    if OTHER_NAMES.get(name) in known:
        return f"Did you mean {OTHER_NAMES[name]!r}? "
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}? " if close else ""


def check_sft_key(key: str, value: object) -> None:
    """Check one key of `train:` that is passed to SFTConfig, by its name and plain type.

    Raises:
        ValueError: the run sets it itself, or its value is of another type; says what would be right.
    """
    known = sft_keys()
    is_off = value is None or value == "no" or (value is False and known.get(key) == "bool")
    reason = next((reason for name, reason in OWN_SFT_KEYS.items() if fnmatchcase(key, name)), None)
    if reason and not is_off:
        raise ValueError(f"train.{key} is {'kept out of configs' if key == 'hub_token' else 'set by the run itself'}. {reason}")
    _check_value("train", key, value, known)
    if key == "model_init_kwargs" and isinstance(value, Mapping):
        for name in value:
            if name in OWN_MODEL_KEYS:
                raise ValueError(f"train.model_init_kwargs.{name} is set by the run itself. {OWN_MODEL_KEYS[name]}")


def check_lora_key(key: str, value: object) -> None:
    """The same of one key of `train.lora`."""
    if lora_keys() and key not in lora_keys():
        raise ValueError(f"unknown key train.lora.{key}: LoraConfig has none such. {nearest(key, lora_keys())}".strip())
    only, reason = OWN_LORA_KEYS.get(key, (value, ""))
    if value not in (None, only):
        raise ValueError(f"train.lora.{key} is set by the run itself. {reason}")
    _check_value("train.lora", key, value, lora_keys())
    if key == "init_lora_weights" and value not in _PLAIN_INITS:
        raise ValueError(
            f"train.lora.init_lora_weights is {value!r}, which changes the base's own weights or needs a pass over data first, so the "
            "adapter alone would not be the tuned model. Use true, gaussian or orthogonal, or leave it out"
        )


def _check_value(section: str, key: str, value: object, known: Mapping[str, str]) -> None:
    """Check a value against its key's annotation, where that names numbers and true or false alone.

    Raises:
        ValueError: it is something else, or not above 0 where it must be; says what would be right.
    """
    parts = [part for part in _parts(known.get(key, "?")) if part != "None"]
    wanted = [_WANTED[part] for part in parts if part in _WANTED]
    if value is None or len(wanted) < len(parts):
        return
    kinds = tuple(kind for _, kinds in wanted for kind in kinds)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ValueError(f"{section}.{key} is {value!r}: give {' or '.join(words for words, _ in wanted)}")
    if key in _ABOVE_ZERO and isinstance(value, int | float) and value <= 0:
        raise ValueError(f"{section}.{key} is {value!r}: it must be above 0")


def tidy(key: str, value: Any) -> Any:  # noqa: ANN401 - any YAML value
    """A value of `train` with its paths expanded; yes, no, on and off are words where no type tells that a flag is meant.

    Raises:
        ValueError: a value below a key is such a word, or a path cannot be expanded.
    """
    if isinstance(value, Mapping):
        return {name: tidy(f"{key}.{name}", item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [tidy("", item) for item in value]
    if isinstance(value, str) and value.lower() in ("yes", "no", "on", "off") and key.count(".") > 1:
        raise ValueError(f"{key} is {value!r}: write true or false")
    return expanded(value) if isinstance(value, str) and value.startswith(("~", "$")) else value


def _parts(annotation: str) -> list[str]:
    """The alternatives of a type: of `int | None` and `Optional[int]` alike."""
    inner = annotation.removeprefix("Optional[").removesuffix("]") if annotation.startswith("Optional[") else annotation
    return [part.strip() for part in inner.split("|")]


def _fields(classes: tuple[tuple[str, str, str], ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for where in classes:
        found = {**_fields_of(*where), **found}
    return found


def _fields_of(package: str, file: str, class_name: str) -> dict[str, str]:
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    for node in ast.parse(path.read_text("utf-8")).body if path and path.is_file() else []:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            fields = (item for item in node.body if isinstance(item, ast.AnnAssign))
            return {item.target.id: ast.unparse(item.annotation) for item in fields if isinstance(item.target, ast.Name)}
    return {}
