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
from functools import cache
from pathlib import Path
from typing import Any

from ..files import expanded

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
OWN_SFT_KEYS = {
    "output_dir": "The round's folder is used.",
    "seed": "Set `seed` of the run.",
    "data_seed": "Set `seed` of the run.",
    "max_length": "Set `prompt.max_length`.",
    "dataset_kwargs": "The rows come tokenised.",
    "resume_from_checkpoint": "A killed run resumes by itself.",
    "hub_token": "Log in with `hf auth login` or set HF_TOKEN: what stands in a config is written into the run folder.",
    "push_to_hub": "Use `diverseevol export` or huggingface_hub on the finished model.",
    "eval_strategy": "Held-out rows are measured after every round: set pool.holdout or heldout.path.",
    "load_best_model_at_end": "Set keep: best, with pool.holdout or heldout.path.",
}
"""Keys of SFTConfig that a config may not set, and what to set or do instead."""
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


def check_value(section: str, key: str, value: object, known: Mapping[str, str]) -> None:
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
